"""A scale of a cluster without processes: its steps, what it refuses, and what the next call makes of a killed one."""

from dataclasses import replace

import pytest

from kraftd.errors import (
    ConfigurationError,
    KraftdError,
    NeedsRunningClusterError,
    RefusedError,
    TimedOutError,
    UnknownNameError,
)
from kraftd.health.programs.disks import DiskSpace
from kraftd.host.lock import acquire
from kraftd.host.machine import PortHolder
from kraftd.kafka.model import Failure, LogDir, Partial
from kraftd.operate.scale.journal import Goal, Journal
from kraftd.operate.start.preflight import PortInUseError
from kraftd.operate.start.sequence import StartFailedError, YieldedError
from tests.unit.operate.fake_cluster import FakeProgram
from tests.unit.operate.scale.scaling_cluster import MIN_ISR, NOT_THROTTLED, OF_TWO, ScalingCluster, running

NAMES = ("broker-1", "broker-2", "broker-3")
OUT = ("update", "start broker-3", "throttle", "reassign", "elect", "unthrottle")
IN = ("throttle", "reassign", "elect", "unthrottle", "SIGTERM broker-3", "unregister broker-3", "delete", "update")


@pytest.fixture
def cluster(tmp_path):
    """Return a cluster of two brokers that runs."""
    return running(tmp_path)


@pytest.fixture
def of_three(cluster):
    """Return a cluster of two brokers, which was scaled to three."""
    cluster.scale(3)
    cluster.forget()
    return cluster


def refusal_of(cluster, brokers):
    """Return the code of the error with which a scale ends; None where it has none."""
    try:
        cluster.scale(brokers)
    except KraftdError as raised:
        return raised.code
    return None


def assert_of_two(cluster):
    assert cluster.kafka.replicas == OF_TWO
    assert (cluster.running_brokers, cluster.store.plan().brokers[-1].name) == (NAMES[:2], "broker-2")
    assert (cluster.kafka.throttles, cluster.journal) == (NOT_THROTTLED, None)


def assert_of_three(cluster):
    assert sorted(sum(cluster.kafka.replicas.values(), ())) == [1, 1, 2, 2, 3, 3]
    assert (cluster.running_brokers, cluster.store.plan().brokers[-1].name) == (NAMES, "broker-3")
    assert (cluster.kafka.throttles, cluster.journal) == (NOT_THROTTLED, None)


def test_a_broker_comes_before_replicas_are_moved_to_it_throttled(cluster):
    result = cluster.scale(3)

    assert cluster.of_scale(OUT) == OUT
    assert (result.brokers, result.joined, result.left, result.is_changed) == (3, ("broker-3",), (), True)
    assert (result.moved.replicas, result.is_undone) == (2, False)
    assert "scaled" in dict(cluster.events)
    assert_of_three(cluster)


def test_a_broker_that_leaves_is_drained_then_stopped_then_forgotten(of_three):
    result = of_three.scale(2)

    assert of_three.of_scale(IN) == IN
    assert (result.brokers, result.joined, result.left, result.is_undone) == (2, (), ("broker-3",), False)
    assert [of_three.journals[step].is_removing for step in IN] == [False] * 4 + [True] * 4
    assert of_three.store.manifest().removed == ("broker-3",)
    assert_of_two(of_three)


def test_the_journal_tells_of_every_step_before_it_is_taken(of_three):
    of_three.scale(2)

    assert [step for step, journal in of_three.journals.items() if journal is None] == []
    began = of_three.journals["throttle"]
    assert (began.brokers_before, began.brokers_after) == (3, 2)
    assert (list(began.topic_throttles), sorted(began.broker_throttles)) == (["orders"], ["1", "2", "3"])


def test_copies_are_throttled_before_they_begin_and_no_longer(cluster):
    cluster.scale(3)

    assert [cluster.throttles[step] for step in OUT] == [False, False, True, True, True, True]
    assert cluster.kafka.throttles == NOT_THROTTLED


@pytest.mark.parametrize("step", OUT)
def test_a_scale_out_that_was_killed_is_finished_by_the_next_call(cluster, step):
    cluster.killed_at(step, cluster.scaling(3))

    result = cluster.scale(3)

    assert (result.is_changed, result.is_undone) == (True, False)
    assert cluster.of("start").count("broker-3") == (step == "update")
    assert cluster.steps.count("reassign") == (step in OUT[:3])
    assert_of_three(cluster)


@pytest.mark.parametrize("step", OUT)
def test_a_scale_out_that_was_killed_is_undone_by_abort(cluster, step):
    cluster.killed_at(step, cluster.scaling(3))

    result = cluster.scale(abort=True)

    assert (result.brokers, result.is_undone) == (2, True)
    assert "undid a scale" in dict(cluster.events)["scaled"]
    assert_of_two(cluster)


@pytest.mark.parametrize("step", IN)
def test_a_scale_in_that_was_killed_is_finished_by_the_next_call(of_three, step):
    of_three.killed_at(step, of_three.scaling(2))

    assert not of_three.scale().is_undone

    assert of_three.steps.count("reassign") == (step == "throttle")
    assert of_three.of("SIGTERM").count("broker-3") == (step in IN[:4])
    assert_of_two(of_three)


@pytest.mark.parametrize("step", IN[:4])
def test_a_scale_in_that_was_killed_is_undone_while_the_broker_is_there(of_three, step):
    of_three.killed_at(step, of_three.scaling(2))

    assert of_three.scale(abort=True).is_undone

    assert_of_three(of_three)


@pytest.mark.parametrize("step", IN[4:])
def test_a_scale_in_that_removes_the_broker_already_is_not_undone(of_three, step):
    of_three.killed_at(step, of_three.scaling(2))

    with pytest.raises(RefusedError) as caught:
        of_three.scale(abort=True)

    assert (caught.value.code, of_three.steps) == ("too_late", [])


def test_an_abort_that_was_killed_is_finished_by_another_and_nothing_else(cluster):
    cluster.killed_at("reassign", cluster.scaling(3))
    cluster.killed_at("reassign", cluster.scaling(abort=True))

    with pytest.raises(RefusedError) as caught:
        cluster.scale(3)
    assert (caught.value.code, cluster.steps) == ("unfinished_scale", [])

    assert cluster.scale(abort=True).is_undone
    assert_of_two(cluster)


def test_where_nothing_is_unfinished_there_is_nothing_to_abort(cluster):
    result = cluster.scale(abort=True)

    assert (result.is_changed, result.brokers, cluster.steps) == (False, 2, [])


def test_the_number_of_brokers_that_there_are_is_no_work(cluster):
    result = cluster.scale(2)

    assert (result.is_changed, result.moved.replicas, cluster.steps, cluster.journal) == (False, 0, [], None)


def test_a_plan_tells_what_is_copied_and_changes_nothing(cluster):
    planned = cluster.scaling(3).plan()

    assert (planned.joining, planned.leaving, planned.brokers_before, planned.brokers_after) == (NAMES[2:], (), 2, 3)
    assert (planned.copied_replicas, planned.copied_bytes, len(planned.changes)) == (2, 2000, 2)
    assert (planned.is_empty, planned.resumes) == (False, "")
    assert (cluster.steps, cluster.journal) == ([], None)


def test_a_plan_says_what_unfinished_scale_goes_on(cluster):
    cluster.killed_at("reassign", cluster.scaling(3))

    assert cluster.scaling(3).plan().resumes.startswith("the scale from 2 to 3 brokers")


def test_min_isr_is_raised_after_the_replicas_are_more(of_three):
    of_three.scale(replication_factor=3)

    assert of_three.of_scale(("reassign", "min ISR 2")) == ("reassign", "min ISR 2")
    assert {len(replicas) for replicas in of_three.kafka.replicas.values()} == {3}


def test_min_isr_is_lowered_before_the_replicas_are_fewer(cluster):
    cluster.kafka.topic[MIN_ISR] = "2"

    cluster.scale(replication_factor=1)

    assert cluster.of_scale(("reassign", "min ISR 1")) == ("min ISR 1", "reassign")
    assert {len(replicas) for replicas in cluster.kafka.replicas.values()} == {1}


@pytest.mark.parametrize(
    ("before", "factor", "steps"),
    [("2", 1, ("reassign", "min ISR 2")), (None, 3, ("min ISR None", "reassign"))],
    ids=["lowered", "raised"],
)
def test_an_abort_puts_min_isr_back_in_the_other_order(of_three, before, factor, steps):
    if before is not None:
        of_three.kafka.topic[MIN_ISR] = before
    replicas = dict(of_three.kafka.replicas)
    step = "reassign" if factor == 1 else "min ISR 2"
    of_three.killed_at(step, of_three.scaling(replication_factor=factor))

    of_three.scale(abort=True)

    assert of_three.of_scale(steps) == steps
    assert (of_three.kafka.topic.get(MIN_ISR), of_three.kafka.replicas) == (before, replicas)


@pytest.mark.parametrize(
    ("error", "code"), [("POLICY_VIOLATION", "min_isr_refused"), ("UNKNOWN_TOPIC_OR_PARTITION", None)]
)
def test_a_topic_that_keeps_its_min_isr_is_named_unless_it_is_gone(of_three, error, code):
    of_three.kafka.refuses_min_isr = Failure(error, "no", retriable=False)
    try:
        of_three.scale(replication_factor=3)
        found = None
    except KraftdError as raised:
        found = raised.code

    assert (found, of_three.journal is None) == (code, code is None)


# What it refuses.


def down(cluster):
    cluster.programs["broker-2"].pid = None


def stopped(cluster):
    for each in cluster.programs.values():
        each.pid = None


def moved_by_others(cluster):
    cluster.kafka.under_way = {0: ((2, 1), 10_000)}


def full(cluster):
    sizes = {("orders", number): 1000 for number in OF_TWO}
    dirs = {node_id: (LogDir("/d", sizes, 5000, 10, None),) for node_id in (1, 2)}
    cluster.kafka.log_dirs = lambda brokers: Partial(dirs)


def without_memory(cluster):
    cluster.memory_bytes = 2 * 1024**3


def with_a_taken_port(cluster):
    cluster.taken_ports = {9094: PortHolder(4711, "java")}


def nearly_full(cluster):
    cluster.disks = (DiskSpace("/srv", 1024, 1024**4),)


def damaged(cluster):
    cluster.plan.layout.scale_journal.write_text("{")


def written(journal):
    return lambda cluster: cluster.plan.layout.scale_journal.write_text(journal.to_json())


def changed(cluster):
    cluster.store.write_plan(replace(cluster.plan, min_free_disk_bytes=1))


BEFORE = {("orders", number): replicas for number, replicas in OF_TWO.items()}
OTHER_SCALE = Journal(2, 4, "now", BEFORE)
REASSIGNMENT = Journal(2, 2, "now", BEFORE, goal=Goal((1, 2)))


@pytest.mark.parametrize(
    ("spoil", "options", "kind", "code"),
    [
        (None, {"brokers": 1}, RefusedError, "voters"),
        (None, {"brokers": 2, "replication_factor": 3}, ConfigurationError, None),
        (None, {"brokers": 3, "replication_factor": 3, "topics": ("ordres",)}, UnknownNameError, None),
        (stopped, {"brokers": 3}, NeedsRunningClusterError, None),
        (down, {"brokers": 3}, RefusedError, "broker_down"),
        (moved_by_others, {"brokers": 3}, RefusedError, "moved_by_others"),
        (full, {"brokers": 3}, RefusedError, "disk_full"),
        (without_memory, {"brokers": 3}, ConfigurationError, "not_enough_memory"),
        (with_a_taken_port, {"brokers": 3}, PortInUseError, None),
        (nearly_full, {"brokers": 3}, RefusedError, "disk_nearly_full"),
        (damaged, {"brokers": 3}, KraftdError, "journal_damaged"),
        (changed, {"brokers": 3}, RefusedError, "configuration_changed"),
        (written(OTHER_SCALE), {"brokers": 3}, RefusedError, "unfinished_scale"),
        (
            written(Journal(2, 2, "now", BEFORE, goal=Goal((1, 2)))),
            {"brokers": 3},
            RefusedError,
            "unfinished_reassignment",
        ),
    ],
)
@pytest.mark.parametrize("is_dry", [False, True])
def test_what_cannot_be_is_refused_before_anything_changes(cluster, spoil, options, kind, code, is_dry):
    if spoil is not None:
        spoil(cluster)
    journal = cluster.plan.layout.scale_journal
    before = journal.read_text() if journal.exists() else None

    command = cluster.scaling(**options)
    with pytest.raises(kind) as caught:
        command.plan() if is_dry else command.run()

    assert code in (None, caught.value.code)
    assert cluster.steps == []
    assert (journal.read_text() if journal.exists() else None) == before


def test_the_time_that_the_question_takes_is_not_that_of_the_scale(cluster):
    command = cluster.scaling(3)
    command.plan()
    cluster.clock.advance(7200.0)

    assert command.run().took_s < 3600.0
    assert_of_three(cluster)


def test_a_scale_does_not_go_on_with_a_plan_from_before_another_one(cluster):
    command = cluster.scaling(4)
    command.plan()
    cluster.scale(3)
    cluster.forget()

    with pytest.raises(RefusedError) as caught:
        command.run()

    assert (caught.value.code, cluster.steps, cluster.journal) == ("configuration_changed", [], None)


def test_fewer_brokers_than_replicas_are_refused(of_three):
    of_three.scale(replication_factor=3)
    of_three.forget()

    with pytest.raises(RefusedError) as caught:
        of_three.scale(2)

    assert (caught.value.code, caught.value.details["topics"]) == ("too_many_replicas", ["orders"])
    assert (of_three.steps, of_three.journal) == ([], None)


def test_what_was_never_started_cannot_be_scaled(tmp_path):
    with pytest.raises(NeedsRunningClusterError):
        ScalingCluster(tmp_path).scaling(3)


def test_a_second_scale_does_not_wait_for_the_first(cluster):
    lock = acquire(cluster.plan.layout.scale_lock, command="scale", clock=cluster.clock, timeout_s=0.0)

    with lock, pytest.raises(TimedOutError):
        cluster.scale(3)

    assert cluster.steps == []


# What fails meanwhile.


def refused(cluster):
    cluster.kafka.refuses = Failure("INVALID_REPLICA_ASSIGNMENT", "no", retriable=False)


def standing_still(cluster):
    cluster.kafka.copied_per_look = 0


def stop_asked_for(cluster):
    standing_still(cluster)
    reassign = cluster.kafka.reassign
    cluster.kafka.reassign = lambda targets: (cluster.store.raise_generation(), reassign(targets))[1]


@pytest.mark.parametrize(
    ("spoil", "kind"), [(refused, KraftdError), (standing_still, TimedOutError), (stop_asked_for, YieldedError)]
)
def test_a_scale_that_fails_leaves_no_throttle_and_is_finished_by_the_next(cluster, spoil, kind):
    spoil(cluster)

    with pytest.raises(kind):
        cluster.scale(3, timeout_s=60.0)

    assert (cluster.kafka.throttles, cluster.journal.topic_throttles, cluster.journal.broker_throttles) == (
        NOT_THROTTLED,
        {},
        {},
    )
    cluster.kafka.refuses, cluster.kafka.copied_per_look = None, 400
    cluster.kafka.__dict__.pop("reassign", None)
    cluster.scale(3)
    assert_of_three(cluster)


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([Failure("REQUEST_TIMED_OUT", "no answer", retriable=True)] * 3, None),
        ([Failure("BROKER_ID_NOT_REGISTERED", "unknown", retriable=False)], None),
        ([Failure("CLUSTER_AUTHORIZATION_FAILED", "no", retriable=False)], "not_unregistered"),
        ([Failure("REQUEST_TIMED_OUT", "no answer", retriable=True)] * 99, "not_unregistered"),
    ],
    ids=["late", "forgotten", "refused", "silent"],
)
def test_a_broker_is_forgotten_or_the_command_says_why_not(of_three, answers, code):
    of_three.kafka.forgets = list(answers)

    assert refusal_of(of_three, 2) == code
    if code is not None:
        assert (of_three.running_brokers, of_three.journal.is_removing) == (NAMES[:2], True)
        of_three.kafka.forgets = []
        of_three.scale(2)
    assert_of_two(of_three)


def test_a_broker_that_does_not_come_up_moves_nothing_and_can_be_undone(cluster):
    cluster.programs["broker-3"] = FakeProgram(fails=True)

    with pytest.raises(StartFailedError):
        cluster.scale(3)

    assert ("reassign" in cluster.steps, cluster.journal.brokers_after) == (False, 3)
    cluster.scale(abort=True)
    assert_of_two(cluster)


@pytest.mark.parametrize("is_deleted", [False, True])
def test_the_data_of_a_broker_that_left_is_kept_unless_it_is_to_go(of_three, is_deleted):
    data = of_three.plan.layout.data("broker-3")

    of_three.scale(2, delete_data=is_deleted)

    assert data.exists() is not is_deleted


def test_a_link_in_the_place_of_data_is_not_followed(of_three, tmp_path):
    data, elsewhere = of_three.plan.layout.data("broker-3"), tmp_path / "elsewhere"
    data.rename(elsewhere)
    data.symlink_to(elsewhere)

    of_three.scale(2, delete_data=True)

    assert elsewhere.exists()


def test_a_broker_that_left_comes_back_with_its_data(of_three):
    of_three.scale(2)
    identity = (of_three.plan.layout.data("broker-3") / "meta.properties").read_text()

    of_three.forget()
    of_three.scale(3)

    assert (of_three.plan.layout.data("broker-3") / "meta.properties").read_text() == identity
    assert of_three.store.manifest().removed == ()
    assert_of_three(of_three)


@pytest.mark.parametrize("step", ["update", "start broker-3"])
def test_a_broker_whose_return_was_killed_is_on_record_after_the_next_call(of_three, step):
    of_three.scale(2)
    of_three.killed_at(step, of_three.scaling(3))

    of_three.scale(3)

    assert on_record(of_three) == (NAMES, ())
    assert_of_three(of_three)


def test_a_broker_that_runs_and_is_on_no_record_is_put_there(of_three):
    of_three.scale(2)
    left = of_three.store.manifest()
    of_three.killed_at("start broker-3", of_three.scaling(3))
    of_three.store.write_manifest(left)

    of_three.scale(3)

    assert on_record(of_three) == (NAMES, ())


def on_record(cluster):
    """Return the brokers that the manifest has, and those that have left."""
    manifest = cluster.store.manifest()
    return tuple(node.name for node in manifest.nodes if node.name.startswith("broker")), manifest.removed


# What others do meanwhile.


def edited(cluster):
    cluster.assigned = ("cluster.heap=3g",)


def broken(cluster):
    cluster.assigned = ("cluster.heap=x",)


def filled(cluster):
    cluster.kafka.replicas[3], cluster.kafka.leaders[3] = (3,), 3


def stop_was_run(cluster):
    cluster.store.raise_generation()


def supervisor_ended(cluster):
    cluster.supervisor_pid = None


@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        (edited, RefusedError, "configuration_changed"),
        (broken, ConfigurationError, None),
        (filled, RefusedError, "replicas_left"),
        (stop_was_run, YieldedError, None),
        (supervisor_ended, NeedsRunningClusterError, "unsupervised"),
    ],
)
def test_no_broker_is_removed_where_something_has_changed_meanwhile(of_three, change, kind, code):
    of_three.meanwhile["unthrottle"] = lambda: change(of_three)

    with pytest.raises(kind) as caught:
        of_three.scale(2)

    assert code in (None, caught.value.code)
    assert (of_three.steps[-1], of_three.journal.is_removing) == ("unthrottle", False)
    of_three.assigned, of_three.supervisor_pid = (), 1
    of_three.scale(2)
    assert (of_three.running_brokers, of_three.store.manifest().removed) == (NAMES[:2], ("broker-3",))
    assert {3} & set(sum(of_three.kafka.replicas.values(), ())) == set()


def test_a_broker_with_a_topic_that_came_during_its_stop_is_not_forgotten(of_three):
    of_three.meanwhile["SIGTERM broker-3"] = lambda: filled(of_three)

    with pytest.raises(RefusedError) as caught:
        of_three.scale(2, delete_data=True)

    assert (caught.value.code, caught.value.details["partitions"]) == ("replicas_left", [("orders", 3)])
    assert ("unregister broker-3" in of_three.steps, of_three.plan.layout.data("broker-3").exists()) == (False, True)


@pytest.mark.parametrize("change", [edited, stop_was_run])
def test_no_broker_comes_where_something_has_changed_meanwhile(cluster, change):
    cluster.killed_at("update", cluster.scaling(3))
    planned = cluster.scaling(3)
    first_look = cluster.kafka.metadata
    answered = []

    def metadata(names=None):
        if not answered:
            answered.append(change(cluster))
        return first_look(names)

    cluster.kafka.metadata = metadata

    with pytest.raises((RefusedError, YieldedError)):
        planned.run()

    assert cluster.steps == []


@pytest.mark.parametrize("is_undone", [False, True])
def test_an_unfinished_scale_of_a_topic_that_was_deleted_comes_to_its_end(of_three, is_undone):
    of_three.killed_at("reassign", of_three.scaling(replication_factor=3, topics=("orders",)))
    of_three.kafka.delete_orders()

    result = of_three.scale(abort=is_undone)

    assert (result.is_undone, of_three.journal) == (is_undone, None)


@pytest.mark.parametrize(
    ("answers", "is_held", "code"),
    [
        ([Failure("REQUEST_TIMED_OUT", "no answer", retriable=True)] * 3, True, None),
        ([Failure("REQUEST_TIMED_OUT", "no answer", retriable=True)] * 99, True, "canary_not_deleted"),
        ([Failure("TOPIC_DELETION_DISABLED", "no", retriable=False)], True, "canary_not_deleted"),
        ([Failure("TOPIC_DELETION_DISABLED", "no", retriable=False)], False, None),
        ([Failure("UNKNOWN_TOPIC_OR_PARTITION", "no such topic", retriable=False)], False, None),
    ],
    ids=["late", "silent", "disabled", "moved", "absent"],
)
def test_the_topic_of_the_canary_keeps_no_replica_on_a_broker_that_left(of_three, answers, is_held, code):
    of_three.kafka.keeps_canary = list(answers)
    of_three.kafka.canary = (3, 1) if is_held else (1, 2)

    assert refusal_of(of_three, 2) == code
    assert (of_three.journal is None) == (code is None)
