import pytest

from kraftd.kafka.model import Partition, RoundTrip, TopicState
from kraftd.kafka.round_trip import CANARY_TOPIC, canary_topic, missing_partitions, round_trips
from tests.unit.kafka.fake_wire import TIMED_OUT, FakeWire, failure, record

VALUE = b"nonce"
LED_BY_1 = Partition(CANARY_TOPIC, 0, 1, (1, 2), (1, 2))
LED_BY_2 = Partition(CANARY_TOPIC, 1, 2, (2, 1), (2, 1))


def written(offset=7, error_code=0):
    partition = record(error_code=error_code, error_message=None, base_offset=offset)
    return record(responses=[record(partition_responses=[partition])])


def read(*values, error_code=0, partition_error_code=0):
    partition = record(error_code=partition_error_code, records=list(values))
    return record(error_code=error_code, responses=[record(partitions=[partition])])


def run(answers, *partitions):
    wire = FakeWire({"Produce": written(), "Fetch": read(VALUE)} | answers)
    return wire, round_trips(wire, partitions or [LED_BY_1, LED_BY_2], VALUE, now_s=1.5, limit_s=2.0)


@pytest.mark.parametrize(
    ("broker_ids", "replication_factor", "assignment"),
    [
        ([1], 1, ((1,),)),
        ([2, 1], 2, ((1, 2), (2, 1))),
        ([1, 2, 5], 3, ((1, 2, 5), (2, 5, 1), (5, 1, 2))),
        ([1, 2, 5], 2, ((1, 2), (2, 5), (5, 1))),
    ],
)
def test_one_partition_is_led_by_each_broker(broker_ids, replication_factor, assignment):
    assert canary_topic(broker_ids, replication_factor).assignment == assignment


@pytest.mark.parametrize(
    ("replicas", "broker_ids", "missing"),
    [
        ([(1, 2), (2, 1)], [1, 2], ()),
        ([(1, 2), (2, 1)], [2, 3, 1], ((3, 1),)),
        ([(1, 2), (2, 1)], [1, 2, 3, 4], ((3, 4), (4, 1))),
        ([(1,)], [1, 2], ((2,),)),
    ],
)
def test_a_broker_that_leads_no_partition_gets_one_with_the_others_replication(replicas, broker_ids, missing):
    partitions = tuple(Partition(CANARY_TOPIC, index, None, each, ()) for index, each in enumerate(replicas))

    found = missing_partitions(TopicState(CANARY_TOPIC, internal=False, partitions=partitions), broker_ids)

    assert found == missing


def test_a_value_that_comes_back_says_how_long_each_way_took():
    _, found = run({})

    assert found.values == {1: RoundTrip(0.25, 0.25), 2: RoundTrip(0.25, 0.25)}
    assert found.failures == {}


def test_the_value_is_acknowledged_by_all_in_sync_and_read_where_it_was_written():
    wire, _ = run({}, LED_BY_1)
    (_, produce), (_, fetch) = wire.asked

    (topic,) = produce.fields["topic_data"]
    assert (produce.fields["acks"], produce.fields["timeout_ms"]) == (-1, 2000)
    assert topic["partition_data"] == [{"index": 0, "records": (VALUE, 1500)}]
    assert fetch.fields["topics"][0]["partitions"][0]["fetch_offset"] == 7


def test_a_broker_that_does_not_lead_its_partition_is_not_written_to():
    taken_over = Partition(CANARY_TOPIC, 1, 1, (2, 1), (1,))
    leaderless = Partition(CANARY_TOPIC, 2, None, (3, 1), ())

    wire, found = run({}, LED_BY_1, taken_over, leaderless)

    assert list(found.values) == [1]
    assert found.failures[2].text == "broker 1 leads its partition now"
    assert found.failures[3].text == "no broker leads its partition now"
    assert wire.requests["Produce"] == 1


def test_a_broker_that_does_not_take_the_value_is_not_read_from():
    wire, found = run({(1, "Produce"): TIMED_OUT, (2, "Produce"): written(error_code=6)})

    assert (found.values, found.failures) == ({}, {1: TIMED_OUT, 2: failure(6)})
    assert wire.requests["Fetch"] == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(TIMED_OUT, "TIMED_OUT", id="no answer"),
        pytest.param(read(error_code=16), "NOT_COORDINATOR", id="an error of the request"),
        pytest.param(read(partition_error_code=6), "NOT_LEADER_OR_FOLLOWER", id="an error of the partition"),
        pytest.param(record(error_code=0, responses=[]), "THROTTLED", id="a broker that throttles"),
        pytest.param(read(), "NOT_READ_BACK", id="nothing"),
        pytest.param(read(b"other"), "NOT_READ_BACK", id="another value"),
    ],
)
def test_a_value_that_does_not_come_back_is_a_failure_of_its_broker(answer, error):
    _, found = run({(1, "Fetch"): answer})

    assert list(found.values) == [2]
    assert found.failures[1].error == error
