import contextlib
import gc
import socket
import struct
import threading
import time
import warnings
from types import SimpleNamespace

import pytest

from kraftd.kafka.connection import KafkaPythonWire
from kraftd.kafka.model import Failure, KafkaUnreachableError
from kraftd.kafka.wire import Request
from kraftd.plan.plan import Access
from tests.harness import eventually

METADATA = Request("Metadata", {"topics": [{"topic_id": None, "name": "t"}]})
BRIEF_S = 0.2
METADATA_KEY, API_VERSIONS_KEY = 3, 18

pytestmark = pytest.mark.integration


@contextlib.contextmanager
def wire_to(*ports, timeout_s=BRIEF_S):
    wire = KafkaPythonWire(Access(tuple(f"127.0.0.1:{port}" for port in ports)), timeout_s=timeout_s, client_id="test")
    wire.open()
    try:
        yield wire
    finally:
        wire.close()


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def silent_port():
    """A port whose process never accepts, as a frozen broker's: the kernel makes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


class FakeBroker(threading.Thread):
    """Answers ApiVersions on one connection, notes the version of the next request, and closes it; then the next."""

    def __init__(self, *newest_versions):
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._newest_versions = newest_versions
        self.port = self._listener.getsockname()[1]
        self.asked = []

    def run(self):
        with self._listener:
            for newest in self._newest_versions:
                connection, _ = self._listener.accept()
                with connection, connection.makefile("rb") as requests:
                    _, correlation_id = request_of(requests)
                    # No error; one entry; then the time that the client is to wait.
                    answer = struct.pack(">ihB", correlation_id, 0, 3)
                    for key, versions in ((API_VERSIONS_KEY, (0, 4)), (METADATA_KEY, (0, newest))):
                        answer += struct.pack(">hhhB", key, *versions, 0)
                    answer += struct.pack(">iB", 0, 0)
                    connection.sendall(struct.pack(">i", len(answer)) + answer)
                    self.asked.append(request_of(requests)[0])


def request_of(requests):
    """Return the version and the correlation id of the next request."""
    (size,) = struct.unpack(">i", requests.read(4))
    return struct.unpack(">hhi", requests.read(size)[:8])[1:]


def brokers_at(ports):
    """A Metadata response's brokers."""
    brokers = [SimpleNamespace(node_id=node_id, host="127.0.0.1", port=port) for node_id, port in ports.items()]
    return SimpleNamespace(brokers=brokers)


def test_where_nothing_listens_kafka_is_unreachable_and_the_error_says_where(free_port):
    with wire_to(free_port) as wire, pytest.raises(KafkaUnreachableError) as raised:
        wire.request_any(METADATA)

    assert str(raised.value) == f"cannot reach Kafka at 127.0.0.1:{free_port}: connection refused"
    assert raised.value.retriable


def test_a_refused_connection_leaves_no_socket_behind(free_port):
    with wire_to(free_port) as wire, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(KafkaUnreachableError):
            wire.request_any(METADATA)
        gc.collect()

    assert [str(warning.message) for warning in caught] == []


@pytest.mark.perf
def test_a_frozen_broker_costs_one_time_limit(silent_port):
    started_s = time.monotonic()
    with wire_to(silent_port) as wire, pytest.raises(KafkaUnreachableError, match=r"no answer within 0\.2 s"):
        wire.request_any(METADATA)

    assert time.monotonic() - started_s < 5 * BRIEF_S


@pytest.mark.perf
def test_a_frozen_broker_makes_only_the_first_question_to_any_wait_in_full(silent_port):
    took_s = []
    with wire_to(silent_port, timeout_s=1.0) as wire:
        for _ in range(2):
            started_s = time.monotonic()
            with pytest.raises(KafkaUnreachableError, match="no answer"):
                wire.request_any(METADATA)
            took_s.append(time.monotonic() - started_s)

    assert took_s[0] >= 0.9
    assert took_s[1] < 0.6


@pytest.mark.perf
def test_a_frozen_broker_is_waited_for_in_full_only_once(silent_port):
    with wire_to(silent_port, timeout_s=1.0) as wire:
        wire.add_brokers(brokers_at({1: silent_port}))
        ((_, first_s),) = wire.request_each_timed([(1, METADATA)])
        ((again, again_s),) = wire.request_each_timed([(1, METADATA)])

    assert first_s >= 0.9
    assert again.error == "TIMED_OUT"
    assert again_s < 0.6


def test_each_broker_fails_for_itself(free_port, silent_port):
    with wire_to(free_port, silent_port) as wire:
        wire.add_brokers(brokers_at({1: free_port, 2: silent_port}))
        refused, silent, unknown = wire.request_each([(1, METADATA), (2, METADATA), (3, METADATA)])

    assert (refused.error, silent.error, unknown.error) == ("CONNECTION_FAILED", "TIMED_OUT", "CONNECTION_FAILED")
    assert refused.retriable
    assert silent == Failure("TIMED_OUT", "no answer within 0.2 s", retriable=True)


def test_every_attempt_is_counted(free_port):
    with wire_to(free_port) as wire:
        wire.request_each([(1, METADATA), (1, Request("ListGroups", {}))])

        assert wire.requests == {"Metadata": 1, "ListGroups": 1}


def test_a_broker_that_was_upgraded_is_asked_in_its_own_version():
    broker = FakeBroker(4, 5)
    broker.start()
    with wire_to(broker.port, timeout_s=10.0) as wire:
        wire.add_brokers(brokers_at({1: broker.port}))
        eventually(lambda: wire.request_each([(1, METADATA)]) and len(broker.asked) == 2)
    broker.join()

    assert broker.asked == [4, 5]


def test_nothing_to_ask_asks_nothing(free_port):
    with wire_to(free_port) as wire:
        assert wire.request_each([]) == []
