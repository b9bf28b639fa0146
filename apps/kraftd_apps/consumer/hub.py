"""The hub of `GET /events`, which sends live records to many open pages.

Each frame is encoded once, and a slow page loses frames instead of delaying others. All of this runs on the loop's
thread.
"""

import asyncio
import re
import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qs

from kraftd.web.asgi import PING, PING_INTERVAL_S, STREAM_HEADERS, Receive, Scope, Send, event, retry
from kraftd_apps.common.problems import ProblemError, problem
from kraftd_apps.consumer.record import row_of
from kraftd_apps.consumer.ring import Entry, Ring

FRAME_INTERVAL_S = 0.1
"""At most ten frames per second: people cannot read more, and each frame costs CPU for every open page."""
FRAME_RECORDS = 50
"""The most records in a frame; older ones are only counted, and available from `/api/messages`."""
_QUEUE_FRAMES = 200
_QUEUE_BYTES = 4 * 1024 * 1024
_RETRY_MS = 2000
_SEQUENCE = re.compile("-?[0-9]{1,18}")
_HEADERS = [(name.encode(), value.encode()) for name, value in STREAM_HEADERS.items()]


@dataclass(frozen=True, slots=True)
class Frame:
    """An encoded event, shared by all pages that receive it."""

    content: bytes
    records: int = 0


class Subscriber:
    """An open page, with a short queue between the hub and its connection."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._dropped = 0
        self._changed = asyncio.Event()
        self._closed = False

    def offer(self, frame: Frame) -> None:
        """Queue a frame; if the queue is full, the oldest frames are dropped and counted."""
        self._frames.append(frame)
        self._bytes += len(frame.content)
        while len(self._frames) > 1 and (len(self._frames) > _QUEUE_FRAMES or self._bytes > _QUEUE_BYTES):
            lost = self._frames.popleft()
            self._bytes -= len(lost.content)
            self._dropped += lost.records
        self._changed.set()

    def close(self) -> None:
        """End the stream after the queued frames."""
        self._closed = True
        self._changed.set()

    async def next(self) -> bytes | None:
        """Wait for bytes to send and return them; None at the end."""
        while not self._frames:
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        gap = event("gap", {"dropped": self._dropped}) if self._dropped else b""
        content = gap + b"".join(frame.content for frame in self._frames)
        self._frames.clear()
        self._bytes = self._dropped = 0
        return content


class Hub:
    """Sends new records and the app's status to every open page."""

    def __init__(
        self, ring: Ring, *, max_subscribers: int, clock: Callable[[], float], ping_s: float = PING_INTERVAL_S
    ) -> None:
        self._ring = ring
        self._max_subscribers = max_subscribers
        self._clock = clock
        self._ping_s = ping_s
        self._subscribers: set[Subscriber] = set()
        self._pending: deque[Entry] = deque(maxlen=FRAME_RECORDS)
        self._arrived = 0
        self._flushed_s = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._pinging: asyncio.TimerHandle | None = None
        self._status: Mapping[str, Any] | None = None
        self._closed = False
        self._life = secrets.token_hex(4)

    @property
    def subscribers(self) -> int:
        """The number of open pages."""
        return len(self._subscribers)

    @property
    def is_full(self) -> bool:
        """Whether the limit of open pages is reached."""
        return len(self._subscribers) >= self._max_subscribers

    def identifier(self, sequence: int) -> str:
        """Return the event id of a sequence number; ids differ after a restart of the app."""
        return f"{self._life}:{sequence}"

    def join(self, after: str) -> Subscriber:
        """Add a page that has seen all events up to an id; an empty id means up to now."""
        subscriber = Subscriber()
        subscriber.offer(Frame(retry(_RETRY_MS)))
        if self._status is not None:
            subscriber.offer(Frame(event("status", self._status)))
        if after:
            self._catch_up(subscriber, after)
        self._subscribers.add(subscriber)
        if self._closed:
            self._dismiss(subscriber)
        if self._pinging is None:
            self._pinging = asyncio.get_running_loop().call_later(self._ping_s, self._ping)
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Remove a page."""
        self._subscribers.discard(subscriber)

    def arrived(self, entries: Sequence[Entry]) -> None:
        """Send new records: the first at once, those that follow within the interval together."""
        if not self._subscribers:
            return
        self._pending.extend(entries)
        self._arrived += len(entries)
        if self._timer is None:
            wait_s = self._flushed_s + FRAME_INTERVAL_S - self._clock()
            if wait_s <= 0:
                self._flush()
            else:
                self._timer = asyncio.get_running_loop().call_later(wait_s, self._flush)

    def show_status(self, status: Mapping[str, Any]) -> None:
        """Send the app's status if it has changed."""
        if status != self._status:
            self._status = status
            self._offer(Frame(event("status", status)))

    def close(self) -> None:
        """End every stream with `bye`, and each later one at once."""
        self._closed = True
        for subscriber in self._subscribers:
            self._dismiss(subscriber)

    @staticmethod
    def _dismiss(subscriber: Subscriber) -> None:
        subscriber.offer(Frame(event("bye", {})))
        subscriber.close()

    def _ping(self) -> None:
        """Ping every page, with one timer for all, because a timer for each would cost more than the frames."""
        self._pinging = None
        if self._subscribers:
            self._offer(Frame(PING))
            self._pinging = asyncio.get_running_loop().call_later(self._ping_s, self._ping)

    def _catch_up(self, subscriber: Subscriber, after: str) -> None:
        life, _, sequence = after.partition(":")
        if life != self._life or not _SEQUENCE.fullmatch(sequence):
            subscriber.offer(Frame(event("gap", {"dropped": None})))
            return
        missed, forgotten = self._ring.since(int(sequence))
        if missed or forgotten:
            shown = missed[-FRAME_RECORDS:]
            subscriber.offer(self._frame(shown, skipped=forgotten + len(missed) - len(shown)))

    def _flush(self) -> None:
        self._timer = None
        self._flushed_s = self._clock()
        entries = list(self._pending)
        skipped = self._arrived - len(entries)
        self._pending.clear()
        self._arrived = 0
        if entries and self._subscribers:
            self._offer(self._frame(entries, skipped))

    def _frame(self, entries: Sequence[Entry], skipped: int) -> Frame:
        data = {"messages": [asdict(row_of(entry.record)) for entry in entries], "skipped": skipped}
        last = entries[-1].sequence if entries else self._ring.last_sequence
        return Frame(event("messages", data, self.identifier(last)), len(entries) + skipped)

    def _offer(self, frame: Frame) -> None:
        for subscriber in self._subscribers:
            subscriber.offer(frame)


class EventsRoute:
    """The route that streams to a page until it disconnects or the app stops."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one page."""
        if self._hub.is_full:
            raise ProblemError(problem("too_many_clients", "close another page, or raise APP_SSE_MAX_CLIENTS"))
        subscriber = self._hub.join(last_seen(scope))
        watching = asyncio.create_task(_close_when_gone(receive, subscriber))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
            while (content := await subscriber.next()) is not None:
                await send({"type": "http.response.body", "body": content, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            watching.cancel()
            self._hub.leave(subscriber)


def last_seen(scope: Scope) -> str:
    """Return a page's last event id: sent by the browser on a reconnect, by the page on the first connection."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    if b"last-event-id" in headers:
        return headers[b"last-event-id"].decode("latin-1")
    query: str = scope["query_string"].decode("latin-1")
    return parse_qs(query).get("after", [""])[0]


async def _close_when_gone(receive: Receive, subscriber: Subscriber) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    subscriber.close()
