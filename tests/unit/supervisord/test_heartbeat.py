import os

import pytest

from kraftd.daemon.watchdog import Heartbeat
from kraftd.supervisord.heartbeat import HEARTBEAT, Alarm, HeartbeatWatch
from tests.clocks import ManualClock
from tests.plans import plan_of


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "heartbeat"
    made.write_text("30.0\n")
    return made


def looks(watch, clock, seconds, *, pid=7, before=lambda: None):
    """Look every second as supervisord does; return each alarm with its time."""
    found = []
    for second in range(seconds):
        before()
        if alarm := watch.look(pid):
            found.append((second, alarm))
        clock.advance(1.0)
    return found


def test_the_place_is_the_same_for_both(tmp_path):
    layout = plan_of(state_dir=tmp_path).layout

    assert layout.heartbeat == layout.supervisord_conf.parent / HEARTBEAT


def test_a_daemon_that_stops_looking_is_woken_after_its_limit_then_killed(path, clock):
    assert looks(HeartbeatWatch(path, clock.monotonic_s), clock, 60) == [(30, Alarm.WAKE), (40, Alarm.KILL)]
    assert path.read_text() == "30.0 hung\n"


def test_a_daemon_that_looks_is_left_alone(path, clock):
    watch = HeartbeatWatch(path, clock.monotonic_s)

    assert looks(watch, clock, 200, before=lambda: os.utime(path, ns=(0, int(clock.monotonic_s() * 1e9)))) == []


def test_a_daemon_that_was_woken_and_looks_again_is_not_killed(path, clock):
    watch = HeartbeatWatch(path, clock.monotonic_s)
    assert looks(watch, clock, 31) == [(30, Alarm.WAKE)]
    os.utime(path, ns=(0, 5))

    assert looks(watch, clock, 29) == []


def test_the_next_daemon_has_its_own_time(path, clock):
    watch = HeartbeatWatch(path, clock.monotonic_s)
    looks(watch, clock, 29)

    assert looks(watch, clock, 30, pid=8) == []


def test_an_hour_in_which_supervisord_did_not_run_counts_as_one_look(path, clock):
    watch = HeartbeatWatch(path, clock.monotonic_s)
    looks(watch, clock, 11)
    clock.advance(3600.0)

    assert looks(watch, clock, 5) == []


@pytest.mark.parametrize("text", [None, "", "soon"])
def test_without_a_limit_nothing_is_watched(path, clock, text):
    path.unlink() if text is None else path.write_text(text)

    assert looks(HeartbeatWatch(path, clock.monotonic_s), clock, 200) == []


@pytest.mark.parametrize(
    ("toml", "limit"),
    [("", "30.0\n"), ("[watchdog]\ndaemon_silent_s = 6", "6.0\n"), ("[daemon]\ninterval_s = 60", "180.0\n")],
)
def test_the_daemon_states_its_limit_which_is_never_shorter_than_three_looks(path, toml, limit):
    Heartbeat(path, plan_of(toml).daemon).begin()

    assert path.read_text() == limit


def test_where_the_watchdog_is_off_nothing_is_left_to_watch(path):
    heartbeat = Heartbeat(path, plan_of("[watchdog]\nenabled = false").daemon)

    heartbeat.begin()
    heartbeat.beat()

    assert not path.exists()


def test_a_run_that_was_ended_because_it_hung_is_told_once(path):
    path.write_text("30.0 hung\n")
    daemon = plan_of().daemon

    assert [Heartbeat(path, daemon).begin() for _ in range(2)] == [True, False]


def test_the_daemon_beats_only_while_its_http_side_goes_on(path):
    heartbeat = Heartbeat(path, plan_of().daemon)
    heartbeat.begin()

    def beats():
        os.utime(path, ns=(0, 0))
        heartbeat.beat()
        return path.stat().st_mtime_ns != 0

    unanswered = beats()
    heartbeat.note_http()

    assert (unanswered, beats(), beats()) == (False, True, False)
