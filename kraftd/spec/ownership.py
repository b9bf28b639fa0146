"""What kraftd writes into a state directory, which may hold other things too: by name, and by a record of programs."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kraftd.errors import IdentityMismatchError

PROGRAM_DIRECTORIES = ("config", "data", "logs")
"""Directories that hold one directory for each program."""

DIRECTORIES = (*PROGRAM_DIRECTORIES, "events", "run")
"""Every directory that kraftd makes directly in a state directory."""

RECORDS = (
    "generation",
    "desired.json",
    "restarts.json",
    "supervisord.conf",
    "manifest.json",
    "plan.json",
    "ownership.json",
)
"""Every file that kraftd writes directly in a state directory, but the lock; what says whose it is comes last."""

TOOLS = "kafka-tools"
"""The directory of what Kafka's tools are given, which need no start; it is no program's."""

TOO_NEW = "ownership_too_new"
"""The code of the error about a record of a newer kraftd."""

_SCHEMA_VERSION = 1
_NOT_IN_THE_PLAN = (TOOLS, "supervisord")
_PROGRAM = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_TEMPORARY = re.compile(rf"\.({'|'.join(map(re.escape, RECORDS))})\.\d+")
_FILES = {
    "events": re.compile(r"(commands|daemon)\.jsonl(\.1)?"),
    "logs": re.compile(r"supervisord\.log(\.\d+)?"),
    "run": re.compile(r"supervisord\.pid|supervisor\.sock(\.\d+)?"),
}


@dataclass(frozen=True, slots=True)
class Ownership:
    """What kraftd wrote into a state directory.

    Attributes:
        programs: Every program that was ever started from it, in the order of their names.
    """

    programs: tuple[str, ...] = ()

    def extended(self, programs: Iterable[str]) -> "Ownership":
        """Return the ownership with further programs; a name that no program can have is left out."""
        names = {name for name in programs if _PROGRAM.fullmatch(name)}
        return Ownership(tuple(sorted({*self.programs, *names})))

    def covers_record(self, name: str) -> bool:
        """Return whether a file directly in the state directory is kraftd's."""
        return name in RECORDS or _TEMPORARY.fullmatch(name) is not None

    def covers(self, directory: str, name: str) -> bool:
        """Return whether an entry of one of ``DIRECTORIES`` is kraftd's, with all that is below it."""
        if directory in PROGRAM_DIRECTORIES and name in (*self.programs, *_NOT_IN_THE_PLAN):
            return True
        pattern = _FILES.get(directory)
        return pattern is not None and pattern.fullmatch(name) is not None

    def to_json(self) -> str:
        """Return the text of ``ownership.json``."""
        return json.dumps({"schema_version": _SCHEMA_VERSION, "programs": self.programs}, indent=2) + "\n"


def parse_ownership(text: str, path: Path) -> Ownership:
    """Return the ownership that a text holds.

    Raises:
        IdentityMismatchError: The text is damaged, or a newer kraftd wrote it.
    """
    try:
        raw = json.loads(text)
        version, programs = int(raw["schema_version"]), [str(name) for name in raw["programs"]]
    except (ValueError, KeyError, TypeError) as error:
        raise IdentityMismatchError(
            f"cannot read the record of ownership {path}: it is damaged ({error})",
            hint="Remove that file: the next start writes it anew.",
            code="ownership_damaged",
        ) from error
    if version > _SCHEMA_VERSION:
        raise IdentityMismatchError(
            f"cannot read the record of ownership {path}: it has schema version {version}, "
            f"this kraftd knows {_SCHEMA_VERSION}",
            hint="Use the kraftd that made this cluster, or a newer one.",
            code=TOO_NEW,
        )
    return Ownership().extended(programs)
