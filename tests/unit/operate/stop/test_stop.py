"""The order of a stop and what it refuses, without a process."""

import contextlib

import pytest

from kraftd.errors import RefusedError, TimedOutError, UnknownNameError
from kraftd.host.events import read_events
from kraftd.kafka.model import Failure, KafkaUnreachableError
from kraftd.operate.stop.stop import StopOptions, stop
from kraftd.plan.program import DAEMON
from tests.plans import plan_of
from tests.unit.operate.fake_cluster import FakeCluster, FakeProgram


@pytest.fixture
def cluster(tmp_path):
    made = FakeCluster(tmp_path)
    made.store.write_plan(made.plan)
    made.runs()
    return made


def test_apps_stop_first_then_brokers_together_then_the_tie_breaker_then_supervisord(cluster):
    result = stop(cluster.context, StopOptions())

    assert set(cluster.of("SIGTERM")[:2]) == {"producer", "consumer"}
    assert set(cluster.of("SIGTERM")[2:4]) == {"broker-1", "broker-2"}
    assert cluster.of("SIGTERM")[4:] == ["controller-101"]
    assert cluster.did[-1] == ("shutdown", "")
    assert cluster.at_s["SIGTERM", "broker-1"] == cluster.at_s["SIGTERM", "broker-2"]
    assert (result.unclean, result.whole_cluster) == ((), True)
    assert not any(cluster.store.desired().wants(name) for name in cluster.plan.names)


def grow(cluster):
    """Let a third broker join, as a scale or an apply has it."""
    cluster.store.write_plan(plan_of("[cluster]\nbrokers = 3", state_dir=cluster.tmp_path / "s"))
    cluster.update()
    cluster.spawn("broker-3")


def test_a_stop_that_waited_stops_what_came_meanwhile_too(cluster):
    result = stop(cluster.waiting_for(lambda: grow(cluster)), StopOptions())

    assert "broker-3" in {each.name for each in result.programs}
    assert ("broker-3" in cluster.of("SIGTERM"), cluster.process_table().processes) == (True, {})


def test_a_stop_that_waited_knows_no_program_that_has_left_meanwhile(tmp_path):
    cluster = FakeCluster(tmp_path, toml="[consumer]\ninstances = 2")
    cluster.store.write_plan(cluster.plan)
    cluster.runs()

    def leave():
        cluster.programs["consumer-2"].pid = None
        cluster.store.write_plan(plan_of("", state_dir=tmp_path / "s"))

    with pytest.raises(UnknownNameError):
        stop(cluster.waiting_for(leave), StopOptions(names=("consumer-2",)))


def test_the_tie_breaker_is_told_only_when_every_broker_closed_its_logs(tmp_path):
    cluster = FakeCluster(tmp_path, programs={"broker-2": FakeProgram(term_takes_s=40.0)})
    cluster.store.write_plan(cluster.plan)
    cluster.runs()

    stop(cluster.context, StopOptions())

    assert cluster.at_s["SIGTERM", "controller-101"] >= 40.0


def test_a_broker_without_a_quorum_is_dumped_then_killed_and_told_unclean(cluster):
    cluster.programs["broker-2"].pid = None
    cluster.programs["controller-101"].pid = None

    result = stop(cluster.context, StopOptions())

    assert cluster.of("SIGQUIT", "SIGKILL") == ["broker-1", "broker-1"]
    assert result.unclean == ("broker-1",)
    assert result.took_s < 20


def test_an_app_that_ignores_its_term_is_killed(cluster):
    cluster.programs["producer"].term_takes_s = None

    result = stop(cluster.context, StopOptions(names=("producer",)))

    assert cluster.of("SIGKILL") == ["producer"]
    assert [(each.name, each.killed is not None) for each in result.programs] == [("producer", True)]


def test_a_broker_that_hangs_while_the_quorum_holds_is_killed_when_the_time_is_up(cluster):
    cluster.programs["broker-1"].term_takes_s = None

    result = stop(cluster.context, StopOptions(names=("broker-1",), timeout_s=30.0))

    assert 30.0 <= cluster.at_s["SIGKILL", "broker-1"] < 31.0
    assert result.unclean == ("broker-1",)


def test_stopping_the_last_in_sync_replica_is_refused_and_force_does_it(cluster):
    cluster.isr = (1,)

    with pytest.raises(RefusedError) as caught:
        stop(cluster.context, StopOptions(names=("broker-1",)))

    assert caught.value.exit_code == 8
    assert cluster.did == []
    assert stop(cluster.context, StopOptions(names=("broker-1",), force=True)).programs[0].clean


def test_stopping_a_node_while_kafka_cannot_be_asked_is_refused(cluster):
    cluster.kafka_error = KafkaUnreachableError("cannot reach any broker")

    with pytest.raises(RefusedError, match="cannot reach any broker"):
        stop(cluster.context, StopOptions(names=("broker-1",)))


def test_the_daemon_alone_is_stopped_through_supervisord_which_would_restart_it(cluster):
    stop(cluster.context, StopOptions(names=("kraftd",)))

    assert cluster.did == [("unsupervise", "kraftd"), ("SIGTERM", "kraftd")]
    assert cluster.supervisor_pid is not None


def test_a_stop_raises_the_generation_before_anything_else_and_a_named_one_does_not(cluster):
    stop(cluster.context, StopOptions(names=("producer",)))
    assert cluster.store.generation() == 0

    stop(cluster.context, StopOptions())
    assert cluster.store.generation() == 1


def test_a_stop_where_nothing_was_ever_started_makes_no_directory(tmp_path):
    cluster = FakeCluster(tmp_path)

    result = stop(cluster.context, StopOptions())

    assert result.programs == ()
    assert not cluster.plan.layout.state_dir.exists()


@pytest.mark.parametrize("timeout_s", [5.0, 330.0])
def test_a_client_of_the_brokers_is_killed_when_its_time_or_that_of_the_stop_is_up(cluster, timeout_s):
    for name in ("producer", "consumer"):
        cluster.programs[name].term_takes_s = None

    stop(cluster.context, StopOptions(timeout_s=timeout_s))

    waited_s = {cluster.at_s["SIGKILL", name] - cluster.at_s["SIGTERM", name] for name in ("producer", "consumer")}
    assert all(min(timeout_s, 20.0) <= each < min(timeout_s, 20.0) + 0.5 for each in waited_s)


def test_a_stop_ends_in_time_although_no_kill_ends_an_app_and_a_broker(cluster):
    for name in ("producer", "broker-1"):
        cluster.programs[name].survives_kill = True
    # It waits for its children.
    cluster.supervisor = FakeProgram(term_takes_s=None)

    with pytest.raises(TimedOutError, match=r"cannot end producer .* and broker-1"):
        stop(cluster.context, StopOptions(timeout_s=5.0))

    assert cluster.of("SIGKILL") == ["producer", "broker-1", "supervisord"]
    assert sum(cluster.clock.slept_s) < 5.0 + 10.0 + 5.0 + 10.0 + 3.0


def test_an_app_that_no_kill_ends_is_waited_for_a_bounded_time_and_named(cluster):
    cluster.programs["producer"].survives_kill = True

    with pytest.raises(TimedOutError, match="cannot end producer") as caught:
        stop(cluster.context, StopOptions(names=("producer",)))

    pid = cluster.programs["producer"].pid
    assert (caught.value.exit_code, caught.value.details) == (124, {"pids": {"producer": pid}})
    assert f"-p {pid}" in caught.value.hint
    assert cluster.of("SIGTERM", "SIGKILL") == ["producer", "producer"]
    assert 30.0 <= sum(cluster.clock.slept_s) < 31.0


def test_a_broker_that_no_kill_ends_keeps_nothing_else_from_being_stopped(cluster):
    cluster.programs["broker-1"].survives_kill = True

    with pytest.raises(TimedOutError, match="cannot end broker-1"):
        stop(cluster.context, StopOptions(timeout_s=60.0))

    assert cluster.of("SIGKILL") == ["broker-1"]
    assert set(cluster.process_table().processes) == {"broker-1"}
    assert cluster.did[-1] == ("shutdown", "")
    assert sum(cluster.clock.slept_s) < 72.0
    kinds = [(event.kind, event.program) for event in read_events(cluster.plan.layout.events)]
    assert ("not_stopped", "broker-1") in kinds
    assert not {("cluster_stopped", ""), ("stopped", "broker-1")} & set(kinds)


def test_a_process_that_ends_after_all_before_the_stop_does_is_no_error(cluster):
    cluster.programs["producer"].survives_kill = True
    end = cluster.shutdown
    cluster.shutdown = lambda: (setattr(cluster.programs["producer"], "pid", None), end())

    stop(cluster.context, StopOptions())

    assert cluster.process_table().processes == {}


@pytest.mark.parametrize(("survives", "waited_s"), [(False, 15.0), (True, 25.0)])
def test_a_supervisord_that_does_not_end_is_killed_once(cluster, survives, waited_s):
    cluster.supervisor = FakeProgram(term_takes_s=None, survives_kill=survives)
    expected = pytest.raises(TimedOutError, match="cannot end supervisord") if survives else contextlib.nullcontext()

    with expected:
        stop(cluster.context, StopOptions())

    assert cluster.of("SIGKILL") == ["supervisord"]
    waited = sum(cluster.clock.slept_s) - cluster.at_s["shutdown", ""]
    assert waited_s <= waited < waited_s + 1.0


def test_a_stop_whose_events_do_not_fit_the_disk_is_done_all_the_same(cluster):
    events = cluster.plan.layout.events / "commands.jsonl"
    events.parent.mkdir(parents=True, exist_ok=True)
    events.symlink_to("/dev/full")

    assert stop(cluster.context, StopOptions()).whole_cluster
    assert cluster.process_table().processes == {}


def test_a_daemon_that_heeds_no_term_is_killed_before_supervisord_would(cluster):
    cluster.daemon_hangs = True

    result = stop(cluster.context, StopOptions())

    daemon = next(each for each in result.programs if each.name == DAEMON)
    assert daemon.killed == "it did not end within 2 s"
    assert result.took_s < 5


def test_a_broker_that_hangs_within_its_start_is_not_waited_for(tmp_path):
    cluster = FakeCluster(tmp_path, programs={"broker-2": FakeProgram(ready_after_s=None, term_takes_s=None)})
    cluster.store.write_plan(cluster.plan)
    cluster.runs()

    result = stop(cluster.context, StopOptions())

    killed = {each.name: each.killed for each in result.programs if each.killed}
    assert killed == {"broker-2": "it had not finished its start, and holds nothing that is not on disk"}
    assert result.took_s < 4


def killed(cluster, node_id):
    """Let a broker be killed whose session has not ended."""
    cluster.programs[f"broker-{node_id}"].pid = None
    cluster.sessions.add(node_id)


def test_the_session_of_a_killed_broker_is_ended_before_anything_is_stopped(cluster):
    killed(cluster, 1)

    stop(cluster.context, StopOptions())

    assert cluster.did[0] == ("unregister", "broker-1")
    assert cluster.of("unregister") == ["broker-1"]


def test_no_session_is_ended_where_all_brokers_run_and_kafka_is_not_asked(cluster):
    cluster.sessions.add(1)
    cluster.kafka_error = AssertionError("Kafka was asked")

    stop(cluster.context, StopOptions())

    assert cluster.of("unregister") == []


def test_a_broker_that_closed_its_logs_stays_registered(cluster):
    stop(cluster.context, StopOptions(names=("broker-1",)))
    cluster.sessions.add(1)

    stop(cluster.context, StopOptions())

    assert cluster.of("unregister") == []


def test_a_broker_whose_port_is_listened_on_stays_registered(cluster):
    killed(cluster, 1)
    cluster.taken_by_orphans = {cluster.plan.brokers[0].client.port}

    stop(cluster.context, StopOptions())

    assert cluster.of("unregister") == []


def test_no_session_is_ended_of_a_broker_that_alone_is_in_an_isr(cluster):
    killed(cluster, 1)
    cluster.isr = (1,)

    stop(cluster.context, StopOptions())

    assert cluster.of("unregister") == []


@pytest.mark.parametrize("away", ["broker-2", "controller-101"])
def test_no_session_is_ended_without_a_broker_and_a_quorum(cluster, away):
    killed(cluster, 1)
    cluster.programs[away].pid = None
    cluster.kafka_error = AssertionError("Kafka was asked")

    stop(cluster.context, StopOptions())

    assert cluster.of("unregister") == []


def test_a_session_is_ended_once_there_is_a_controller_again(cluster):
    killed(cluster, 1)
    cluster.unregistering = [Failure("NOT_CONTROLLER", "this is not the controller", retriable=True)] * 3

    stop(cluster.context, StopOptions())

    assert cluster.of("unregister") == ["broker-1"]


@pytest.mark.parametrize("retriable", [True, False])
def test_a_stop_goes_on_where_kafka_does_not_end_a_session(cluster, retriable):
    killed(cluster, 1)
    cluster.unregistering = [Failure("OTHER", "it does not", retriable=retriable)] * 1000

    result = stop(cluster.context, StopOptions())

    assert cluster.of("unregister") == []
    assert result.whole_cluster
    assert result.took_s < 6


def test_a_stop_goes_on_where_no_broker_answers_for_a_session(cluster):
    killed(cluster, 1)
    cluster.kafka_error = KafkaUnreachableError("cannot reach any broker")

    assert stop(cluster.context, StopOptions()).whole_cluster


def test_a_named_stop_ends_no_session(cluster):
    killed(cluster, 1)

    stop(cluster.context, StopOptions(names=("producer",)))

    assert cluster.of("unregister") == []
