"""`kraftd events`: what happened to a cluster, merged from the files of all writers, and followed through rotation."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from kraftd.clock import Clock
from kraftd.host.events import WRITERS, Event, event_file, merged, read_events
from kraftd.operate.logs import FollowedLog
from kraftd.units import timestamp

_POLL_S = 0.2


def events_since(directory: Path, since_s: float) -> list[Event]:
    """Return the events that are kept, oldest first.

    Args:
        directory: The cluster's directory of events.
        since_s: The earliest time of interest, in seconds since the Unix epoch.
    """
    return list(_since(read_events(directory), since_s))


class EventFollower:
    """The events of a cluster as they are recorded; none is lost or repeated."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._followed = [FollowedLog(writer, event_file(directory, writer)) for writer in WRITERS]

    def close(self) -> None:
        """Close the files."""
        for each in self._followed:
            each.close()

    def kept(self, since_s: float) -> list[Event]:
        """Return what was recorded before this was made and is kept, oldest first."""
        rotated = (
            path for each in WRITERS for path in self._directory.glob(f"{event_file(self._directory, each).name}.1")
        )
        lines = [line for path in rotated for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
        lines += [line.text for each in self._followed for line in each.last_lines(sys.maxsize)]
        # A file that was rotated just now was read by both of its names.
        return list(_since(merged(dict.fromkeys(lines)), since_s))

    def new(self) -> list[Event]:
        """Return what was recorded since the last call, oldest first."""
        return merged(line.text for each in self._followed for line in each.new_lines())


def follow_events(directory: Path, since_s: float, clock: Clock) -> Iterator[Event]:
    """Yield the events that are kept, and then those that are recorded, for ever; none is lost or repeated."""
    with contextlib.closing(EventFollower(directory)) as follower:
        yield from follower.kept(since_s)
        while True:
            yield from follower.new()
            clock.sleep(_POLL_S)


def _since(events: Iterable[Event], since_s: float) -> Iterator[Event]:
    # Both have one form, so that their order is that of their texts.
    earliest = timestamp(max(0.0, since_s))
    return (event for event in events if event.at >= earliest)
