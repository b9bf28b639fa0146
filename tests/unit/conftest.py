"""Unit tests neither wait nor connect: what needs time takes a clock, what needs a peer takes a fake."""

import socket
import sys
import time

import pytest

_sleep = time.sleep


@pytest.fixture(autouse=True)
def no_waiting_and_no_network(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a unit test may neither sleep nor connect")

    def sleep(seconds):
        # subprocess polls a child that it waits for with a timeout.
        if sys._getframe(1).f_globals["__name__"] != "subprocess":
            refuse()
        _sleep(seconds)

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


@pytest.fixture
def listener():
    """A socket of this process that listens on a free port of the loopback address."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server
