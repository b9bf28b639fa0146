import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, KafkaError, TopicPartition, Uuid

from kraftd.damage import STALLED_S, Batch
from kraftd_apps.consumer.member import (
    SILENT_S,
    Member,
    Membership,
    MembershipEndedError,
    TopicIdentity,
    marked_topic_id,
    unready_reasons,
)
from tests.unit.apps.consumer.joining import joining, no_batch
from tests.unit.apps.kafka_fakes import (
    EARLIER_TOPIC_ID,
    TOPIC_ID,
    FakeAdmin,
    FakeError,
    FakeIdentity,
    FakeMemberClient,
    FakeMessage,
    failure,
)

MARK = "kraftd:"


def joined(client: FakeMemberClient, arrived: list) -> Member:
    return joining(client, arrived.extend)


def test_offsets_are_stored_only_after_the_records_have_arrived():
    client = FakeMemberClient([[FakeMessage(0, 4), FakeMessage(0, 5), FakeMessage(1, 9)]])
    stored_before = []
    joining(client, lambda records: stored_before.append(list(client.stored))).poll()
    assert stored_before == [[]]
    assert client.stored == [(0, 6), (1, 10)]


def test_a_record_that_could_not_be_kept_is_not_stored():
    def fail(records):
        raise MemoryError

    client = FakeMemberClient([[FakeMessage(0, 4)]])
    member = joining(client, fail)
    with pytest.raises(MemoryError):
        member.poll()
    assert client.stored == []


def test_a_partition_that_has_just_moved_does_not_end_the_member(caplog):
    client = FakeMemberClient([[FakeMessage(0, 4)]], store_error=failure("_STATE"))
    arrived = []
    joined(client, arrived).poll()
    assert [record.offset for record in arrived] == [4]


def test_an_error_among_messages_is_logged_once_and_skipped(caplog):
    away = FakeMessage(error_=FakeError("_TRANSPORT"))
    client = FakeMemberClient([[away, FakeMessage(0, 1)], [away], [away]])
    arrived = []
    member = joined(client, arrived)
    for _ in range(3):
        member.poll()
    assert [record.offset for record in arrived] == [1]
    assert len(caplog.records) == 2, "once before the good record, once after it"


def end(partition, offset):
    return FakeMessage(partition, offset, error_=FakeError("_PARTITION_EOF"))


def test_the_position_behind_markers_is_stored_without_a_record(caplog):
    client = FakeMemberClient([[FakeMessage(0, 4), end(0, 7)], [end(0, 9), end(1, 0)]])
    arrived = []
    member = joined(client, arrived)
    member.poll()
    member.poll()
    assert client.stored == [(0, 7), (0, 9), (1, 0)]
    assert [record.offset for record in arrived] == [4]
    assert not caplog.records


def test_a_position_is_never_stored_before_the_records_in_front_of_it():
    client = FakeMemberClient([[FakeMessage(0, 4), end(0, 7), FakeMessage(0, 8)]])
    stored_before = []
    joining(client, lambda records: stored_before.append(list(client.stored))).poll()
    assert stored_before == [[]]
    assert client.stored == [(0, 9)]


def batch_to(end, fault="damaged", *, is_end_known=True):
    return lambda partition, offset, timeout_s: Batch(b"", offset, end, fault, is_end_known)


@pytest.mark.parametrize("error", ["_BAD_COMPRESSION", "_NOT_IMPLEMENTED", "_BAD_MSG"])
def test_a_batch_that_cannot_be_decoded_is_shown_and_passed(error, caplog):
    stuck = FakeMessage(0, 5, error_=FakeError(error))
    client = FakeMemberClient([[FakeMessage(0, 4), stuck, stuck, FakeMessage(1, 2)], [FakeMessage(0, 60)]])
    arrived = []
    member = joining(client, arrived.extend, read_batch=batch_to(60))
    member.poll()
    assert [(record.partition, record.offset, bool(record.fault)) for record in arrived] == [
        (0, 4, False),
        (0, 5, True),
        (1, 2, False),
    ]
    assert client.sought == [(0, 60)]
    assert client.stored == [(0, 60), (1, 3)]
    assert len(caplog.records) == 1
    member.poll()
    assert arrived[-1].offset == 60


def stalled(read_batch):
    """Return the client of a member whose first partition has not moved for a while, and what has arrived."""
    client, arrived, now_s = FakeMemberClient(assigned=places(0)), [], [0.0]
    member = joining(client, arrived.extend, read_batch=read_batch, clock=lambda: now_s[0])
    for time_s in (0.0, STALLED_S):
        now_s[0] = time_s
        member.note_unread({0: 13})
        member.poll()
    return client, arrived


def test_a_damaged_batch_that_librdkafka_does_not_report_is_shown_and_passed():
    client, arrived = stalled(batch_to(23))
    assert [(record.partition, record.offset, bool(record.fault)) for record in arrived] == [(0, 13, True)]
    assert client.sought == [(0, 23)]
    assert client.stored == [(0, 23)]


def unreadable(partition, offset, timeout_s):
    raise failure("_TIMED_OUT")


@pytest.mark.parametrize("read_batch", [batch_to(23, fault=""), no_batch, unreadable])
def test_a_stall_without_damage_is_waited_for(read_batch):
    client, arrived = stalled(read_batch)
    assert (client.sought, arrived) == ([], [])


def refused(read_batch):
    """Return a member, and its client, whose broker refuses to read the first partition at 5, and what has arrived."""
    refusal = FakeMessage(0, 5, error_=FakeError("INVALID_MSG"))
    client, arrived, now_s = FakeMemberClient([[FakeMessage(0, 4), refusal]], assigned=places(0)), [], [0.0]
    member = joining(client, arrived.extend, read_batch=read_batch, clock=lambda: now_s[0])
    member.poll()
    for time_s in (0.0, STALLED_S):
        now_s[0] = time_s
        # Of such a partition librdkafka's statistics know no end.
        member.note_unread({})
        member.poll()
    return member, client, arrived


def test_offsets_that_the_broker_refuses_to_read_are_shown_and_passed():
    member, client, arrived = refused(batch_to(23))
    assert [(record.offset, record.fault) for record in arrived] == [(4, ""), (5, "damaged")]
    assert client.sought == [(0, 23)]
    assert client.stored == [(0, 5), (0, 23)]
    assert member.unready_reasons() == []


def test_a_log_without_anything_readable_after_damage_is_a_reason_until_something_is():
    known = [False]
    member, client, arrived = refused(lambda *_: Batch(b"", 5, 9, "damaged", is_end_known=known[0]))
    assert client.sought == []
    assert len(arrived) == 1
    (reason,) = member.unready_reasons()
    assert "partition 0" in reason
    assert "offset 5" in reason

    client.batches.append([FakeMessage(0, 9)])
    member.poll()
    assert member.unready_reasons() == []


def test_a_partition_that_another_member_reads_is_no_reason_any_more():
    member, client, _ = refused(batch_to(9, is_end_known=False))
    assert member.unready_reasons()
    client.callbacks["revoke"](client, places(0))
    assert not any("partition 0" in reason for reason in member.unready_reasons())


def test_a_batch_whose_end_is_not_known_is_not_passed():
    stuck = FakeMessage(0, 5, error_=FakeError("_BAD_COMPRESSION"))
    client = FakeMemberClient([[FakeMessage(0, 4), stuck]])
    joined(client, []).poll()
    assert client.sought == []
    assert client.stored == [(0, 5)]


def test_what_librdkafka_has_passed_itself_is_not_read_again():
    passed = FakeMessage(0, 5, error_=FakeError("_NOT_IMPLEMENTED"))
    client = FakeMemberClient([[passed, FakeMessage(0, 6)]])
    joining(client, list, read_batch=batch_to(6)).poll()
    assert client.sought == []
    assert client.stored == [(0, 7)]


def test_no_record_ends_the_member_whatever_is_in_it():
    poison = [
        FakeMessage(0, 4, headers_=SystemError("returned a result with an exception set")),
        FakeMessage(0, 5, timestamp_=None),
        FakeMessage(0, 6, key_=b"\xff", value_=None, headers_=[("", None), ("a", b""), ("a", b"\xff")]),
    ]
    client = FakeMemberClient([poison])
    arrived = []
    joined(client, arrived).poll()
    assert [(record.offset, bool(record.fault)) for record in arrived] == [(4, True), (5, True), (6, False)]
    assert client.stored == [(0, 7)]


def test_a_member_knows_its_partitions_and_loses_them():
    client = FakeMemberClient(assigned=[TopicPartition("test-topic", 2), TopicPartition("test-topic", 0)])
    member = joined(client, [])
    assert member.membership == Membership(None, None)
    member.poll()
    assert member.membership == Membership((0, 2), 5.0)
    client.callbacks["revoke"](client, [TopicPartition("test-topic", 2)])
    assert member.membership.partitions == (0,)


def test_a_member_that_lost_its_group_is_not_ready_until_it_has_joined_again():
    client = FakeMemberClient(assigned=places(0, 1))
    member = joining(client, list)
    member.poll()
    client.callbacks["lost"](client, places(0, 1))
    assert member.membership.partitions is None
    assert member.unready_reasons() == ["not a member of the group"]
    client.callbacks["assign"](client, [])
    assert member.membership.partitions == ()
    assert member.unready_reasons() == []


@pytest.mark.parametrize(("incremental", "handed_on"), [(True, None), (False, "its-own")])
def test_only_a_member_of_the_classic_protocol_hands_on_its_id(incremental, handed_on):
    ids = []
    client = FakeMemberClient(member_id="its-own")
    joining(client, list, incremental=incremental, on_assigned=lambda own, member_id: ids.append(member_id)).poll()
    assert ids == [handed_on]


def test_a_member_whose_lack_of_partitions_nobody_reports_stands_by_once_it_is_told():
    noted = []
    client = FakeMemberClient(joins_at_poll=-1, member_id="its-own")
    member = joining(client, list, incremental=True, on_assigned=lambda *told: noted.append(told))
    member.poll()
    assert (member.membership.partitions, member.unreported_id) == (None, "its-own")
    member.note_standby()
    assert (member.membership.partitions, member.unreported_id, noted) == ((), None, [((), None)])
    assert member.unready_reasons() == []
    client.callbacks["lost"](client, [])
    assert member.unready_reasons() == ["not a member of the group"]
    assert member.unreported_id == "its-own"


def test_the_group_is_not_asked_about_a_member_of_the_classic_protocol():
    assert joining(FakeMemberClient(joins_at_poll=-1, member_id="its-own"), list).unreported_id is None


def test_a_partition_that_was_lost_is_no_reason_any_more():
    member, client, _ = refused(batch_to(9, is_end_known=False))
    client.callbacks["lost"](client, places(0))
    assert member.unready_reasons() == ["not a member of the group"]


def test_a_member_that_can_never_join_again_ends_and_stores_nothing():
    fenced = FakeMessage(error_=FakeError("_FATAL"))
    client = FakeMemberClient([[FakeMessage(0, 4), fenced]])
    with pytest.raises(MembershipEndedError, match="cannot go on as a member of the group: told to fail with _FATAL"):
        joined(client, []).poll()
    assert client.stored == []


def places(*partitions):
    return [TopicPartition("test-topic", number) for number in partitions]


def test_further_partitions_come_to_those_that_a_member_has():
    client = FakeMemberClient(assigned=places(0))
    member = joining(client, list, incremental=True)
    member.poll()
    client.callbacks["assign"](client, places(2))
    assert member.membership.partitions == (0, 2)


def test_what_was_committed_of_a_topic_that_was_deleted_is_not_used():
    client = FakeMemberClient(
        assigned=places(0, 1, 2), committed_={0: (7, MARK + EARLIER_TOPIC_ID), 1: (3, MARK + TOPIC_ID), 2: (5, "")}
    )
    joined(client, []).poll()
    assert client.taken == [("all", {0: OFFSET_BEGINNING, 1: OFFSET_INVALID, 2: OFFSET_INVALID})]


def test_a_member_that_does_not_join_tells_what_its_protocol_needs():
    member = joining(FakeMemberClient(), list, incremental=True)
    assert member.unready_reasons()[-1] == "KAFKA_GROUP_PROTOCOL=consumer needs brokers from 4.0"
    member.poll()
    assert member.unready_reasons() == []


def test_the_client_is_woken_until_it_has_joined():
    client = FakeMemberClient(joins_at_poll=3, assigned=places(0))
    member = joined(client, [])
    for _ in range(6):
        member.poll()
    assert client.woken == 2


def test_with_incremental_assignments_a_partition_is_taken_as_one_more():
    client = FakeMemberClient(assigned=places(0), committed_={0: (7, MARK + EARLIER_TOPIC_ID)})
    joining(client, list, incremental=True).poll()
    assert client.taken == [("more", {0: OFFSET_BEGINNING})]


@pytest.mark.parametrize(
    ("committed", "identity"),
    [
        ({0: (7, MARK + TOPIC_ID)}, FakeIdentity()),
        ({0: (7, MARK + EARLIER_TOPIC_ID)}, FakeIdentity(answer=None)),
        ({0: (7, EARLIER_TOPIC_ID)}, FakeIdentity()),
        ({0: (7, "+1/nonode@nohost/<0.1>")}, FakeIdentity()),
        ({0: (7, "consumer-1-host.example")}, FakeIdentity()),
        ({0: (7, '{"v": 1}')}, FakeIdentity()),
        ({0: (7, MARK)}, FakeIdentity()),
        ({0: (7, f"{MARK}{EARLIER_TOPIC_ID}\n")}, FakeIdentity()),
        (failure("_TIMED_OUT"), FakeIdentity()),
        ({}, FakeIdentity()),
    ],
)
def test_the_client_decides_where_to_begin_unless_the_topic_is_known_to_be_another(committed, identity):
    client = FakeMemberClient(assigned=places(0), committed_=committed)
    joining(client, list, identity).poll()
    assert client.taken == []


def test_offsets_are_stored_with_the_id_of_their_topic():
    client = FakeMemberClient([[FakeMessage(0, 4)]], assigned=places(0))
    joined(client, []).poll()
    assert client.stored_metadata == {f"kraftd:{TOPIC_ID}"}


def member_of_an_earlier_topic(client, *, polls):
    """Return a member that has polled so often, and what tells it another id of the topic from now on."""
    identity = FakeIdentity("before")
    member = joining(client, list, identity)
    for _ in range(polls):
        member.poll()
    return member, identity


def test_a_topic_that_is_made_again_under_the_members_hands_is_read_from_its_start():
    client = FakeMemberClient(assigned=places(0, 1))
    member, identity = member_of_an_earlier_topic(client, polls=2)
    assert client.sought == []
    identity.seen = "after"
    member.poll()
    member.poll()
    assert client.sought == [(0, OFFSET_BEGINNING), (1, OFFSET_BEGINNING)]


def test_the_first_offsets_of_a_topic_that_was_made_again_are_committed_by_hand():
    batches = [[FakeMessage(0, offset)] for offset in (7, 8, 0, 1, 2, 3, 4)]
    client = FakeMemberClient(batches, assigned=places(0))
    member, identity = member_of_an_earlier_topic(client, polls=2)
    assert client.committed_by_hand == []
    identity.seen = "after"
    for _ in range(5):
        member.poll()
    assert client.committed_by_hand == [(0, 1), (0, 2), (0, 3)]
    assert client.stored[-1] == (0, 5)


def test_a_topic_that_was_made_again_between_two_assignments_is_noticed_too():
    client = FakeMemberClient([[FakeMessage(0, 7)], [FakeMessage(0, 0)]], assigned=places(0))
    member, identity = member_of_an_earlier_topic(client, polls=1)
    identity.answer = identity.seen = "after"
    client.callbacks["assign"](client, places(0))
    member.poll()
    assert client.committed_by_hand == [(0, 1)]


def test_a_topics_id_is_none_while_nobody_tells_it_and_the_last_one_is_kept():
    admin = FakeAdmin("first", failure("_TIMED_OUT"), "second")
    identity = TopicIdentity(lambda: admin, "test-topic")
    assert [(identity.ask(), identity.seen) for _ in range(3)] == [
        ("first", "first"),
        (None, "first"),
        ("second", "second"),
    ]


def test_the_mark_of_a_commit_is_read_whatever_bytes_the_topics_id_has():
    seen = TopicIdentity(lambda: FakeAdmin(str(Uuid(-1, -2))), "test-topic").ask()

    assert marked_topic_id(f"kraftd:{seen}") == seen == "_____________________g"


@pytest.mark.parametrize(
    ("membership", "reasons"),
    [
        (Membership(None, 100.0), ["not a member of the group"]),
        (Membership((0,), 100.0), []),
        (Membership((), 100.0), []),
        (Membership((0,), 100.0 - SILENT_S - 1), ["the polling thread is silent"]),
    ],
)
def test_a_member_is_ready_when_assigned_or_standing_by_and_polling(membership, reasons):
    assert unready_reasons(membership, 100.0) == reasons


def test_a_stopped_member_leaves_the_group():
    client = FakeMemberClient()
    member = joined(client, [])
    member.start()
    member.stop()
    assert member.join(5.0)
    assert client.closed


def test_a_broker_is_lost_from_an_error_until_all_are_connected():
    member = joining(FakeMemberClient([]), [].extend)
    known = [member.has_lost_broker]

    for code in (KafkaError._MSG_TIMED_OUT, KafkaError._TRANSPORT):
        member.note_error(KafkaError(code))
        known.append(member.has_lost_broker)
    for are_up in (False, True):
        member.note_brokers(are_up=are_up)
        known.append(member.has_lost_broker)

    assert known == [False, False, True, True, False]
