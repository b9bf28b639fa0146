"""supervisord's wait for events ends when a signal arrives."""

import contextlib
import os
import select
import signal

import pytest

from kraftd.supervisord.__main__ import SignalWake


@pytest.fixture
def wake():
    """Return one that is woken by SIGUSR2."""
    before = signal.signal(signal.SIGUSR2, lambda number, frame: None)
    with contextlib.closing(SignalWake()) as made:
        yield made
    signal.signal(signal.SIGUSR2, before)


def is_woken(wake, *, within_s):
    return bool(select.select([wake], [], [], within_s)[0])


def test_a_signal_ends_the_wait_once(wake):
    assert (wake.readable(), wake.writable()) == (True, False)
    assert not is_woken(wake, within_s=0)

    for _ in range(3):
        os.kill(os.getpid(), signal.SIGUSR2)
    assert is_woken(wake, within_s=10)
    wake.handle_read_event()

    assert not is_woken(wake, within_s=0)


def test_a_read_without_a_signal_is_no_error(wake):
    wake.handle_read_event()

    assert not is_woken(wake, within_s=0)


def test_a_flood_of_signals_is_no_error(wake):
    for _ in range(5000):
        signal.raise_signal(signal.SIGUSR2)

    assert is_woken(wake, within_s=10)
