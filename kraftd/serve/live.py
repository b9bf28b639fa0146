"""The page's live part to many open pages: rendered once for all, and only the newest counts for a slow one.

Everything here but the rendering runs on the loop's thread.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from kraftd.clock import Clock
from kraftd.watch.snapshot import Snapshot
from kraftd.web.sse import PING, PING_INTERVAL_S, json_event, retry

MOST_PAGES = 64
POLL_S = 0.25
"""How soon an open page sees a new snapshot, and how soon it is let go when the daemon ends."""
_RETRY_MS = 1000


@dataclass(frozen=True, slots=True)
class Frame:
    """The live part of one snapshot's page, as JSON."""

    html: str
    snapshot: Snapshot | None


class Live:
    """Passes each new snapshot on to every open page."""

    def __init__(
        self,
        newest: Callable[[], Snapshot | None],
        render: Callable[[Snapshot | None], str],
        is_ending: Callable[[], bool],
        clock: Clock,
        *,
        poll_s: float = POLL_S,
        ping_s: float = PING_INTERVAL_S,
    ) -> None:
        """Store the arguments.

        Args:
            newest: Returns the newest snapshot; must not block.
            render: Returns the live part of a snapshot's page; called in a thread.
            is_ending: Whether the daemon ends: open pages would keep it from that.
            clock: Time, for ages.
            poll_s: How often a page looks for something new.
            ping_s: After so long without anything new a page is sent a sign of life.
        """
        self._newest = newest
        self._render = render
        self._is_ending = is_ending
        self._clock = clock
        self._poll_s = poll_s
        self._ping_s = ping_s
        self._pages = 0
        self._frame: Frame | None = None
        self._rendering = asyncio.Lock()

    @property
    def pages(self) -> int:
        """How many pages are open."""
        return self._pages

    @property
    def is_full(self) -> bool:
        """Whether no more pages are served."""
        return self._pages >= MOST_PAGES

    async def frames(self) -> AsyncIterator[bytes]:
        """Yield events to one page, until the daemon ends.

        A page that takes one late gets the newest next: what came in between was never queued for it.
        """
        self._pages += 1
        try:
            yield retry(_RETRY_MS)
            sent: Frame | None = None
            silent_s = 0.0
            while not self._is_ending():
                frame = await self._current()
                if frame is not sent:
                    sent, silent_s = frame, 0.0
                    yield self._event(frame)
                elif silent_s >= self._ping_s:
                    silent_s = 0.0
                    yield PING
                await asyncio.sleep(self._poll_s)
                silent_s += self._poll_s
        finally:
            self._pages -= 1

    async def _current(self) -> Frame:
        """Return the frame of the newest snapshot; the first page that asks has it rendered for all."""
        async with self._rendering:
            snapshot = self._newest()
            if self._frame is None or self._frame.snapshot is not snapshot:
                html = await asyncio.to_thread(self._render, snapshot)
                self._frame = Frame(json.dumps(html), snapshot)
            return self._frame

    def _event(self, frame: Frame) -> bytes:
        """Return a server-sent event; its age is that of now, as the frame may be of before."""
        age_s = None if frame.snapshot is None else max(0.0, self._clock.now_s() - frame.snapshot.taken_at_s)
        return json_event("look", f'{{"age_s": {json.dumps(age_s)}, "html": {frame.html}}}')
