import pytest
from confluent_kafka import TopicPartition

from kraftd_apps.consumer.member import SILENT_S, Member, Membership, unready_reasons
from tests.unit.apps.kafka_fakes import FakeError, FakeMemberClient, FakeMessage, failure


def joined(client: FakeMemberClient, arrived: list) -> Member:
    member = Member(client, "test-topic", on_records=arrived.extend, on_assigned=lambda own: None, clock=lambda: 5.0)
    member.subscribe()
    return member


def test_offsets_are_stored_only_after_the_records_have_arrived():
    client = FakeMemberClient([[FakeMessage(0, 4), FakeMessage(0, 5), FakeMessage(1, 9)]])
    stored_before = []
    member = Member(
        client,
        "test-topic",
        on_records=lambda records: stored_before.append(list(client.stored)),
        on_assigned=lambda own: None,
    )
    member.subscribe()
    member.poll()
    assert stored_before == [[]]
    assert client.stored == [(0, 6), (1, 10)]


def test_a_record_that_could_not_be_kept_is_not_stored():
    def fail(records):
        raise MemoryError

    client = FakeMemberClient([[FakeMessage(0, 4)]])
    member = Member(client, "test-topic", on_records=fail, on_assigned=lambda own: None)
    member.subscribe()
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


def test_a_member_knows_its_partitions_and_loses_them():
    client = FakeMemberClient(assigned=[TopicPartition("test-topic", 2), TopicPartition("test-topic", 0)])
    member = joined(client, [])
    assert member.membership == Membership(None, None)
    member.poll()
    assert member.membership == Membership((0, 2), 5.0)
    client.callbacks["revoke"](client, [TopicPartition("test-topic", 2)])
    assert member.membership.partitions == (0,)


@pytest.mark.parametrize(
    ("membership", "reasons"),
    [
        (Membership(None, 100.0), ["not yet a member of the group"]),
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
