import os

import pytest

from kraftd.errors import RefusedError
from kraftd.health.programs.operations import parse_progress
from kraftd.host.events import read_events
from kraftd.host.files import write_atomically
from kraftd.observe.operations import OperationWatch
from tests.unit.operate.fake_cluster import FakeCluster


@pytest.fixture
def cluster(tmp_path):
    return FakeCluster(tmp_path).context


def seen(cluster):
    return OperationWatch(cluster.layout, cluster.clock).look()


def test_an_operation_is_seen_while_it_runs_and_on_record_when_it_has_ended(cluster):
    with cluster.operating("scale", "2 to 3 brokers") as tracked:
        tracked.reporter.step("copying")
        tracked.reporter.moved("on the way", 100, 400)
        (running,) = seen(cluster)

    (done,) = seen(cluster)
    assert (running.state, running.step, running.left_bytes, running.pid) == ("running", "on the way", 300, os.getpid())
    assert (done.state, done.outcome, done.what) == ("done", "succeeded", "2 to 3 brokers")
    kinds = [event.kind for event in read_events(cluster.layout.events)]
    assert kinds == ["operation_begun", "operation_step", "operation_ended"]
    assert list(cluster.layout.operations.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "outcome"), [(RefusedError("cannot: no"), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_an_operation_that_does_not_succeed_says_how_it_ended(cluster, error, outcome):
    with pytest.raises(type(error)), cluster.operating("apply", "broker-1"):
        raise error

    (done,) = seen(cluster)
    assert (done.outcome, done.error) == (outcome, "cannot: no" if outcome == "failed" else None)


def test_progress_is_recorded_at_most_once_a_second(cluster):
    with cluster.operating("backup create", "to /b") as tracked:
        (file,) = cluster.layout.operations.iterdir()
        tracked.reporter.transfer_begins("Backing up", 1000)
        recorded = []
        for _ in range(8):
            cluster.clock.sleep(0.25)
            tracked.reporter.advance(100)
            recorded.append(parse_progress(file.read_text()).done_bytes)

    assert recorded == [0, 0, 0, 400, 400, 400, 400, 800]


def test_what_a_killed_process_left_is_no_operation_and_goes_with_the_next(cluster):
    with cluster.operating("backup create", "to /b"):
        (file,) = cluster.layout.operations.iterdir()
        left = file.read_text().replace(f'"pid": {os.getpid()}', '"pid": 999999999')
    write_atomically(cluster.layout.operations / "999999999.json", left)

    assert [each.state for each in seen(cluster)] == ["done"]
    with cluster.operating("backup create", "to /b"):
        assert [path.name for path in cluster.layout.operations.iterdir()] == [f"{os.getpid()}.json"]


def test_the_watch_reads_again_only_after_a_change(cluster):
    watch = OperationWatch(cluster.layout, cluster.clock)
    assert watch.look() == ()

    with cluster.operating("scale", "2 to 3 brokers"):
        assert [each.state for each in watch.look()] == ["running"]
    assert [each.state for each in watch.look()] == ["done"]
    write_atomically(cluster.layout.scale_journal, "{}")

    assert [each.state for each in watch.look()] == ["resumable", "done"]
