from kraftd.broker.errors import KafkaUnavailableError
from kraftd.broker.model import Groups, GroupState, Member, Partial
from kraftd.watch.collector import Collector
from tests.clocks import ManualClock
from tests.unit.watch.programs import quorum, topic, voter

ORDERS = topic("orders", 1, 1)
GROUP = GroupState("g", "Stable", "consumer", "classic", 1, (Member("m", "c", "h", (("orders", 0), ("orders", 1))),))


class FakeAdmin:
    """Answers from what it is given; a part named in failing cannot be asked."""

    def __init__(self):
        self.failing = set()
        self.asked = []
        self.commits = {("orders", 0): 7}

    def _answer(self, part, value):
        self.asked.append(part)
        if part in self.failing:
            raise KafkaUnavailableError(f"cannot ask for {part}")
        return value

    def quorum(self):
        return self._answer("quorum", quorum(1, voter(1)))

    def topics(self, names=None):
        return self._answer("topics", Partial({"orders": ORDERS}))

    def groups(self):
        return self._answer("groups", Groups({"g": GROUP}, {}, {}))

    def committed(self, groups):
        return self._answer("committed", Partial({group.name: self.commits for group in groups}))

    def end_offsets(self, partitions):
        return self._answer("ends", Partial({partition.key: 10 for partition in partitions}))

    def start_offsets(self, partitions):
        return self._answer("starts", Partial({partition.key: 0 for partition in partitions}))


def collector(admin, clock=None):
    return Collector(admin, clock or ManualClock(), lag_interval_s=10.0)


def test_the_first_view_has_everything():
    view = collector(FakeAdmin()).collect()

    assert (view.quorum.leader_id, view.topics, set(view.groups), view.failures) == (1, (ORDERS,), {"g"}, {})
    assert view.lags["g"].total.lag == 3
    assert view.lags_taken_at_s == 1_700_000_000.0


def test_commits_are_read_before_end_offsets():
    admin = FakeAdmin()

    collector(admin).collect()

    assert admin.asked.index("committed") < admin.asked.index("ends")


def test_groups_are_asked_for_at_their_own_pace_and_kept_in_between():
    admin, clock = FakeAdmin(), ManualClock()
    subject = collector(admin, clock)
    subject.collect()
    admin.commits = {("orders", 0): 9}

    clock.advance(9.9)
    assert subject.collect().lags["g"].total.lag == 3
    clock.advance(0.1)
    assert subject.collect().lags["g"].total.lag == 1
    assert admin.asked.count("groups") == 2
    assert admin.asked.count("quorum") == 3


def test_a_part_that_fails_costs_its_own_value_and_tells_why():
    admin = FakeAdmin()
    admin.failing = {"quorum"}

    view = collector(admin).collect()

    assert (view.quorum, view.topics) == (None, (ORDERS,))
    assert view.failures == {"quorum": "cannot ask for quorum"}


def test_a_part_that_comes_back_has_no_reason_any_more():
    admin = FakeAdmin()
    subject = collector(admin)
    admin.failing = {"topics"}
    subject.collect()
    admin.failing = set()

    view = subject.collect()

    assert (view.topics, view.failures) == ((ORDERS,), {})


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

        assert (view.groups, view.lags) == (None, None)


def test_partitions_that_a_member_reads_without_a_commit_are_told():
    assert collector(FakeAdmin()).collect().lags["g"].uncommitted == (("orders", 1),)


def test_commits_of_partitions_that_are_gone_are_not_asked_about():
    admin = FakeAdmin()
    admin.commits = {("deleted", 0): 5}

    view = collector(admin).collect()

    assert view.failures == {}
    assert view.lags["g"].total.lag in (None, 0)
