"""The desired state: which programs should run, and the command that asked for it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kraftd.errors import KraftdError

DAMAGED = "desired_state_damaged"
"""The code of the error about a file that does not read as a desired state."""

_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class DesiredProgram:
    """The desired state of one program: running, stopped, or paused, which is running but left alone.

    Attributes:
        paused: Whether the daemon leaves it alone, although it should run: no restart, no signal.
        since: RFC 3339, UTC.
        by: Which command asked for it.
    """

    running: bool
    since: str
    by: str
    why: str
    paused: bool = False


@dataclass(frozen=True, slots=True)
class DesiredState:
    """Desired programs by name; a program without an entry should not run."""

    generation: int
    programs: Mapping[str, DesiredProgram]

    def wants(self, program: str) -> bool:
        """Return whether the daemon has to keep a program running."""
        desired = self.programs.get(program)
        return desired is not None and desired.running and not desired.paused

    def is_paused(self, program: str) -> bool:
        """Return whether a program should run, and is left alone on purpose."""
        desired = self.programs.get(program)
        return desired is not None and desired.running and desired.paused

    def changed(self, programs: Iterable[str], desired: DesiredProgram, generation: int) -> "DesiredState":
        """Return the state with some programs changed; programs already in that state keep their time and command."""
        updates = {
            name: desired
            for name in programs
            if (known := self.programs.get(name)) is None
            or (known.running, known.paused) != (desired.running, desired.paused)
        }
        return replace(self, generation=generation, programs={**self.programs, **updates})

    def to_json(self) -> str:
        """Return the text of ``desired.json``."""
        return json.dumps({"schema_version": _SCHEMA_VERSION, **asdict(self)}, indent=2) + "\n"


NOTHING_DESIRED = DesiredState(generation=0, programs={})


def parse_desired(text: str | None, path: Path) -> DesiredState:
    """Return the desired state that a text holds; without a text, no program should run.

    Raises:
        KraftdError: The text is damaged, or a newer kraftd wrote it.
    """
    if text is None:
        return NOTHING_DESIRED
    try:
        raw = json.loads(text)
        _check_schema(int(raw["schema_version"]), path)
        programs = {
            str(name): DesiredProgram(
                bool(desired["running"]),
                str(desired["since"]),
                str(desired["by"]),
                str(desired["why"]),
                paused=bool(desired.get("paused", False)),
            )
            for name, desired in raw["programs"].items()
        }
        return DesiredState(int(raw["generation"]), programs)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KraftdError(
            f"cannot read the desired state {path}: it is damaged ({error})",
            hint="Remove that file: it holds no data, and 'kraftd start' or 'kraftd stop' writes a new one.",
            code=DAMAGED,
        ) from error


def _check_schema(version: int, path: Path) -> None:
    if version > _SCHEMA_VERSION:
        raise KraftdError(
            f"cannot read the desired state {path}: it has schema version {version}, "
            f"this kraftd knows {_SCHEMA_VERSION}",
            hint="Use the kraftd that wrote it, or a newer one; 'kraftd stop' writes a new one.",
            code="desired_state_too_new",
        )
