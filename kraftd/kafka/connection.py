"""Connections to brokers over kafka-python; the only importer of kafka, and expensive to import (0.13 s of CPU).

It uses the library's connections and protocol but not its admin client, whose calls end at the first error, go to one
broker after the other, and use a cache of coordinators that is never invalidated.
"""

import time
from collections import Counter
from collections.abc import Sequence
from socket import socket as Socket  # noqa: N812 - the class that it is
from typing import Any

from kafka import errors as kafka_errors
from kafka.future import Future
from kafka.net.inet import KafkaNetSocket
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from kraftd.kafka.messages import KafkaMessages, message_of
from kraftd.kafka.model import Failure, KafkaUnreachableError
from kraftd.kafka.wire import Request, Response
from kraftd.plan.plan import Access

TIMED_OUT = "TIMED_OUT"
_RECONNECT_BACKOFF_MAX_MS = 500
_RESPONSE_MAX_BYTES = 100_000_000
_MAX_REQUESTS_IN_FLIGHT = 100
_SILENT_LIMIT_S = 0.3
_SILENT_FOR_S = 8.0
# The library raises RuntimeError if a connection is closed during a request.
_SEND_ERRORS = (kafka_errors.KafkaError, OSError, RuntimeError)


class _ClosedWhenRefused(KafkaNetSocket):  # type: ignore[misc]  # the library has no types
    """Connects as the library does, but closes the socket of a failed attempt instead of leaking it.

    The library selects a socket class by the scheme of its proxy_url.
    """

    SCHEMES = ("direct",)

    def __init__(self, proxy_url: str) -> None:
        super().__init__(proxy_url)
        self._made: Socket | None = None

    def socket(self, *kind: int) -> Socket:
        """Return a new socket."""
        made: Socket = super().socket(*kind)
        self._made = made
        return made

    async def connect(self, *arguments: Any, **options: Any) -> Socket:
        """Return a connected socket; arguments and errors are the library's."""
        try:
            connected: Socket = await super().connect(*arguments, **options)
        except BaseException:
            if self._made is not None:
                self._made.close()
            raise
        return connected


class KafkaPythonWire(KafkaMessages):
    """Connections to one cluster's brokers, opened when first used; safe to share between threads.

    Attributes:
        requests: The number of requests sent, by Kafka's name of the API.
    """

    def __init__(self, access: Access, *, timeout_s: float, client_id: str) -> None:
        self.requests: Counter[str] = Counter()
        self._access = access
        self._timeout_s = timeout_s
        timeout_ms = round(timeout_s * 1000)
        self._net = NetworkSelector(client_id=client_id)
        self._manager = KafkaConnectionManager(
            self._net,
            bootstrap_servers=list(access.addresses),
            client_id=client_id,
            request_timeout_ms=timeout_ms,
            socket_connection_setup_timeout_ms=timeout_ms,
            socket_connection_setup_timeout_max_ms=timeout_ms,
            reconnect_backoff_max_ms=_RECONNECT_BACKOFF_MAX_MS,
            receive_message_max_bytes=_RESPONSE_MAX_BYTES,
            max_in_flight_requests_per_connection=_MAX_REQUESTS_IN_FLIGHT,
            # The library uses Kafka's names, with underscores.
            **{name.replace(".", "_"): value for name, value in access.properties},
            proxy_url=f"{_ClosedWhenRefused.SCHEMES[0]}://",
        )
        # The library names the bootstrap servers bootstrap-0, bootstrap-1 ... A broker among them keeps that name and
        # so its connection: the library's own bootstrap connects twice, and hangs on a frozen broker.
        self._bootstrap = {
            (broker.host, broker.port): broker.node_id for broker in self._manager.cluster.bootstrap_brokers()
        }
        self._nodes: dict[int, Any] = {}
        self._preferred: Any = None
        self._silent_until_s: dict[Any, float] = {}

    def open(self) -> None:
        """Start the I/O thread; opens no connection yet."""
        self._net.start()

    def close(self) -> None:
        """Close every connection and end the thread."""
        self._manager.close()
        self._net.close()

    def add_brokers(self, metadata: Any) -> None:
        """Add the brokers of a Metadata response to the known ones."""
        nodes = {
            broker.node_id: self._bootstrap.get((broker.host, broker.port), broker.node_id)
            for broker in metadata.brokers
        }
        if any(node_id == name for node_id, name in nodes.items()):
            self._manager.cluster.update_metadata(metadata)
        # A new mapping: another thread may be reading the old one.
        self._nodes = self._nodes | nodes

    def request_each(self, requests: Sequence[tuple[int, Request]]) -> list[Response]:
        """Send every request to its broker, all at once, and return the responses in the same order.

        Never raises for a broker: a response that does not arrive within the time limit is a Failure.
        """
        return [answer for answer, _ in self.request_each_timed(requests)]

    def request_each_timed(self, requests: Sequence[tuple[int, Request]]) -> list[tuple[Response, float]]:
        """Do as request_each, and return each response with its duration in seconds."""
        named = [(self._nodes.get(node_id, node_id), request) for node_id, request in requests]
        answers: list[tuple[Response, float]] = self._manager.run(self._gather, named) if named else []
        return answers

    def request_any(self, request: Request) -> Response:
        """Return the response of one broker, preferably of that which answered last, else of the fastest.

        Raises:
            KafkaUnreachableError: No broker answered within the time limit, or twice that after one fell silent.
        """
        names = list(self._nodes.values() or self._bootstrap.values())
        attempts = [[self._preferred]] if self._preferred in names else []
        attempts.append([name for name in names if name != self._preferred] or names)
        failures: list[Failure] = []
        for attempt in attempts:
            answer = self._manager.run(self._first, attempt, request)
            if not isinstance(answer, list):
                self._preferred, response = answer
                return response
            failures += answer
        causes = "; ".join(sorted({failure.text for failure in failures}))
        raise KafkaUnreachableError(
            f"cannot reach Kafka at {self._access.bootstrap_servers}: {causes}",
            hint="'kraftd status' shows which brokers run.",
            details={"causes": causes},
        )

    async def _gather(self, requests: Sequence[tuple[Any, Request]]) -> list[tuple[Response, float]]:
        started_s = time.monotonic()
        settled_s: dict[int, float] = {}
        pending = []
        for index, (name, request) in enumerate(requests):
            future = self._send(name, request)
            future.add_both(lambda _, index=index: settled_s.setdefault(index, time.monotonic()))
            pending.append((name, future, self._limit_s(name)))
        answers = []
        for index, (name, future, limit_s) in enumerate(pending):
            answer = await self._settled(future, started_s + limit_s, limit_s)
            self._note(name, answer, limit_s)
            answers.append((answer, settled_s.get(index, time.monotonic()) - started_s))
        return answers

    def _limit_s(self, name: Any) -> float:
        """Return the time limit for a broker, short if it was just silent, so that not every call waits in full."""
        is_silent = time.monotonic() < self._silent_until_s.get(name, 0.0)
        return min(_SILENT_LIMIT_S, self._timeout_s) if is_silent else self._timeout_s

    def _note(self, name: Any, answer: Response, limit_s: float) -> None:
        if not isinstance(answer, Failure):
            self._silent_until_s.pop(name, None)
        elif answer.error == TIMED_OUT and limit_s == self._timeout_s:
            self._silent_until_s[name] = time.monotonic() + _SILENT_FOR_S

    async def _first(self, names: Sequence[Any], request: Request) -> tuple[Any, Response] | list[Failure]:
        limit_s = max(map(self._limit_s, names))
        deadline_s = time.monotonic() + limit_s
        first = Future()
        failures: list[Failure] = []

        def failed(name: Any, error: BaseException) -> None:
            failures.append(_failure(error, limit_s))
            self._note(name, failures[-1], limit_s)
            if len(failures) == len(names):
                first.success(failures)

        def answered(name: Any, response: Any) -> None:
            if not first.is_done:
                first.success((name, response))

        for name in names:
            self._send(name, request).add_callback(answered, name).add_errback(failed, name)
        answer = await self._settled(first, deadline_s, limit_s)
        if not isinstance(answer, Failure):
            found: tuple[Any, Response] | list[Failure] = answer
            return found
        for name in names:
            self._note(name, answer, limit_s)
        return [answer]

    def _send(self, name: Any, request: Request) -> Future:
        message = message_of(request)
        self.requests[request.api] += 1
        # Otherwise a new connection uses no more than what a broker could do before its upgrade. It costs nothing: each
        # connection asks its broker for the versions anyway.
        self._manager.broker_version_data = None
        try:
            # Otherwise a lost connection starts the library's own loop of metadata requests.
            return self._manager.get_connection(name, refresh_metadata_on_err=False).send_request(message)
        except _SEND_ERRORS as error:
            return Future().failure(error)

    async def _settled(self, future: Future, deadline_s: float, limit_s: float) -> Response:
        try:
            return await self._manager.wait_for(future, max(0.0, deadline_s - time.monotonic()) * 1000)
        except _SEND_ERRORS as error:
            return _failure(error, limit_s)


def _failure(error: BaseException, limit_s: float) -> Failure:
    match error:
        case kafka_errors.KafkaTimeoutError() | kafka_errors.RequestTimedOutError():
            return Failure(TIMED_OUT, f"no answer within {limit_s:g} s", retriable=True)
        case kafka_errors.NodeNotReadyError() | kafka_errors.UnknownBrokerIdError():
            return Failure("CONNECTION_FAILED", "no connection", retriable=True)
        case kafka_errors.KafkaConnectionError() | OSError() | RuntimeError():
            cause = ": ".join(map(str, error.args)) or "closed"
            text = "connection refused" if "ECONNREFUSED" in cause else f"connection failed: {cause}"
            return Failure("CONNECTION_FAILED", text, retriable=True)
        case _:
            name = getattr(error, "message", None) or type(error).__name__
            return Failure(name, str(error), retriable=getattr(error, "retriable", False))
