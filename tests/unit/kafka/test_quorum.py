from kraftd.kafka.model import Voter
from kraftd.kafka.quorum import quorum_in
from tests.unit.kafka.fake_wire import FakeWire, failure, record

WIRE = FakeWire({})


def replica(replica_id, end, caught_up_ms):
    return record(replica_id=replica_id, log_end_offset=end, last_caught_up_timestamp=caught_up_ms)


def response(*voters, leader_id=101, observers=(), error_code=0, partition_error_code=0):
    partition = record(
        error_code=partition_error_code,
        error_message=None,
        leader_id=leader_id,
        leader_epoch=4,
        high_watermark=90,
        current_voters=list(voters),
        observers=list(observers),
    )
    topics = [record(partitions=[partition])]
    return record(error_code=error_code, error_message=None, topics=topics)


def test_a_voters_lag_and_age_are_measured_from_the_leader():
    quorum = quorum_in(response(replica(1, 95, 8_500), replica(101, 100, 10_000)), WIRE)

    assert quorum.voters == (Voter(1, 95, 5, 1.5), Voter(101, 100, 0, 0.0))
    assert (quorum.leader_id, quorum.leader_epoch, quorum.high_watermark) == (101, 4, 90)


def test_a_voter_that_never_fetched_is_unknown():
    quorum = quorum_in(response(replica(1, -1, -1), replica(101, 100, 10_000)), WIRE)

    assert quorum.voters[0] == Voter(1, None, None, None)


def test_without_a_leader_nothing_can_be_measured():
    quorum = quorum_in(response(replica(1, 95, 8_500), leader_id=-1), WIRE)

    assert quorum.leader_id is None
    assert quorum.voters == (Voter(1, 95, None, None),)


def test_a_voter_that_answered_after_the_leaders_stamp_is_not_negative():
    quorum = quorum_in(response(replica(1, 101, 10_001), replica(101, 100, 10_000)), WIRE)

    assert quorum.voters[0] == Voter(1, 101, 0, 0.0)


def test_brokers_that_are_no_voters_are_observers():
    quorum = quorum_in(response(replica(101, 100, 10_000), observers=[replica(4, 100, 9_900)]), WIRE)

    assert quorum.observers == (Voter(4, 100, 0, 0.1),)


def test_an_error_is_returned_whether_of_the_request_or_of_the_partition():
    assert quorum_in(response(error_code=41), WIRE) == failure(41)
    assert quorum_in(response(partition_error_code=6), WIRE) == failure(6)


def test_an_empty_log_and_node_0_are_known():
    quorum = quorum_in(response(replica(0, 0, 0), leader_id=0), WIRE)

    assert quorum.leader_id == 0
    assert quorum.voters == (Voter(0, 0, 0, 0.0),)
