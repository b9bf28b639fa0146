import pytest

from kraftd.kafka.administration.administrator import Administrator
from kraftd.kafka.administration.topics import HIGH_WATERMARK, ConfigEntry
from kraftd.kafka.model import GroupState, Partition
from kraftd.plan.plan import Access
from tests.unit.kafka.fake_wire import TIMED_OUT, FakeWire, failure, metadata, record

FIRST = Partition("t", 0, 1, (1, 2), (1, 2))
SECOND = Partition("t", 1, 2, (2, 1), (2, 1))
LEADERLESS = Partition("t", 2, None, (1, 2), ())
GROUP = GroupState("g", "Empty", "consumer", "classic", 2, ())


def over(answers):
    wire = FakeWire({"Metadata": metadata(), **answers})
    admin = Administrator(Access(("127.0.0.1:9092",)), connect=lambda *_: wire)
    admin.open()
    return admin, wire


def test_a_configuration_tells_whether_it_is_the_topics_own():
    configs = [
        record(name="retention.ms", value="1", config_source=1),
        record(name="a", value="2", config_source=5),
    ]
    result = record(error_code=0, error_message=None, resource_name="t", configs=configs)
    admin, _ = over({"DescribeConfigs": record(results=[result])})

    assert admin.configs(["t"]).values == {
        "t": (ConfigEntry("a", "2", is_own=False), ConfigEntry("retention.ms", "1", is_own=True))
    }


@pytest.mark.parametrize(("error_code", "refusal"), [(0, None), (38, failure(38, "too many"))])
def test_a_value_of_none_takes_the_own_value_away(error_code, refusal):
    response = record(responses=[record(error_code=error_code, error_message="too many")])
    admin, wire = over({"IncrementalAlterConfigs": response})

    assert admin.alter_configs("t", {"a": "1", "b": None}, validate_only=True) == refusal
    fields = wire.asked[-1][1].fields
    assert [(each["name"], each["config_operation"]) for each in fields["resources"][0]["configs"]] == [
        ("a", 0),
        ("b", 1),
    ]
    assert fields["validate_only"] is True


def test_topics_are_deleted_through_one_broker_only():
    responses = [
        record(name="t", error_code=0, error_message=None),
        record(name="u", error_code=3, error_message=None),
    ]
    admin, wire = over({"DeleteTopics": record(responses=responses)})

    assert admin.delete_topics(["t", "u"]) == {"u": failure(3)}
    assert [node_id for node_id, request in wire.asked if request.api == "DeleteTopics"] == [1]


def test_a_broker_that_does_not_answer_deletes_no_topic():
    admin, _ = over({"DeleteTopics": TIMED_OUT})

    assert admin.delete_topics(["t"]) == {"t": TIMED_OUT}


def test_records_are_deleted_through_each_leader():
    def answer(index, code):
        partitions = [record(partition_index=index, low_watermark=7, error_code=code)]
        return record(topics=[record(name="t", partitions=partitions)])

    admin, wire = over({(1, "DeleteRecords"): answer(0, 0), (2, "DeleteRecords"): answer(1, 6)})

    found = admin.delete_records(dict.fromkeys((FIRST, SECOND, LEADERLESS), HIGH_WATERMARK))

    assert found.values == {("t", 0): 7}
    assert found.failures[("t", 1)] == failure(6)
    assert found.failures[("t", 2)].error == "NO_LEADER"
    asked = [request.fields["topics"] for _, request in wire.asked if request.api == "DeleteRecords"]
    assert asked[0] == [{"name": "t", "partitions": [{"partition_index": 0, "offset": -1}]}]


def test_an_election_that_is_not_needed_is_no_failure():
    partitions = [
        record(partition_id=0, error_code=84, error_message=None),
        record(partition_id=1, error_code=80, error_message=None),
    ]
    results = [record(topic="t", partition_result=partitions)]
    admin, _ = over({"ElectLeaders": record(replica_election_results=results)})

    assert admin.elect_leaders([FIRST, SECOND]) == {("t", 1): failure(80)}


def test_offsets_are_committed_through_the_coordinator():
    answered = [record(name="t", partitions=[record(partition_index=0, error_code=25)])]
    admin, wire = over({(2, "OffsetCommit"): record(topics=answered)})

    assert admin.commit_offsets(GROUP, {("t", 0): 5}) == {("t", 0): failure(25)}
    node_id, request = wire.asked[-1]
    assert (node_id, request.fields["group_id"]) == (2, "g")
    assert request.fields["topics"][0]["partitions"][0]["committed_offset"] == 5


def test_a_group_that_cannot_be_asked_keeps_every_offset():
    admin, _ = over({"OffsetDelete": record(error_code=69), "DeleteGroups": TIMED_OUT})

    assert admin.remove_offsets(GROUP, [("t", 0)]) == {("t", 0): failure(69)}
    assert admin.delete_groups([GROUP]) == {"g": TIMED_OUT}
