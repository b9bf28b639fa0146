import pytest

from kraftd.health.programs.state import ServiceState
from kraftd.kafka.log import EARLIEST, IsolationLevel
from kraftd.kafka.model import (
    Batch,
    BrokerEndpoint,
    ClusterMetadata,
    Failure,
    FetchedBatches,
    Groups,
    GroupState,
    KafkaUnavailableError,
    LogDir,
    Member,
    Partial,
    Partition,
    RoundTrip,
    TopicOutcome,
    TopicState,
)
from kraftd.kafka.round_trip import CANARY_TOPIC
from kraftd.observe.collector import LEFT_TO_START_S, CollectAction, Collector, next_collect_action
from tests.clocks import ManualClock
from tests.plans import plan_of
from tests.unit.health.views import program, quorum, snapshot, topic, voter

STARTING, DOWN = ServiceState.STARTING, ServiceState.DOWN
COMING_UP = snapshot(program("broker-1"), program("producer", STARTING))
UP = snapshot(program("broker-1"), program("broker-2", DOWN))


def test_before_the_first_look_nothing_is_asked():
    assert next_collect_action(None, has_seen_kafka=False, waited_s=100.0) is CollectAction.WAIT


def test_a_start_is_left_alone_until_all_of_it_is_up():
    assert next_collect_action(COMING_UP, has_seen_kafka=False, waited_s=1.0) is CollectAction.WAIT
    assert next_collect_action(UP, has_seen_kafka=False, waited_s=1.0) is CollectAction.ASK


def test_a_start_that_takes_long_is_watched():
    assert next_collect_action(COMING_UP, has_seen_kafka=False, waited_s=LEFT_TO_START_S - 0.1) is CollectAction.WAIT
    assert next_collect_action(COMING_UP, has_seen_kafka=False, waited_s=LEFT_TO_START_S) is CollectAction.ASK


def test_what_comes_up_later_stops_no_collecting():
    assert next_collect_action(COMING_UP, has_seen_kafka=True, waited_s=1.0) is CollectAction.ASK


@pytest.mark.parametrize("state", [STARTING, DOWN])
def test_without_a_serving_broker_there_is_nobody_to_ask(state):
    look = snapshot(program("broker-1", state), program("producer"))

    assert next_collect_action(look, has_seen_kafka=True, waited_s=1.0) is CollectAction.GIVE_UP


ORDERS = topic("orders", 1, 1)
PROBE = TopicState(
    CANARY_TOPIC,
    internal=False,
    partitions=(Partition(CANARY_TOPIC, 0, 1, (1, 2), (1, 2)), Partition(CANARY_TOPIC, 1, 2, (2, 1), (1, 2))),
)
GROUP = GroupState("g", "Stable", "consumer", "classic", 1, (Member("m", "c", "h", (("orders", 0), ("orders", 1))),))
BROKERS = tuple(BrokerEndpoint(node_id, "127.0.0.1", 9091 + node_id) for node_id in (1, 2))
TIMED_OUT = Failure("TIMED_OUT", "no answer within 3 s", retriable=True)


class FakeAdmin:
    """Answers from what it is given; a part named in failing cannot be asked."""

    def __init__(self):
        self.failing = set()
        self.asked, self.kinds = [], []
        self.known = {"orders": ORDERS}
        self.brokers = BROKERS
        self.commits = {("orders", 0): 7}
        self.ends = 10
        self.unlisted = {}
        self.offset_at_time = 0
        self.elsewhere = TIMED_OUT

    @property
    def requests(self):
        return {"Metadata": self.asked.count("topics")}

    def _answer(self, part, value):
        self.asked.append(part)
        if part in self.failing:
            raise KafkaUnavailableError(f"cannot ask for {part}")
        return value

    def quorum(self):
        return self._answer("quorum", quorum(1, voter(1)))

    def metadata(self, names=None):
        return self._answer("topics", ClusterMetadata(self.brokers, Partial(self.known, {"odd": TIMED_OUT})))

    def groups(self, brokers=None):
        return self._answer("groups", Groups({} if self.unlisted else {"g": GROUP}, {}, self.unlisted))

    def committed(self, groups):
        return self._answer("committed", Partial({group.name: self.commits for group in groups}))

    def end_offsets(self, partitions, isolation_level=IsolationLevel.READ_UNCOMMITTED):
        part = "stable" if isolation_level else "ends"
        return self._answer(part, Partial({partition.key: self.ends for partition in partitions}))

    def mixed_offsets(self, questions):
        self.kinds += {"starts" if at == EARLIEST else "lookups" for _, at in questions}
        return self._answer(
            "mixed", Partial({p.key: 0 if at == EARLIEST else self.offset_at_time for p, at in questions})
        )

    def batches_from(self, questions):
        found = {p.key: FetchedBatches((Batch(at, 9, 10 - at, -1, False, False, 100),), (), 10) for p, at in questions}
        return self._answer("batches", Partial(found))

    def open_transactions(self, partitions, brokers):
        return self._answer("transactions", Partial())

    def log_dirs(self, brokers):
        return self._answer(
            "log_dirs", Partial({broker.node_id: (LogDir("/d", {}, 2, 1, None),) for broker in brokers})
        )

    def create_topics(self, declared, limit_s):
        self.known = self.known | {CANARY_TOPIC: PROBE}
        return self._answer("creation", tuple(TopicOutcome(each.name, created=True) for each in declared))

    def round_trips(self, partitions, value):
        asked = {partition.replicas[0] for partition in partitions}
        values = {node_id: RoundTrip(0.002, 0.001) for node_id in asked & {1}}
        return self._answer("canary", Partial(values, dict.fromkeys(asked & {2}, self.elsewhere)))


def collector(admin, clock=None, toml=""):
    return Collector(admin, clock or ManualClock(), plan_of(toml))


def after(subject, clock, seconds, *, is_settled=True):
    """Return the view after so long, looked at every second."""
    for _ in range(seconds):
        clock.advance(1.0)
        subject.collect(is_settled=is_settled)
    return subject.view


def test_the_first_view_has_everything():
    view = collector(FakeAdmin()).collect()

    assert (view.quorum.leader_id, view.topics, set(view.groups), view.failures) == (1, (ORDERS,), {"g"}, {})
    # 3 after the commit, and all 10 of the partition without one.
    assert (view.lags["g"].total.lag, view.lags["g"].total.offset_lag) == (13, 3)
    assert view.lags_taken_at_s == 1_700_000_000.0
    assert (view.brokers, view.unreadable.topics) == (BROKERS, {"odd": TIMED_OUT})
    assert view.offsets.ends.values == {("orders", 0): 10, ("orders", 1): 10}
    assert view.offsets.starts.values == {("orders", 0): 0, ("orders", 1): 0}
    assert view.offsets.last_stable.values == {("orders", 0): 10, ("orders", 1): 10}


def test_a_new_topic_has_its_offsets_in_its_first_cycle_whatever_else_is_due():
    admin, clock = FakeAdmin(), ManualClock()
    admin.known = {}
    subject = collector(admin, clock)
    subject.collect()
    admin.known = {"orders": ORDERS}

    view = after(subject, clock, 10)

    assert admin.asked.count("log_dirs") == 1
    assert view.offsets.starts.values == {("orders", 0): 0, ("orders", 1): 0}
    assert view.offsets.last_stable.values == {("orders", 0): 10, ("orders", 1): 10}


def test_commits_are_read_before_end_offsets():
    admin = FakeAdmin()

    collector(admin).collect()

    assert admin.asked.index("committed") < admin.asked.index("ends")


def test_groups_are_asked_for_at_their_own_pace_and_kept_in_between():
    admin, clock = FakeAdmin(), ManualClock()
    subject = collector(admin, clock)
    subject.collect()
    admin.commits = {("orders", 0): 9}

    assert after(subject, clock, 9).lags["g"].total.offset_lag == 3
    assert after(subject, clock, 1).lags["g"].total.offset_lag == 1
    assert admin.asked.count("groups") == 2


def test_a_healthy_cluster_is_asked_for_its_state_once_in_a_cycle_others_each_time():
    admin, clock = FakeAdmin(), ManualClock()
    subject = collector(admin, clock, "[daemon]\nprobe = false")
    subject.collect()

    after(subject, clock, 9)
    assert (admin.asked.count("topics"), admin.asked.count("quorum")) == (1, 1)
    after(subject, clock, 9, is_settled=False)
    assert (admin.asked.count("topics"), admin.asked.count("quorum")) == (10, 10)
    assert admin.asked.count("groups") == 2


def test_a_part_that_fails_costs_its_own_value_and_tells_why():
    admin = FakeAdmin()
    admin.failing = {"quorum"}

    view = collector(admin).collect()

    assert (view.quorum, view.topics) == (None, (ORDERS,))
    assert view.failures == {"quorum": "cannot ask for quorum"}
    assert (view.runs["quorum"].up, view.runs["quorum"].errors) == (False, {"kafka_unavailable": 1})
    assert (view.runs["topics"].up, view.runs["topics"].last_success_s) == (True, 1_700_000_000.0)


def test_a_part_that_comes_back_has_no_reason_any_more_but_its_errors_stay_counted():
    admin = FakeAdmin()
    subject = collector(admin)
    admin.failing = {"topics"}
    subject.collect()
    admin.failing = set()

    view = subject.collect()

    assert (view.topics, "topics" in view.failures) == ((ORDERS,), False)
    assert (view.runs["topics"].up, view.runs["topics"].errors) == (True, {"kafka_unavailable": 1})


def test_a_defect_in_one_part_does_not_end_the_others(caplog):
    admin = FakeAdmin()
    admin.commits = None

    view = collector(admin).collect()

    assert view.failures["lag"].startswith("cannot collect lag: TypeError")
    assert view.quorum is not None
    assert "Traceback" in caplog.text


def test_a_failing_lag_keeps_the_groups():
    admin = FakeAdmin()
    admin.failing = {"ends"}

    view = collector(admin).collect()

    assert (set(view.groups), view.lags) == ({"g"}, None)
    assert view.failures == {"lag": "cannot ask for ends"}


def test_without_groups_or_topics_there_is_no_lag_rather_than_an_old_one():
    for part in ("groups", "topics"):
        admin, clock = FakeAdmin(), ManualClock()
        subject = collector(admin, clock)
        subject.collect()
        admin.failing = {part}
        clock.advance(10.0)

        view = subject.collect()

        assert (view.groups, view.lags, view.offsets, view.time_lags) == (None, None, None, None)
        assert view.failures["lag"] == f"cannot ask for {part}"


def test_partitions_that_a_member_reads_without_a_commit_are_told():
    assert collector(FakeAdmin()).collect().lags["g"].uncommitted == (("orders", 1),)


def test_commits_of_partitions_that_are_gone_are_not_asked_about():
    admin = FakeAdmin()
    admin.commits = {("deleted", 0): 5}

    view = collector(admin).collect()

    assert view.failures == {}
    assert {each.topic for each in view.lags["g"].partitions} == {"orders"}


def test_commits_on_a_topic_that_cannot_be_read_are_no_commits_on_a_deleted_one():
    admin = FakeAdmin()
    admin.commits = {("orders", 0): 7, ("odd", 0): 5}

    assert collector(admin).collect().lags["g"].total.lag is None


def test_a_broker_that_lists_no_groups_is_named():
    admin = FakeAdmin()
    admin.unlisted = {2: TIMED_OUT}

    assert collector(admin).collect().unreadable.coordinators == {2: TIMED_OUT}


def test_in_the_long_run_there_is_time_lag_pace_and_the_last_stable_offset():
    admin, clock = FakeAdmin(), ManualClock()
    subject = collector(admin, clock)
    subject.collect()

    view = after(subject, clock, 300)

    (age,) = view.time_lags["g"].values()
    assert age.at_least_s >= 290.0
    assert view.statuses["g"].status == "stall"
    assert view.offsets.last_stable.values["orders", 0] == 10


def test_a_cycle_never_asks_for_more_than_one_detail_besides_commits_and_ends():
    admin, clock = FakeAdmin(), ManualClock()
    admin.known = {"orders": ORDERS, CANARY_TOPIC: PROBE}
    subject = collector(admin, clock)
    subject.collect()
    for _ in range(60):
        admin.asked.clear()
        clock.advance(10.0)
        subject.collect(is_settled=True)
        assert sum(admin.asked.count(part) for part in ("mixed", "stable", "log_dirs")) <= 1
    assert admin.asked.count("ends") == 1


@pytest.mark.parametrize("interval_s", [15, 20, 30, 45, 60, 120])
def test_in_an_hour_of_rare_cycles_every_kind_of_offset_is_asked_for(interval_s):
    admin, clock = FakeAdmin(), ManualClock()
    subject = collector(admin, clock, f"[daemon]\nprobe = false\nlag_interval_s = {interval_s}")
    subject.collect()
    admin.asked.clear()
    admin.kinds.clear()

    view = after(subject, clock, 3600)

    at_least = min(3600 // interval_s, 60) - 10
    assert admin.asked.count("stable") >= at_least
    assert admin.kinds.count("starts") >= at_least // 2
    assert admin.kinds.count("lookups") > 0
    assert admin.asked.count("log_dirs") >= at_least // 2
    assert view.log_dirs is not None


def test_log_directories_are_read_every_minute():
    admin, clock = FakeAdmin(), ManualClock()
    subject = collector(admin, clock)
    subject.collect()

    view = after(subject, clock, 120)

    assert set(view.log_dirs.brokers.values) == {1, 2}
    assert admin.asked.count("log_dirs") == 2


def test_the_canary_creates_its_topic_then_flies_and_counts():
    admin, clock = FakeAdmin(), ManualClock()
    subject = collector(admin, clock)
    subject.collect()

    assert after(subject, clock, 10).canary is None
    view = after(subject, clock, 40)

    assert admin.asked.count("creation") == 1
    assert set(view.canary.brokers.values) == {1}
    assert view.canary.writes[1].counts[1] == 2
    assert view.canary.failures == {(2, "TIMED_OUT"): 2}


def test_the_canary_waits_for_every_broker_for_its_placement_never_changes():
    admin, clock = FakeAdmin(), ManualClock()
    admin.brokers = BROKERS[:1]
    subject = collector(admin, clock)

    after(subject, clock, 30)

    assert "creation" not in admin.asked


def test_the_canary_can_be_switched_off():
    admin, clock = FakeAdmin(), ManualClock()
    subject = collector(admin, clock, "[daemon]\nprobe = false")

    assert after(subject, clock, 30).canary is None
    assert "creation" not in admin.asked


def test_what_the_settings_leave_out_is_not_asked_for_and_counted():
    admin = FakeAdmin()
    admin.known = {"orders": ORDERS, "secret": topic("secret", 1)}
    subject = collector(admin, toml='[daemon]\ntopics_deny = ["sec*"]\ngroups_allow = []\n')

    view = subject.collect()

    assert {name for name, _ in view.offsets.ends.values} == {"orders"}
    assert (view.groups, view.excluded.topics, view.excluded.groups) == ({}, {"secret"}, 1)
    assert {each.name for each in view.topics} == {"orders", "secret"}


def test_when_nothing_can_be_asked_nothing_old_is_left():
    admin, clock = FakeAdmin(), ManualClock()
    subject = collector(admin, clock)
    after(subject, clock, 20)

    view = subject.give_up("no broker answers")

    assert (view.quorum, view.topics, view.brokers, view.lags, view.canary) == (None,) * 5
    assert set(view.failures.values()) == {"no broker answers"}
    assert not any(run.up for run in view.runs.values())
    assert subject.collect().lags["g"].total.offset_lag == 3


def test_a_last_question_that_failed_keeps_nothing_old_either():
    admin, clock = FakeAdmin(), ManualClock()
    subject = collector(admin, clock)
    subject.collect()
    admin.failing = {"quorum", "topics"}
    clock.advance(1.0)
    before = subject.collect()

    view = subject.give_up("no broker answers")

    assert before.groups is not None
    assert (view.groups, view.lags) == (None, None)


def test_the_reason_is_the_newest_one_also_where_the_last_question_failed():
    admin = FakeAdmin()
    admin.failing = {"quorum", "topics", "groups"}
    subject = collector(admin)
    subject.collect()

    first = subject.give_up("no broker answers")
    again = subject.give_up("no broker answers")

    assert (first.groups, set(first.failures.values())) == (None, {"no broker answers"})
    assert again is first


def test_the_canary_flies_with_the_cycle_so_that_the_state_is_asked_for_once():
    admin, clock = FakeAdmin(), ManualClock()
    subject = collector(admin, clock)
    clock.advance(3.0)
    subject.collect()
    after(subject, clock, 60)
    admin.asked.clear()

    after(subject, clock, 60)

    assert (admin.asked.count("canary"), admin.asked.count("groups"), admin.asked.count("topics")) == (6, 6, 6)


def test_a_canary_that_was_not_sent_is_no_failed_one():
    admin, clock = FakeAdmin(), ManualClock()
    admin.elsewhere = Failure("NOT_LEADER", "broker 1 leads its partition now", retriable=True)
    subject = collector(admin, clock)

    view = after(subject, clock, 40)

    assert view.canary.brokers.failures[2].error == "NOT_LEADER"
    assert view.canary.failures == {}
