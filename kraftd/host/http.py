"""One HTTP GET on this machine, bounded in time and size."""

import http.client
import io
import socket
import time
from dataclasses import dataclass
from typing import Any

_MOST_BYTES = 64 << 20
"""The health of a cluster with a hundred thousand partitions fits."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of a GET.

    Attributes:
        status: The HTTP status; None if no answer came.
        body: The body, or the reason why there is none.
        timed_out: Whether none came in time.
        refused: Whether nothing listens.
    """

    status: int | None
    body: str
    timed_out: bool = False
    refused: bool = False


def get(host: str, port: int, path: str, *, timeout_s: float, most_bytes: int = _MOST_BYTES) -> Answer:
    """Return the answer of a server on this machine; uses no proxy, follows no redirect and never raises.

    Args:
        host: Its host.
        port: Its port.
        path: Path and query.
        timeout_s: Limits the whole exchange.
        most_bytes: The longest answer to accept.
    """
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    deadline_s = time.monotonic() + timeout_s
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        with http.client.HTTPResponse(connection.sock, method="GET") as response:
            # The socket's own time limit would start over with each byte.
            response.fp = io.BufferedReader(
                _BoundedReader(connection.sock, response.fp.detach(), deadline_s, most_bytes)
            )
            response.begin()
            # http.client reserves the memory for the whole of an announced length at once.
            if (response.length or 0) > most_bytes:
                raise _TooLongError(most_bytes)
            return Answer(response.status, response.read().decode("utf-8", errors="replace"))
    except TimeoutError:
        return Answer(None, f"no answer within {timeout_s:g} s", timed_out=True)
    except ConnectionRefusedError:
        return Answer(None, "connection refused", refused=True)
    except (OSError, http.client.HTTPException) as error:
        return Answer(None, str(error) or type(error).__name__)
    finally:
        connection.close()


class _TooLongError(OSError):
    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"the answer is longer than {most_bytes} bytes")


class _BoundedReader(io.RawIOBase):
    def __init__(self, connection: socket.socket, raw: io.RawIOBase, deadline_s: float, most_bytes: int) -> None:
        self._connection = connection
        self._raw = raw
        self._deadline_s = deadline_s
        self._most_bytes = most_bytes
        self._received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        remaining_s = self._deadline_s - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError
        if self._received > self._most_bytes:
            raise _TooLongError(self._most_bytes)
        self._connection.settimeout(remaining_s)
        count = self._raw.readinto(buffer)
        self._received += count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
