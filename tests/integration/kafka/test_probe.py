import contextlib
import socket
import struct
import threading

import pytest

from kraftd.kafka.probe import ProbeState, connect, probe

pytestmark = pytest.mark.integration

TIMEOUT_S = 5.0
BRIEF_S = 0.05


@contextlib.contextmanager
def server(answer):
    """A server that answers its one connection's request with these bytes; None keeps it silent."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(TIMEOUT_S)
    requests = []
    done = threading.Event()

    def serve():
        connection, _ = listener.accept()
        with connection:
            requests.append(connection.recv(1024))
            if answer is None:
                done.wait(TIMEOUT_S)
            else:
                connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], requests
    finally:
        done.set()
        thread.join()
        listener.close()


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def framed(body):
    return struct.pack(">i", len(body)) + body


API_VERSIONS = framed(struct.pack(">ihi6h", 1, 0, 2, 0, 3, 11, 3, 0, 12))
OF_A_CONTROLLER = framed(struct.pack(">ihi6h", 1, 0, 2, 1, 4, 17, 52, 0, 1))


def test_a_broker_that_answers_is_up_and_its_latency_known():
    with server(API_VERSIONS) as (port, _):
        result = probe("127.0.0.1", port, TIMEOUT_S)

    assert (result.state, result.api_versions_ok) == (ProbeState.ANSWERS, True)
    assert 0 < result.latency_s < TIMEOUT_S
    assert result.error is None


def test_the_request_is_api_versions_0_with_the_clients_name():
    with server(API_VERSIONS) as (port, requests):
        probe("127.0.0.1", port, TIMEOUT_S)

    assert requests == [framed(struct.pack(">hhih", 18, 0, 1, 6) + b"kraftd")]


def test_a_port_where_nothing_listens_is_refused(free_port):
    result = probe("127.0.0.1", free_port, TIMEOUT_S)

    assert (result.state, result.api_versions_ok) == (ProbeState.REFUSED, False)
    assert result.error == f"127.0.0.1:{free_port}: connection refused"


def test_a_frozen_broker_has_an_open_port_and_is_silent():
    with server(None) as (port, _):
        result = probe("127.0.0.1", port, BRIEF_S)

    assert (result.state, result.api_versions_ok) == (ProbeState.SILENT, False)
    assert result.error == f"127.0.0.1:{port}: no answer within 0.05 s"


@pytest.mark.parametrize("answer", [b"", b"\0\0", API_VERSIONS[:-1]], ids=["nothing", "half a length", "half"])
def test_a_connection_that_the_peer_ends_is_closed(answer):
    with server(answer) as (port, _):
        result = probe("127.0.0.1", port, TIMEOUT_S)

    assert (result.state, result.api_versions_ok) == (ProbeState.CLOSED, False)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        framed(struct.pack(">ihi", 7, 0, 0)),
        framed(struct.pack(">ihi", 1, 35, 0)),
        OF_A_CONTROLLER,
        struct.pack(">i", -1),
    ],
    ids=["a web server", "another correlation id", "an error code", "a controller", "a negative length"],
)
def test_something_else_on_the_port_is_not_kafka(answer):
    with server(answer) as (port, _):
        result = probe("127.0.0.1", port, TIMEOUT_S)

    assert (result.state, result.api_versions_ok) == (ProbeState.NOT_KAFKA, False)


def test_a_name_that_does_not_resolve_is_unreachable():
    result = probe("kraftd.invalid", 9092, TIMEOUT_S)

    assert result.state is ProbeState.UNREACHABLE


def test_a_controllers_port_listens_or_does_not(free_port):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert connect("127.0.0.1", listener.getsockname()[1], TIMEOUT_S).state is ProbeState.ANSWERS

    assert connect("127.0.0.1", free_port, TIMEOUT_S).state is ProbeState.REFUSED


@pytest.fixture
def port_of_a_dying_listener(monkeypatch):
    """Return a port whose listener is killed with the connection still in its queue."""
    listener = socket.create_server(("127.0.0.1", 0))
    connect = socket.create_connection

    def connect_and_kill(*arguments, **options):
        connection = connect(*arguments, **options)
        listener.close()
        return connection

    monkeypatch.setattr(socket, "create_connection", connect_and_kill)
    return listener.getsockname()[1]


def test_a_broker_that_is_killed_while_it_is_asked_is_refused(port_of_a_dying_listener):
    assert probe("127.0.0.1", port_of_a_dying_listener, TIMEOUT_S).state is ProbeState.REFUSED


def test_a_controller_that_is_killed_while_it_is_asked_does_not_listen(port_of_a_dying_listener):
    assert connect("127.0.0.1", port_of_a_dying_listener, TIMEOUT_S).state is not ProbeState.ANSWERS
