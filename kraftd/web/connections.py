"""Connections that wait for their client, bounded in number and in time; the oldest is ended first."""

from collections.abc import Callable
from typing import Protocol

from uvicorn.server import ServerState

KEEP_ALIVE_S = 75.0
"""How long a connection may be idle: longer than common pools of clients keep one, which would meet a closed socket."""
MOST_IDLE = 400
HEAD_TIMEOUT_S = 20.0
MOST_HEADS = 200
LINGER_S = 10.0
MOST_LINGERING = 100


class Connection(Protocol):
    """One connection."""

    def end_idle(self) -> None:
        """Close it between two requests."""

    def end_head(self) -> None:
        """Refuse a request whose head does not arrive in time."""

    def end_lingering(self) -> None:
        """Close it although the client still sends."""


class Waiting:
    """Connections that wait for the same thing, oldest first."""

    def __init__(self, most: int, timeout_s: float, end: Callable[[Connection], None]) -> None:
        self._most = most
        self._timeout_s = timeout_s
        self._end = end
        self._since_s: dict[Connection, float] = {}

    def __len__(self) -> int:
        return len(self._since_s)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._since_s

    def add(self, connection: Connection, now_s: float) -> None:
        """Add a connection that is not there yet; ends the oldest one if there are too many."""
        self._since_s[connection] = now_s
        if len(self._since_s) > self._most:
            self._end_oldest()

    def discard(self, connection: Connection) -> None:
        """Remove a connection, if it is there."""
        self._since_s.pop(connection, None)

    def expire(self, now_s: float) -> None:
        """End the connections that have waited too long."""
        while self._since_s and now_s - next(iter(self._since_s.values())) >= self._timeout_s:
            self._end_oldest()

    def _end_oldest(self) -> None:
        connection = next(iter(self._since_s))
        del self._since_s[connection]
        self._end(connection)


class HttpState(ServerState):
    """uvicorn's state that all connections of a server share, with those that wait.

    Attributes:
        is_ending: Whether the server has begun to stop, so that no connection is kept for another request.
        idle: Waiting for the first byte of a request.
        heads: Waiting for the rest of a request's head.
        lingering: Answered for the last time; the client still sends.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_ending = False
        self.idle = Waiting(MOST_IDLE, KEEP_ALIVE_S, lambda connection: connection.end_idle())
        self.heads = Waiting(MOST_HEADS, HEAD_TIMEOUT_S, lambda connection: connection.end_head())
        self.lingering = Waiting(MOST_LINGERING, LINGER_S, lambda connection: connection.end_lingering())

    def expire(self, now_s: float) -> None:
        """End the connections that have waited too long; called a few times a second."""
        self.idle.expire(now_s)
        self.heads.expire(now_s)
        self.lingering.expire(now_s)

    def forget(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        self.idle.discard(connection)
        self.heads.discard(connection)
        self.lingering.discard(connection)
