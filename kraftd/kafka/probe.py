"""Probes of a port with plain sockets, cheap enough to repeat every 20 ms while a cluster starts."""

import enum
import errno
import socket
import struct
import time
from dataclasses import dataclass

_API_VERSIONS = 18
_METADATA = 3
"""Of ApiVersions' list, what a broker answers and a controller does not."""

_CORRELATION_ID = 1
_BEFORE_API_KEYS_BYTES = struct.calcsize(">ihi")
"""Correlation id, error code, and the number of keys."""

_MAX_RESPONSE_BYTES = 1 << 20
_REQUEST_BODY = struct.pack(">hhih6s", _API_VERSIONS, 0, _CORRELATION_ID, 6, b"kraftd")
_REQUEST = struct.pack(">i", len(_REQUEST_BODY)) + _REQUEST_BODY


class ProbeState(enum.StrEnum):
    """The reaction of a port to a probe."""

    ANSWERS = "answers"
    REFUSED = "refused"
    SILENT = "silent"
    CLOSED = "closed"
    UNREACHABLE = "unreachable"
    NOT_KAFKA = "not_kafka"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of a probe of a broker's client port.

    Attributes:
        state: answers: an ApiVersions response came. refused: nothing listens. silent: no response in time, or not
            even a connection, as with a frozen process whose queue is full. closed: the peer closed the connection.
            unreachable: no connection. not_kafka: something else answered.
        latency_s: From the first packet to the end of the response; None without a response.
        error: The cause for people; None if it answers.
    """

    state: ProbeState
    latency_s: float | None = None
    error: str | None = None

    @property
    def api_versions_ok(self) -> bool:
        """Whether a broker answered; KRaft opens the client port only once the broker is unfenced."""
        return self.state is ProbeState.ANSWERS


def probe(host: str, port: int, timeout_s: float) -> ProbeResult:
    """Send ApiVersions (version 0) on a new connection; timeout_s limits the whole exchange."""
    started_s = time.monotonic()
    try:
        with _connect(host, port, timeout_s) as connection:
            connection.sendall(_REQUEST)
            answer = _receive(connection, started_s + timeout_s)
    except _ProbeFailedError as failed:
        return ProbeResult(failed.state, error=f"{host}:{port}: {failed}")
    except TimeoutError:
        return ProbeResult(ProbeState.SILENT, error=f"{host}:{port}: no answer within {timeout_s:g} s")
    except OSError as error:
        return ProbeResult(ProbeState.CLOSED, error=f"{host}:{port}: connection closed: {error.strerror or error}")
    latency_s = time.monotonic() - started_s
    correlation_id, error_code = struct.unpack_from(">ih", answer)
    if correlation_id != _CORRELATION_ID or error_code != 0 or _METADATA not in _api_keys(answer):
        return ProbeResult(ProbeState.NOT_KAFKA, error=f"{host}:{port}: answered, but not as a broker does")
    return ProbeResult(ProbeState.ANSWERS, latency_s=latency_s)


def _api_keys(answer: bytes) -> set[int]:
    """Return what may be asked, of the triples of key, lowest and highest version in an ApiVersions response 0."""
    triples = answer[_BEFORE_API_KEYS_BYTES:]
    return {key for key, _, _ in struct.iter_unpack(">hhh", triples[: len(triples) // 6 * 6])}


def connect(host: str, port: int, timeout_s: float) -> ProbeResult:
    """Return how a port reacts to a connection, which answers where it is accepted."""
    try:
        _connect(host, port, timeout_s).close()
    except _ProbeFailedError as failed:
        return ProbeResult(failed.state, error=f"{host}:{port}: {failed}")
    return ProbeResult(ProbeState.ANSWERS)


class _ProbeFailedError(Exception):
    def __init__(self, state: ProbeState, text: str) -> None:
        super().__init__(text)
        self.state = state


def _connect(host: str, port: int, timeout_s: float) -> socket.socket:
    try:
        connection = socket.create_connection((host, port), timeout=timeout_s)
    except ConnectionRefusedError as error:
        raise _ProbeFailedError(ProbeState.REFUSED, "connection refused") from error
    except TimeoutError as error:
        raise _ProbeFailedError(ProbeState.SILENT, f"no connection within {timeout_s:g} s") from error
    except OSError as error:
        cause = error.strerror or str(error)
        raise _ProbeFailedError(ProbeState.UNREACHABLE, f"no connection: {cause}") from error
    if not _has_another_peer(connection):
        connection.close()
        raise _ProbeFailedError(ProbeState.REFUSED, "connection refused")
    return connection


def _has_another_peer(connection: socket.socket) -> bool:
    """Return whether a connection still leads to another socket."""
    try:
        # If nothing listens on an ephemeral port, TCP may connect a socket to itself.
        return bool(connection.getsockname() != connection.getpeername())
    except OSError:
        # The listener ended with this connection in its backlog, as when its process is killed.
        return False


def _receive(connection: socket.socket, deadline_s: float) -> bytes:
    (length,) = struct.unpack(">i", _receive_exactly(connection, 4, deadline_s))
    if not struct.calcsize(">ih") <= length <= _MAX_RESPONSE_BYTES:
        raise _ProbeFailedError(ProbeState.NOT_KAFKA, f"answered, but not as a broker does: length {length}")
    return _receive_exactly(connection, length, deadline_s)


def _receive_exactly(connection: socket.socket, count: int, deadline_s: float) -> bytes:
    received = bytearray()
    while len(received) < count:
        remaining_s = deadline_s - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError
        connection.settimeout(remaining_s)
        chunk = connection.recv(count - len(received))
        if not chunk:
            raise ConnectionResetError(errno.ECONNRESET, "end of stream")
        received += chunk
    return bytes(received)
