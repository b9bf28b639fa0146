"""Unit tests neither wait nor connect: what needs time takes a clock, what needs a peer takes a fake."""

import socket
import time

import pytest


@pytest.fixture(autouse=True)
def no_waiting_and_no_network(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a unit test may neither sleep nor connect")

    monkeypatch.setattr(time, "sleep", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
