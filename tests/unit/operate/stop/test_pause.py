import pytest

from kraftd.errors import RefusedError, TimedOutError, UnknownNameError
from kraftd.host.events import read_events
from kraftd.operate.stop.stop import StopOptions, pause, resume, stop
from kraftd.plan.desired import DesiredProgram
from tests.unit.operate.fake_cluster import FakeCluster


@pytest.fixture
def cluster(tmp_path):
    made = FakeCluster(tmp_path)
    made.store.write_plan(made.plan)
    made.runs()
    made.store.set_desired(made.plan.names, DesiredProgram(running=True, since="", by="start", why=""))
    return made


def test_a_pause_changes_what_is_desired_and_touches_no_process(cluster):
    result = pause(cluster.context, ["broker-1", "producer"], 1.0)

    desired = cluster.store.desired()
    assert (result.changed, result.unchanged) == (("broker-1", "producer"), {})
    assert [name for name in cluster.plan.names if desired.is_paused(name)] == ["broker-1", "producer"]
    assert cluster.did == []
    assert [(event.kind, event.program) for event in read_events(cluster.plan.layout.events)] == [
        ("paused", "broker-1"),
        ("paused", "producer"),
    ]


def test_a_resume_ends_the_pause(cluster):
    pause(cluster.context, ["broker-1"], 1.0)

    result = resume(cluster.context, ["broker-1"], 1.0)

    assert result.changed == ("broker-1",)
    assert cluster.store.desired().wants("broker-1")


def test_what_is_in_that_state_already_is_left_as_it_is_and_named(cluster):
    pause(cluster.context, ["broker-1"], 1.0)
    stop(cluster.context, StopOptions(names=("producer",)))
    before = cluster.store.desired()

    paused = pause(cluster.context, ["broker-1", "producer", "broker-1"], 1.0)
    resumed = resume(cluster.context, ["broker-2", "producer"], 1.0)

    assert (paused.changed, list(paused.unchanged)) == ((), ["broker-1", "producer"])
    assert (resumed.changed, list(resumed.unchanged)) == ((), ["broker-2", "producer"])
    assert cluster.store.desired() == before


def test_a_stop_by_name_ends_a_pause(cluster):
    pause(cluster.context, ["consumer"], 1.0)

    stop(cluster.context, StopOptions(names=("consumer",)))

    assert not cluster.store.desired().is_paused("consumer")


def test_the_daemon_is_not_paused_and_nothing_else_with_it(cluster):
    with pytest.raises(RefusedError):
        pause(cluster.context, ["broker-1", "kraftd"], 1.0)

    assert cluster.store.desired().wants("broker-1")


@pytest.mark.parametrize("change", [pause, resume])
def test_an_unknown_name_is_answered_with_the_nearest(cluster, change):
    with pytest.raises(UnknownNameError) as caught:
        change(cluster.context, ["broker-1", "brokr-2"], 1.0)

    assert "broker-2" in caught.value.hint
    assert cluster.store.desired().wants("broker-1")


def test_a_pause_waits_for_a_command_no_longer_than_it_may(cluster):
    with cluster.context.lock("start", timeout_s=1.0), pytest.raises(TimedOutError):
        pause(cluster.context, ["broker-1"], 0.5)


def test_where_nothing_was_ever_started_a_pause_makes_no_directory(tmp_path):
    made = FakeCluster(tmp_path)

    result = pause(made.context, ["broker-1"], 1.0)

    assert (result.changed, list(result.unchanged)) == ((), ["broker-1"])
    assert not made.plan.layout.state_dir.exists()
