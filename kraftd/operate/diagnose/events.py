"""`kraftd events`: what happened to a cluster, merged from the files of all writers, and followed through rotation."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from kraftd.clock import Clock
from kraftd.host.events import WRITERS, Event, event_file, merged, read_events
from kraftd.host.logs import LogReader
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
        self._followed = [LogReader(event_file(directory, writer)) for writer in WRITERS]
        for each in self._followed:
            each.seek_since(0.0)

    def close(self) -> None:
        """Close the files."""
        for each in self._followed:
            each.close()

    def kept(self, since_s: float) -> list[Event]:
        """Return what was recorded before and is kept, oldest first; called once, and first."""
        return list(_since(self.new(), since_s))

    def new(self) -> list[Event]:
        """Return what was recorded since the last call, oldest first."""
        return merged(line for each in self._followed for line in each.lines())


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
