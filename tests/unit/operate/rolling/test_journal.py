"""Which programs are still to be restarted, after a command that ended at any point."""

import pytest

from kraftd.errors import RefusedError
from kraftd.host.processes import Process
from kraftd.operate.rolling.journal import Journal, read_journal, refuse_other_owner, remove_journal, write_journal
from tests.unit.operate.fake_cluster import FakeCluster

OWNER = Process(7, 70.0, 0.0)
OLD = {"broker-1": Process(101, 5.0, 0.0), "broker-2": Process(102, 6.0, 0.0)}
JOURNAL = Journal("restart --rolling", OWNER, 1_700_000_000.0, OLD, ("broker-1", "broker-2"))


@pytest.fixture
def cluster(tmp_path):
    made = FakeCluster(tmp_path)
    made.plan.layout.state_dir.mkdir(parents=True)
    return made


@pytest.mark.parametrize(
    ("processes", "pending"),
    [
        (OLD, ("broker-1", "broker-2")),
        ({**OLD, "broker-1": Process(201, 9.0, 0.0)}, ("broker-2",)),
        # The same pid, taken by a later process.
        ({**OLD, "broker-1": Process(101, 9.0, 0.0)}, ("broker-2",)),
        ({"broker-2": OLD["broker-2"]}, ("broker-2",)),
        ({}, ()),
    ],
    ids=["none is done", "one is done", "a pid is reused", "one is down", "all are down"],
)
def test_pending_is_what_still_runs_as_the_old_process(processes, pending):
    assert JOURNAL.pending(processes) == pending


def test_a_journal_reads_back_and_is_removed(cluster):
    layout = cluster.plan.layout

    write_journal(layout, JOURNAL)
    found = read_journal(layout)
    remove_journal(layout)

    assert found == JOURNAL
    assert read_journal(layout) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"schema_version": 9}', '{"schema_version": 1, "programs": 3}']
)
def test_a_damaged_journal_counts_for_nothing(cluster, text):
    cluster.plan.layout.rolling.write_text(text)

    assert read_journal(cluster.plan.layout) is None


def test_a_command_that_is_at_work_is_not_interfered_with(cluster):
    cluster.runs()
    (alive,) = [each for name, each in cluster.process_table().processes.items() if name == "broker-1"]
    write_journal(cluster.plan.layout, Journal("apply", alive, 0.0, OLD))

    with pytest.raises(RefusedError) as caught:
        refuse_other_owner(cluster.context, OWNER)

    assert (caught.value.code, caught.value.details["pid"]) == ("already_rolling", alive.pid)


def test_the_journal_of_a_command_that_has_ended_is_given_to_the_next(cluster):
    write_journal(cluster.plan.layout, JOURNAL)

    assert refuse_other_owner(cluster.context, Process(8, 80.0, 0.0)) == JOURNAL
    assert refuse_other_owner(cluster.context, OWNER) == JOURNAL
