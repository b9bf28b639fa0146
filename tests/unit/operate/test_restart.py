"""A rolling restart of a cluster without processes: what is signalled, started and waited for."""

import json
from dataclasses import dataclass, field, replace

import pytest

from kraftd.clock import Clock
from kraftd.errors import (
    IdentityMismatchError,
    KraftdError,
    NeedsRunningClusterError,
    RefusedError,
    TimedOutError,
    UnknownNameError,
)
from kraftd.health.programs.disks import DiskSpace
from kraftd.host.machine import PortHolder
from kraftd.host.processes import Process
from kraftd.kafka.model import Failure
from kraftd.operate.context import NullReporter
from kraftd.operate.restart import COMMAND, RollingOptions, lock_and_restart, restart_rolling
from kraftd.operate.rolling.journal import Journal, identity, read_journal, write_journal
from kraftd.operate.start.preflight import PortInUseError
from kraftd.operate.start.sequence import YieldedError
from kraftd.operate.start.start import lock_and_start
from kraftd.operate.stop.stop import StopOptions
from tests.plans import plan_of
from tests.unit.operate.fake_cluster import FakeCluster, FakeProgram

NODES = ("broker-1", "broker-2", "controller-101")


@pytest.fixture
def cluster(tmp_path):
    return started(FakeCluster(tmp_path))


def started(made):
    lock_and_start(made.starting())
    made.clock.advance(60.0)
    made.did.clear()
    return made


def roll(cluster, *names, **options):
    return restart_rolling(cluster.context, RollingOptions(names, **options), cluster.start_doors())


def left_by(cluster, *done, names=NODES, ago_s=60.0):
    """Leave the journal of a command that was killed after it had restarted some programs."""
    processes = cluster.process_table().processes
    old = {name: replace(processes[name], incarnation=-1.0) if name in done else processes[name] for name in names}
    write_journal(cluster.plan.layout, Journal(COMMAND, Process(4, 4.0, 0.0), cluster.clock.now_s() - ago_s, old))


def test_one_node_after_the_other_is_restarted_the_active_controller_last(cluster):
    desired = cluster.store.desired()

    result = roll(cluster)

    order = ("broker-2", "controller-101", "broker-1")
    assert cluster.did == [step for name in order for step in (("SIGTERM", name), ("start", name))]
    assert tuple(each.name for each in result.restarted) == result.order == order
    assert cluster.store.desired() == desired
    assert read_journal(cluster.plan.layout) is None


def test_apps_are_restarted_where_they_are_named_and_nothing_else_is(cluster):
    roll(cluster, "consumer", "kraftd")

    assert cluster.did == [
        ("SIGTERM", "consumer"),
        ("start", "consumer"),
        ("SIGTERM", "kraftd"),
        ("start", "kraftd"),
    ]


def test_a_dry_run_tells_the_order_and_what_would_be_waited_for(cluster):
    cluster.isr = (1,)

    result = roll(cluster, dry_run=True)

    assert result.order == ("broker-2", "controller-101", "broker-1")
    assert [each.gate for each in result.closed] == ["replicas_in_sync"]
    assert (cluster.did, result.restarted) == ([], ())
    assert read_journal(cluster.plan.layout) is None


def test_preferred_leaders_are_elected_back_before_the_next_node(cluster):
    cluster.leader = 2

    roll(cluster, "broker-1")

    assert cluster.did[:2] == [("elect", ""), ("SIGTERM", "broker-1")]


def test_a_gate_that_stays_closed_ends_the_command_in_time_and_is_named(cluster):
    cluster.isr = (1,)

    with pytest.raises(TimedOutError) as caught:
        roll(cluster, timeout_s=20.0)

    (gate,) = caught.value.details["gates"]
    assert (gate["gate"], gate["partitions"]) == ("replicas_in_sync", (("test-topic", 0),))
    assert cluster.did == []


@dataclass
class Steps(NullReporter):
    """The steps that a command reports, with the time of each."""

    clock: Clock
    told: list[tuple[str, float]] = field(default_factory=list)

    def step(self, text):
        self.told.append((text, self.clock.monotonic_s()))


def test_a_wait_for_a_gate_is_told_once_where_it_takes_longer(cluster):
    steps, began_s = Steps(cluster.clock), cluster.clock.monotonic_s()
    cluster.isr = (1,)
    cluster.context = replace(cluster.context, command_context=replace(cluster.context.command_context, reporter=steps))

    with pytest.raises(TimedOutError):
        roll(cluster, "broker-1", timeout_s=20.0)

    ((text, at_s),) = steps.told
    assert text == "Waiting before the restart of broker-1: test-topic-0 is not in sync with all replicas"
    assert 5.0 <= at_s - began_s < 5.5


def test_the_call_that_finishes_a_restart_has_the_names_that_were_given(cluster):
    cluster.isr = (1,)

    with pytest.raises(TimedOutError):
        roll(cluster, "broker-1", timeout_s=1.0)

    assert read_journal(cluster.plan.layout).call == "restart --rolling broker-1"


@pytest.mark.parametrize(("timeout_s", "names"), [(9.0, ("broker-2",)), (12.0, ("broker-2", "broker-1"))])
def test_a_restart_for_which_no_time_is_left_is_not_begun(cluster, timeout_s, names):
    cluster.programs["broker-2"].term_takes_s = 4.0

    with pytest.raises(TimedOutError, match=f"before the restart of {names[-1]}"):
        roll(cluster, *names, timeout_s=timeout_s)

    assert cluster.of("SIGTERM") == list(names[:-1])
    assert cluster.of("SIGKILL") == []
    assert read_journal(cluster.plan.layout) is not None


def test_an_app_is_restarted_in_less_time_than_a_node_may_take(cluster):
    assert [each.name for each in roll(cluster, "producer", timeout_s=5.0).restarted] == ["producer"]


def test_a_restart_of_an_app_does_not_fail_for_what_a_broker_does_not_forget(cluster):
    before = replace(cluster.process_table().processes["broker-1"], incarnation=-1.0)
    cluster.plan.layout.overrides.write_text(json.dumps({"broker-1": {"log.retention.ms": identity(before)}}))
    cluster.alter_broker = lambda node_id, values, **options: Failure("INVALID_REQUEST", "not now", retriable=False)

    result = roll(cluster, "producer")

    assert [each.name for each in result.restarted] == ["producer"]
    assert "cannot make broker-1 forget log.retention.ms" in " ".join(result.notes)


def test_a_node_that_is_down_and_does_not_come_back_is_named(cluster):
    cluster.programs["broker-2"].ready_after_s = None

    with pytest.raises(TimedOutError) as caught:
        roll(cluster, timeout_s=20.0)

    assert caught.value.details["gates"][0]["nodes"] == ("broker-2",)
    assert cluster.of("SIGTERM") == []


def test_the_next_call_goes_on_where_one_was_killed(cluster):
    left_by(cluster, "broker-2")

    result = roll(cluster)

    assert result.done_before == ("broker-2",)
    assert cluster.of("SIGTERM") == ["controller-101", "broker-1"]


def test_what_was_left_long_ago_is_not_gone_on_with(cluster):
    left_by(cluster, "broker-2", ago_s=7200.0)

    assert (roll(cluster).done_before, len(cluster.of("SIGTERM"))) == ((), 3)


def test_what_a_killed_call_had_ended_is_started_by_the_next(cluster):
    left_by(cluster)
    cluster.programs["broker-2"].pid = None

    roll(cluster)

    assert cluster.did[0] == ("start", "broker-2")
    assert cluster.of("SIGTERM") == ["controller-101", "broker-1"]


def test_a_call_for_other_programs_begins_anew(cluster):
    left_by(cluster, "broker-2", names=("broker-2",))

    result = roll(cluster, "broker-2")

    assert (result.done_before, cluster.of("SIGTERM")) == ((), ["broker-2"])


def test_what_an_apply_left_is_restarted_too(cluster):
    left_by(cluster, names=("consumer",))

    roll(cluster, "producer")

    assert cluster.of("SIGTERM") == ["producer", "consumer"]


def test_a_stop_meanwhile_ends_it(cluster):
    doors = cluster.start_doors()

    def ask(program):
        if cluster.of("start"):
            cluster.store.raise_generation()
        return cluster.ask(program)

    with pytest.raises(YieldedError, match="cannot finish: 'kraftd stop'"):
        restart_rolling(cluster.context, RollingOptions(), replace(doors, ask=ask))

    assert cluster.of("SIGTERM") == ["broker-2"]


def test_the_only_broker_is_restarted_by_force_only(tmp_path):
    cluster = started(FakeCluster(tmp_path, "[cluster]\nbrokers = 1", isr=(1, 2)))

    with pytest.raises(RefusedError) as caught:
        roll(cluster)
    roll(cluster, "consumer")
    roll(cluster, force=True)

    assert (caught.value.exit_code, caught.value.code) == (8, "only_broker")
    assert cluster.of("SIGTERM") == ["consumer", "broker-1"]


@pytest.mark.parametrize(
    ("names", "error", "code"),
    [(("broker-9",), UnknownNameError, 4), (("consumer",), NeedsRunningClusterError, 7)],
)
def test_names_that_cannot_be_restarted_are_refused(cluster, names, error, code):
    cluster.programs["consumer"].pid = None

    with pytest.raises(error) as caught:
        roll(cluster, *names)

    assert caught.value.exit_code == code
    assert cluster.did == []


def test_a_cluster_that_does_not_run_is_refused(tmp_path):
    with pytest.raises(NeedsRunningClusterError):
        roll(FakeCluster(tmp_path))


def test_a_broker_that_heeds_no_term_is_killed_and_that_is_told(tmp_path):
    cluster = FakeCluster(tmp_path, programs={"broker-2": FakeProgram(term_takes_s=None)})
    started(cluster)

    result = roll(cluster, "broker-2", timeout_s=100.0)

    assert cluster.did == [
        ("SIGTERM", "broker-2"),
        ("SIGKILL", "broker-2"),
        ("start", "broker-2"),
    ]
    assert result.restarted[0].killed


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("disks", (DiskSpace("/srv", 1024, 1024**4),), "disk_nearly_full"),
        ("loopback_fault", "the network is down", "loopback_down"),
        ("open_files_limit", 100, "open_files_limit"),
    ],
)
def test_a_restart_that_the_start_would_refuse_stops_nothing(cluster, field, value, code):
    setattr(cluster, field, value)

    with pytest.raises(KraftdError) as caught:
        lock_and_restart(cluster.starting(), StopOptions())

    assert (caught.value.code, cluster.did) == (code, [])


def test_a_restart_of_the_cluster_stops_and_starts_all_of_it(cluster):
    result = lock_and_restart(cluster.starting(), StopOptions())
    stopped = {each.name for each in result.stopped.programs}
    assert stopped == set(result.started.started) == set(cluster.plan.names)


def test_a_restart_whose_stop_takes_long_has_all_the_time_for_its_start(cluster):
    cluster.programs["broker-1"].term_takes_s = 200.0

    result = lock_and_restart(cluster.starting(timeout_s=180.0), StopOptions())

    assert set(result.started.started) == set(cluster.plan.names)
    assert result.started.took_s > 200.0


def test_a_restart_yields_to_a_stop_that_is_asked_for_during_its_own(cluster):
    start = cluster.starting()
    cluster.store.raise_generation()

    with pytest.raises(YieldedError):
        lock_and_restart(start, StopOptions())


def test_a_restart_onto_the_port_of_another_process_stops_nothing(cluster):
    cluster.taken_ports = {port.number: PortHolder(4711, "java") for port in cluster.plan.ports}
    cluster.taken_ports[8500] = PortHolder(4712, "nc")
    changed = plan_of("[producer]\nport = 8500", state_dir=cluster.plan.layout.state_dir)
    start = cluster.starting()
    start = replace(start, configured=replace(start.configured, plan=changed), cluster=start.cluster.following(changed))

    with pytest.raises(PortInUseError, match="port 8500 is held by") as caught:
        lock_and_restart(start, StopOptions())

    assert "9092" not in str(caught.value)
    assert cluster.did == []


def test_a_restart_that_waited_ends_what_came_meanwhile_too(cluster):
    def grow():
        cluster.store.write_plan(plan_of("[consumer]\ninstances = 2", state_dir=cluster.tmp_path / "s"))
        cluster.update()
        cluster.spawn("consumer-2")

    start = replace(cluster.starting(), cluster=cluster.waiting_for(grow))
    result = lock_and_restart(start, StopOptions())

    assert "consumer-2" in {each.name for each in result.stopped.programs}


def test_a_restart_that_waited_for_what_it_contradicts_stops_nothing(cluster):
    def take_out():
        manifest = cluster.store.manifest()
        nodes = tuple(node for node in manifest.nodes if node.name != "broker-2")
        cluster.store.write_manifest(replace(manifest, nodes=nodes, removed=("broker-2",)))

    with pytest.raises(IdentityMismatchError):
        lock_and_restart(replace(cluster.starting(), cluster=cluster.waiting_for(take_out)), StopOptions())

    assert cluster.did == []


def test_a_rolling_restart_that_waited_follows_the_plan_of_what_runs_now(cluster):
    def take_out():
        cluster.store.write_plan(plan_of("[consumer]\nenabled = false", state_dir=cluster.plan.layout.state_dir))

    with pytest.raises(UnknownNameError):
        restart_rolling(cluster.waiting_for(take_out), RollingOptions(("consumer",)), cluster.start_doors())

    assert cluster.did == []


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("consumer",), "cannot restart consumer: it does not run"),
        (("producer", "consumer"), "cannot restart producer and consumer: they do not run"),
    ],
)
def test_programs_that_do_not_run_are_not_restarted_one_after_the_other(cluster, names, said):
    for name in names:
        cluster.programs[name].pid = None

    with pytest.raises(NeedsRunningClusterError) as caught:
        roll(cluster, *names)

    assert str(caught.value) == said
