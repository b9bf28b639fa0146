import json
from types import SimpleNamespace

import pytest
from confluent_kafka import OFFSET_BEGINNING, ConsumerGroupState, TopicPartition

from kraftd_apps.consumer.group_protocol import (
    MembershipFile,
    ProtocolDetectingConsumer,
    Standby,
    has_free_partition,
    stands_by,
    supports_consumer_protocol,
)
from tests.unit.apps.consumer.joining import joining
from tests.unit.apps.kafka_fakes import EARLIER_TOPIC_ID, FakeMemberClient, FakeMessage, failure, settled

OFFERED = "group.coordinator.rebalance.protocols"


class FakeCluster:
    """Tells the settings of its one broker, or fails."""

    def __init__(self, settings):
        is_failure = isinstance(settings, Exception)
        self._told = settings if is_failure else {name: SimpleNamespace(value=text) for name, text in settings.items()}

    def list_topics(self, *, timeout):
        return SimpleNamespace(brokers={7: "any"})

    def describe_configs(self, resources, *, request_timeout):
        (resource,) = resources
        assert resource.name == "7"
        return {resource: settled(self._told)}


class FakeClusterFenced:
    def list_topics(self, *, timeout):
        return SimpleNamespace(brokers={})


class FakeClusterAway:
    def list_topics(self, *, timeout):
        raise failure("_TRANSPORT")


@pytest.mark.parametrize(
    ("settings", "taken"),
    [
        ({OFFERED: "classic,consumer,streams"}, True),
        ({OFFERED: "classic"}, False),
        ({"group.consumer.session.timeout.ms": "45000"}, True),
        ({"group.max.session.timeout.ms": "1800000"}, False),
        (failure("CLUSTER_AUTHORIZATION_FAILED"), False),
        (failure("_TIMED_OUT"), None),
    ],
)
def test_a_brokers_settings_say_which_members_it_takes(settings, taken):
    assert supports_consumer_protocol(FakeCluster(settings)) is taken


@pytest.mark.parametrize("cluster", [FakeClusterAway(), FakeClusterFenced()])
def test_where_no_broker_answers_or_serves_nothing_is_known(cluster):
    assert supports_consumer_protocol(cluster) is None


def deciding(classic, new, *answers):
    told = list(answers)
    return ProtocolDetectingConsumer(classic, lambda: new, lambda: told.pop(0))


def test_nothing_is_joined_before_a_broker_has_answered():
    classic = FakeMemberClient(assigned=[TopicPartition("test-topic", 0)])
    member = joining(deciding(classic, FakeMemberClient(), None, False), list)
    classic.joins_at_poll = 2
    member.poll()
    assert classic.callbacks == {}
    member.poll()
    assert member.membership.partitions == (0,)


def test_the_new_protocol_replaces_the_classic_client_and_takes_partitions_its_way():
    classic = FakeMemberClient()
    new = FakeMemberClient(
        [[FakeMessage(0, 4)]],
        assigned=[TopicPartition("test-topic", 0)],
        committed_={0: (7, f"kraftd:{EARLIER_TOPIC_ID}")},
    )
    member = joining(deciding(classic, new, True), list)
    member.poll()
    assert classic.closed
    assert new.taken == [("more", {0: OFFSET_BEGINNING})]
    assert new.stored == [(0, 5)]
    classic.joins_at_poll = new.joins_at_poll = 1
    assert handed_on_by(deciding(classic, new, True)) == [None]
    assert handed_on_by(deciding(classic, new, False)) == [classic.member_id]


def handed_on_by(client):
    ids = []
    joining(client, list, on_assigned=lambda own, member_id: ids.append(member_id)).poll()
    return ids


def test_a_member_of_the_detected_protocol_is_known_before_its_partitions_are():
    new = FakeMemberClient(joins_at_poll=-1, member_id="its-own")
    member = joining(deciding(FakeMemberClient(joins_at_poll=-1), new, None, True), list)
    member.poll()
    assert member.unreported_id is None
    member.poll()
    assert member.unreported_id == "its-own"


def test_a_member_that_joins_anew_does_it_with_the_detected_protocol():
    classic, new = FakeMemberClient(), FakeMemberClient()
    member = joining(deciding(classic, new, True), list)
    member.poll()
    new.callbacks["assign"](new, [])
    member.rejoin()
    new.joins_at_poll = 1
    new.assigned = [TopicPartition("test-topic", 3)]
    member.poll()
    assert member.membership.partitions == (3,)


class FakeGroup:
    """A group of a topic with two partitions; each member has some of a topic's, or the description fails."""

    def __init__(self, *members, state=ConsumerGroupState.STABLE, failing=None):
        self._members, self._state, self._failing = members, state, failing

    def describe_topics(self, topics, *, request_timeout):
        return {"t": settled(SimpleNamespace(partitions=[SimpleNamespace(id=0), SimpleNamespace(id=1)]))}

    def describe_consumer_groups(self, group_ids, *, request_timeout):
        members = [
            SimpleNamespace(
                member_id=f"m{number}",
                assignment=SimpleNamespace(topic_partitions=[TopicPartition(*place) for place in places]),
            )
            for number, places in enumerate(self._members)
        ]
        return {"g": settled(self._failing or SimpleNamespace(state=self._state, members=members))}


@pytest.mark.parametrize(
    ("group", "is_free"),
    [
        (FakeGroup([]), True),
        (FakeGroup([("t", 0)], []), True),
        (FakeGroup([("t", 0), ("another", 1)], []), True),
        (FakeGroup([("t", 0)], [("t", 1)], []), False),
        (FakeGroup([], state=ConsumerGroupState.PREPARING_REBALANCING), False),
        (FakeGroup(failing=failure("_TIMED_OUT")), False),
        (FakeGroup(failing=failure("GROUP_AUTHORIZATION_FAILED")), False),
    ],
)
def test_a_partition_is_free_where_no_member_of_a_settled_group_has_it(group, is_free):
    assert has_free_partition(group, "g", "t") is is_free


@pytest.mark.parametrize(
    ("group", "is_standby"),
    [
        (FakeGroup([("t", 0)], []), True),
        (FakeGroup([("t", 0)], [("t", 1)]), False),
        (FakeGroup([("t", 0)]), False),
        (FakeGroup([("t", 0)], [], state=ConsumerGroupState.UNKNOWN), False),
        (FakeGroup(failing=failure("_TIMED_OUT")), False),
    ],
)
def test_a_member_stands_by_where_a_settled_group_has_it_and_no_partition_for_it(group, is_standby):
    assert stands_by(group, "g", "m1") is is_standby


def times_of_requests(until_s, *notes):
    """Return at which seconds the group's state is requested, after these assignments in the first second."""
    now_s, requests = [0.0], []
    standby = Standby(lambda: not requests.append(now_s[0]), clock=lambda: now_s[0])
    for partitions, member_id in notes:
        standby.note(partitions, member_id)
    for second in range(until_s):
        now_s[0] = float(second)
        assert standby.is_over() is (now_s[0] in requests)
    return requests


def test_a_member_without_partitions_requests_the_groups_state_ever_more_rarely():
    assert times_of_requests(240, ((), "member")) == [5, 15, 35, 75, 135, 195]


@pytest.mark.parametrize("notes", [(), [((), None)], [((), ""), ((3,), "member")], [((), "member"), ((0,), "member")]])
def test_a_member_with_partitions_or_of_the_consumer_protocol_requests_nothing(notes):
    assert times_of_requests(60, *notes) == []


class Coordinator:
    """Remembers who left, after it has failed a few times."""

    def __init__(self, *failures):
        self.left = []
        self._failures = list(failures)

    def leave(self, group, member_id, timeout_s):
        if self._failures:
            raise failure(self._failures.pop(0))
        self.left.append((group, member_id))


def left_by_the_next(path, group="g", *failures):
    """Return what the next process of the same app takes out of the group, and its pauses."""
    coordinator, pauses = Coordinator(*failures), []
    MembershipFile(path, group, coordinator.leave).remove(pauses.append)
    return coordinator.left, pauses


def test_the_next_process_leaves_for_one_that_was_killed(tmp_path):
    killed = MembershipFile(tmp_path / "member.json", "g", Coordinator().leave)
    for member_id in ("first", "", None, "rejoined"):
        killed.note(member_id)
    assert left_by_the_next(tmp_path / "member.json") == ([("g", "rejoined")], [])


def test_the_next_process_tries_until_the_coordinator_answers(tmp_path):
    MembershipFile(tmp_path / "member.json", "g", Coordinator().leave).note("killed")
    left, pauses = left_by_the_next(tmp_path / "member.json", "g", "_TRANSPORT", "COORDINATOR_LOAD_IN_PROGRESS")
    assert left == [("g", "killed")]
    assert len(pauses) == 2


def test_nothing_is_left_for_a_process_that_has_left_itself(tmp_path):
    stopped = MembershipFile(tmp_path / "member.json", "g", Coordinator().leave)
    stopped.note("stopped")
    stopped.forget()
    stopped.forget()
    assert left_by_the_next(tmp_path / "member.json") == ([], [])


def test_a_killed_process_is_taken_out_of_the_group_that_it_was_in(tmp_path):
    MembershipFile(tmp_path / "member.json", "before", Coordinator().leave).note("killed")
    assert left_by_the_next(tmp_path / "member.json", "now") == ([("before", "killed")], [])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"group": "g"}', "\0"])
def test_a_damaged_file_of_the_member_is_as_none(text, tmp_path):
    path = tmp_path / "member.json"
    path.write_text(text)
    assert left_by_the_next(path) == ([], [])
    MembershipFile(path, "g", Coordinator().leave).note("now")
    assert json.loads(path.read_text()) == {"group": "g", "member": "now"}


def test_without_a_file_nothing_is_remembered(tmp_path):
    member = MembershipFile(None, "g", Coordinator().leave)
    member.note("id")
    member.forget()
    member.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failures", [[], ["_TIMED_OUT"]])
def test_a_leave_that_does_not_get_through_is_sent_once_more(failures, tmp_path):
    coordinator = Coordinator(*failures)
    member = MembershipFile(tmp_path / "member.json", "g", coordinator.leave)
    member.leave(1.0)
    member.note("id")
    member.leave(1.0)
    assert coordinator.left == ([] if failures else [("g", "id")])


def test_a_file_that_cannot_be_written_does_not_end_the_member(tmp_path, caplog):
    member = MembershipFile(tmp_path / "absent" / "member.json", "g", Coordinator().leave)
    member.note("id")
    assert "cannot be written" in caplog.text
