"""The long operations of a cluster, from what their processes record, their journals and the events."""

from pathlib import Path

from kraftd.clock import Clock
from kraftd.errors import FileAccessError
from kraftd.health.programs.operations import (
    ENDED,
    JOURNALS,
    MOST_DONE,
    Ending,
    Operation,
    Progress,
    ending_of,
    operations_now,
    parse_progress,
)
from kraftd.host.events import recent_events
from kraftd.host.files import read_text
from kraftd.host.processes import Process, is_alive
from kraftd.plan.layout import Layout

_MOST_EVENTS = 1000


class OperationWatch:
    """Reads again only what changed: two directories are looked at, and the processes of what runs."""

    def __init__(self, layout: Layout, clock: Clock) -> None:
        self._layout = layout
        self._clock = clock
        self._seen: tuple[int | None, int | None] | None = None
        self._recorded: tuple[Progress, ...] = ()
        self._journals: dict[str, str] = {}
        self._endings: tuple[Ending, ...] = ()

    def look(self) -> tuple[Operation, ...]:
        """Return the operations as they are now."""
        # Every record is written under another name and renamed, so that the directory's time tells of it.
        seen = _changed_ns(self._layout.operations), _changed_ns(self._layout.state_dir)
        if seen != self._seen:
            self._recorded = _recorded(self._layout.operations)
            texts = {name: _text(self._layout.state_dir / name) for name in JOURNALS}
            self._journals = {name: text for name, text in texts.items() if text is not None}
            self._endings = _endings(self._layout)
            self._seen = seen
        running = [each for each in self._recorded if is_alive(Process(each.pid, each.incarnation, 0.0))]
        return operations_now(running, self._journals, self._endings, self._clock.now_s())


def _changed_ns(directory: Path) -> int | None:
    try:
        return directory.stat().st_mtime_ns
    except OSError:
        return None


def _text(path: Path) -> str | None:
    """Return a text, an empty one where it is there and cannot be read; None where it is not there."""
    try:
        return read_text(path)
    except FileAccessError:
        return ""


def _recorded(directory: Path) -> tuple[Progress, ...]:
    found = []
    for file in sorted(directory.glob("*.json")):
        text = _text(file)
        if text is not None and (progress := parse_progress(text)) is not None:
            found.append(progress)
    return tuple(found)


def _endings(layout: Layout) -> tuple[Ending, ...]:
    events = [each for each in recent_events(layout.events, _MOST_EVENTS) if each.kind == ENDED]
    endings = (ending_of(each.at, each.facts) for each in events)
    return tuple(each for each in endings if each is not None)[-MOST_DONE:]
