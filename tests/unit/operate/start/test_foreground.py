"""How a cluster in the foreground ends, and what a service manager is told of it, without a process."""

import contextlib
import shutil
import signal
from dataclasses import dataclass, field, replace

import pytest

from kraftd.errors import KraftdError, NeedsRunningClusterError, RefusedError, TimedOutError
from kraftd.health.programs.state import ServiceState
from kraftd.health.programs.verdict import judge
from kraftd.health.report.health import health_document
from kraftd.host.lock import acquire
from kraftd.host.notify import ServiceManager
from kraftd.host.signals import StopSignals
from kraftd.operate.context import CommandContext
from kraftd.operate.start.foreground import (
    ClusterEndedError,
    Foreground,
    ForegroundDoors,
    HurriedStopError,
    Relay,
    given_up,
    is_fresh,
    status_line,
)
from kraftd.operate.start.sequence import StartFailedError
from kraftd.operate.start.start import StartOptions, lock_and_start
from kraftd.operate.stop.stop import StopOptions, stop
from tests.clocks import ManualClock
from tests.plans import PYTHON, plan_of
from tests.unit.health.views import program, snapshot
from tests.unit.operate.fake_cluster import FakeCluster, FakeProgram


@dataclass
class Shown:
    """What the command showed."""

    kinds: list[str] = field(default_factory=list)

    def started(self, result):
        self.kinds.append("ready")

    def event(self, event):
        self.kinds.append(event.kind)

    def stopped(self, result):
        self.kinds.append("stopped")


class Manager(ServiceManager):
    """A service manager that keeps what it was told."""

    def __init__(self):
        super().__init__()
        self.told = []

    def notify(self, **variables):
        self.told += [name for name in variables if name != "STATUS"]


@pytest.fixture
def cluster(tmp_path):
    return FakeCluster(tmp_path)


@pytest.fixture
def signals():
    with StopSignals() as received:
        yield received


def later(cluster, after_s, act):
    """Let something happen while the command sleeps."""
    due_s = cluster.clock.monotonic_s() + after_s
    pending, sleep = [act], cluster.clock.sleep

    def slept(seconds):
        sleep(seconds)
        if pending and cluster.clock.monotonic_s() >= due_s:
            pending.pop()()

    cluster.clock.sleep = slept


def foreground(cluster, signals, **doors):
    start = cluster.starting()
    chosen = start.configured.chosen
    command_context = CommandContext({}, cluster.tmp_path, cluster.tmp_path, PYTHON, cluster.clock)

    def health(plan, timeout_s):
        raise NeedsRunningClusterError("cannot ask the daemon")

    given = {"start": lambda *_: lock_and_start(cluster.starting()), "health": health, "reap": dict, **doors}
    made = ForegroundDoors(cluster=lambda plan, command_context: cluster.context, **given)
    return Foreground(chosen, StartOptions(), command_context, signals, Manager(), Shown(), doors=made)


def test_a_signal_stops_the_cluster_in_order_and_is_no_failure(cluster, signals):
    later(cluster, 20.0, lambda: signal.raise_signal(signal.SIGTERM))
    made = foreground(cluster, signals)

    made.run()

    assert cluster.of("SIGTERM")[-1] == "controller-101"
    assert cluster.supervisor_pid is None
    assert made.view.kinds == ["ready", "cluster_started", "stopped"]
    assert made.manager.told == ["READY", "MAINPID", "STOPPING"]


def test_a_signal_ends_a_print_that_blocks(cluster, signals):
    class Blocked(Shown):
        def event(self, event):
            signal.raise_signal(signal.SIGTERM)
            raise AssertionError("the print went on")

    made = foreground(cluster, signals)
    made.view = Blocked()

    made.run()

    assert made.view.kinds == ["ready", "stopped"]


def test_a_signal_during_the_start_stops_what_has_begun(tmp_path, signals):
    cluster = FakeCluster(tmp_path, programs={"broker-1": FakeProgram(ready_after_s=None)})
    later(cluster, 5.0, lambda: signal.raise_signal(signal.SIGINT))
    made = foreground(cluster, signals)

    made.run()

    assert "broker-2" in cluster.of("SIGTERM")
    assert cluster.supervisor_pid is None
    assert "READY" not in made.manager.told


def test_a_signal_before_the_start_starts_nothing(cluster, signals):
    signal.raise_signal(signal.SIGTERM)

    foreground(cluster, signals).run()

    assert cluster.did == []


def test_a_second_signal_kills_what_does_not_end(tmp_path, signals):
    cluster = FakeCluster(tmp_path, programs={"broker-1": FakeProgram(term_takes_s=300.0)})
    later(cluster, 20.0, lambda: signal.raise_signal(signal.SIGINT))
    later(cluster, 30.0, lambda: signal.raise_signal(signal.SIGINT))

    with pytest.raises(HurriedStopError) as caught:
        foreground(cluster, signals).run()

    assert caught.value.exit_code == 130
    assert "broker-1" in cluster.of("SIGKILL")
    assert cluster.clock.monotonic_s() - cluster.began_s < 60


def test_a_stop_by_another_command_ends_it_and_is_not_repeated(cluster, signals):
    later(cluster, 20.0, lambda: stop(cluster.context, StopOptions()))
    made = foreground(cluster, signals)

    made.run()

    assert cluster.store.generation() == 1
    assert made.view.kinds[-1] == "cluster_stopped"


def test_a_restart_by_another_command_is_survived(cluster, signals):
    def begins():
        held.enter_context(cluster.context.lock("restart", timeout_s=1.0))
        cluster.supervisor_pid = None

    def ends():
        cluster.supervisor_pid = 1
        held.close()

    held = contextlib.ExitStack()
    later(cluster, 20.0, begins)
    later(cluster, 40.0, ends)
    later(cluster, 60.0, lambda: signal.raise_signal(signal.SIGTERM))
    made = foreground(cluster, signals)

    made.run()

    assert cluster.clock.monotonic_s() - cluster.began_s > 60
    assert made.view.kinds[-1] == "stopped"


def test_supervisord_that_ends_by_itself_is_a_failure_and_what_it_leaves_is_stopped(cluster, signals):
    def killed():
        cluster.supervisor_pid = None
        statuses[1] = -9

    statuses = {}
    later(cluster, 20.0, killed)

    with pytest.raises(ClusterEndedError, match="supervisord ended with signal 9") as caught:
        foreground(cluster, signals, reap=lambda: statuses).run()

    assert caught.value.exit_code == 1
    assert {"broker-1", "broker-2", "controller-101"} <= set(cluster.of("SIGTERM"))


def test_a_cluster_that_was_stopped_and_destroyed_is_no_failure(cluster, signals):
    def destroyed():
        stop(cluster.context, StopOptions())
        shutil.rmtree(cluster.plan.layout.state_dir)

    later(cluster, 20.0, destroyed)

    foreground(cluster, signals).run()

    assert not cluster.plan.layout.state_dir.exists()


def test_a_start_that_fails_leaves_nothing_behind(tmp_path, signals):
    cluster = FakeCluster(tmp_path, programs={"broker-2": FakeProgram(fails=True)})

    with pytest.raises(StartFailedError):
        foreground(cluster, signals).run()

    assert "broker-1" in cluster.of("SIGTERM")
    assert cluster.supervisor_pid is None


def test_a_start_that_fails_leaves_alone_what_ran_before(cluster, signals):
    def refused(*_):
        raise KraftdError("cannot read the configuration")

    cluster.store.write_plan(cluster.plan)
    cluster.runs()

    with pytest.raises(KraftdError, match="configuration"):
        foreground(cluster, signals, start=refused).run()

    assert cluster.did == []


def test_a_start_that_waits_too_long_for_another_one_leaves_that_alone(cluster, signals):
    def start(*_):
        with acquire(cluster.plan.layout.lock, command="start", clock=cluster.clock, timeout_s=0.0):
            cluster.runs()
            return lock_and_start(cluster.starting(timeout_s=5.0))

    with pytest.raises(TimedOutError):
        foreground(cluster, signals, start=start).run()

    assert (cluster.did, cluster.supervisor_pid) == ([], 1)


def test_a_signal_while_another_command_starts_the_cluster_leaves_that_alone(cluster, signals):
    def start(*_):
        cluster.runs()
        return lock_and_start(cluster.starting(timeout_s=60.0))

    later(cluster, 5.0, lambda: signal.raise_signal(signal.SIGINT))
    with acquire(cluster.plan.layout.lock, command="start", clock=cluster.clock, timeout_s=0.0):
        foreground(cluster, signals, start=start).run()

    assert (cluster.did, cluster.supervisor_pid) == ([], 1)


def test_a_cluster_that_runs_is_taken_over(cluster, signals):
    cluster.store.write_plan(cluster.plan)
    cluster.runs()
    later(cluster, 20.0, lambda: signal.raise_signal(signal.SIGTERM))

    foreground(cluster, signals).run()

    assert "launch" not in [verb for verb, _ in cluster.did]
    assert cluster.supervisor_pid is None


def test_a_second_foreground_is_refused_and_touches_nothing(cluster, signals):
    def second():
        did = len(cluster.did)
        with pytest.raises(RefusedError) as caught:
            foreground(cluster, signals).run()
        refused.append((caught.value.code, caught.value.exit_code, len(cluster.did) - did))
        signal.raise_signal(signal.SIGTERM)

    refused = []
    later(cluster, 20.0, second)

    foreground(cluster, signals).run()

    assert refused == [("foreground_taken", 8, 0)]


def test_a_start_that_is_refused_leaves_no_trace(cluster, signals):
    def refused(*_):
        raise KraftdError("cannot read the configuration")

    with pytest.raises(KraftdError, match="configuration"):
        foreground(cluster, signals, start=refused).run()

    assert not cluster.plan.layout.state_dir.exists()


PLAN = plan_of()


@dataclass
class Heard:
    """A service manager that keeps what it was told."""

    watchdog_s: float | None = None
    said: list[dict[str, str]] = field(default_factory=list)

    def notify(self, **variables):
        self.said.append(variables)


def document(*programs, age_s=0.0):
    look = snapshot(*(programs or (program("broker-1"),)))
    return health_document(PLAN, look, judge(look), 1000.0 + age_s)


def relayed(answers, *, watchdog_s=None, is_changing=False, for_s=4.0):
    """Return what a service manager hears, with the daemon's answers in turn; the last one stays."""
    clock, manager = ManualClock(), Heard(watchdog_s)
    left = list(answers)

    def health(plan, timeout_s):
        answer = left.pop(0) if len(left) > 1 else left[0]
        if answer is None:
            raise NeedsRunningClusterError("cannot ask the daemon")
        return answer

    relay = Relay(manager, health, clock)
    for _ in range(int(for_s / 0.25)):
        relay.ask(PLAN, is_changing=is_changing)
        clock.advance(0.25)
    return manager.said


def test_the_verdict_is_told_when_it_changes():
    well, ill = document(), document(program("broker-1", ServiceState.DOWN, "it ended"))

    said = relayed([well, well, ill, well], for_s=10.0)

    assert said == [{"STATUS": status_line(each)} for each in (well, ill, well)]


def test_a_status_is_one_short_line_whatever_a_reason_holds():
    odd = replace(document(), reasons=("a\x1b[31m\nb", "x" * 1000))

    assert status_line(odd).startswith("ok: a\\x1b[31m\\nb; xxx")
    assert len(status_line(odd)) <= 200
    assert status_line(document()).startswith("ok: Kafka 3.9.2 on 127.0.0.1:9092")


@pytest.mark.parametrize(("watchdog_s", "times"), [(4.0, 2), (2.0, 4), (1.0, 8), (600.0, 2)])
def test_a_watchdog_hears_from_a_daemon_that_observes_in_half_of_its_time(watchdog_s, times):
    said = relayed([document()], watchdog_s=watchdog_s)

    assert said.count({"WATCHDOG": "1"}) == times


@pytest.mark.parametrize("answer", [None, document(age_s=11.0)])
def test_a_watchdog_hears_nothing_of_a_daemon_that_does_not_observe(answer):
    assert {"WATCHDOG": "1"} not in relayed([answer], watchdog_s=2.0)
    assert not is_fresh(answer)


def test_a_watchdog_is_kept_quiet_while_a_command_restarts_the_cluster():
    said = relayed([None], watchdog_s=4.0, is_changing=True)

    assert said == [{"STATUS": "A command restarts the cluster"}, {"WATCHDOG": "1"}, {"WATCHDOG": "1"}]


def test_brokers_are_given_up_when_none_serves_or_is_restarted():
    out = [program(f"broker-{number}", ServiceState.GIVEN_UP, "a bad property") for number in (1, 2)]
    back = program("broker-2", ServiceState.BACKOFF, "a port in use")

    assert given_up(document(*out, program("producer"))) == "broker-1 (a bad property), broker-2 (a bad property)"
    assert given_up(document(out[0], back)) == ""
    assert given_up(document(out[0], program("broker-2"))) == ""
    assert given_up(None) == ""
