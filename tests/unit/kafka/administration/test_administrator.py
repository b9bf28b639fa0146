"""What commands change in a cluster, and the APIs that the library lacks."""

import pytest

from kraftd.kafka.administration.administrator import Administrator
from kraftd.kafka.administration.settings import BrokerSetting, ConfigEntry
from kraftd.kafka.messages import message_of
from kraftd.kafka.model import GroupState, KafkaAccessError, KafkaUnavailableError, Partition, TopicState
from kraftd.kafka.quorum import Features, features_request, lacking_nodes, update_request
from kraftd.kafka.topics import HIGH_WATERMARK, Reassignment, reassign_request, unregister_request
from kraftd.plan.plan import Access
from tests.clocks import ManualClock
from tests.unit.kafka.fake_wire import TIMED_OUT, FakeWire, failure, metadata, record, topic

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


def known(topic_id):
    found = topic("t", (1, [1], [1]))
    found.topic_id = topic_id
    return metadata([found])


@pytest.mark.parametrize(("of_second", "is_gone"), [((7, 7, 8), True), ((7,), False)])
def test_a_deletion_is_waited_for_until_no_broker_knows_that_very_topic(of_second, is_gone):
    clock = ManualClock()
    answers = {(1, "Metadata"): known(8), (2, "Metadata"): [known(each) for each in of_second]}
    wire = FakeWire({"Metadata": metadata(), **answers})
    admin = Administrator(Access(("127.0.0.1:9092",)), connect=lambda *_: wire, clock=clock)
    admin.open()

    began_s = clock.monotonic_s()
    assert admin.await_deletion([TopicState("t", False, (FIRST,), "7")], 5.0) is is_gone
    assert clock.monotonic_s() - began_s == pytest.approx(0.2 if is_gone else 5.1, abs=0.15)


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

    assert admin.elect_leaders([FIRST.key, SECOND.key]) == {("t", 1): failure(80)}


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


def setting(name, value, *, read_only=False, source=4):
    return record(name=name, value=value, read_only=read_only, config_source=source)


def described(*settings, error_code=0):
    return record(results=[record(error_code=error_code, error_message=None, configs=list(settings))])


def test_a_broker_tells_which_settings_it_takes_while_it_runs():
    answer = described(
        setting("log.retention.ms", "5"),
        setting("log.dirs", "/d", read_only=True),
        setting("min.insync.replicas", "1", source=3),
    )
    admin, wire = over({(2, "DescribeConfigs"): answer})

    assert admin.broker_settings(2, ["log.retention.ms", "log.dirs", "min.insync.replicas", "unknown"]) == {
        "log.retention.ms": BrokerSetting("5", is_dynamic=True),
        "log.dirs": BrokerSetting("/d", is_dynamic=False),
        "min.insync.replicas": BrokerSetting("1", is_dynamic=True, is_of_all_brokers=True),
    }
    ((node_id, request),) = wire.asked
    (resource,) = request.fields["resources"]
    assert (node_id, resource["resource_type"], resource["resource_name"]) == (2, 4, "2")


@pytest.mark.parametrize("answer", [described(error_code=41), TIMED_OUT], ids=["refused", "silent"])
def test_a_broker_that_does_not_tell_its_settings_is_an_error(answer):
    admin, _ = over({(2, "DescribeConfigs"): answer})

    with pytest.raises(KafkaAccessError) as caught:
        admin.broker_settings(2, ["log.retention.ms"])

    assert "broker 2" in str(caught.value)


@pytest.mark.parametrize(("of_all_brokers", "name"), [(False, "1"), (True, "")])
def test_settings_are_set_and_forgotten_through_their_own_broker(of_all_brokers, name):
    answer = record(responses=[record(error_code=0, error_message=None)])
    admin, wire = over({(1, "IncrementalAlterConfigs"): answer})

    assert admin.alter_broker(1, {"a": "5", "b": None}, of_all_brokers=of_all_brokers) is None

    (resource,) = wire.asked[-1][1].fields["resources"]
    assert resource == {
        "resource_type": 4,
        "resource_name": name,
        "configs": [
            {"name": "a", "config_operation": 0, "value": "5"},
            {"name": "b", "config_operation": 1, "value": None},
        ],
    }


def test_a_refused_setting_has_its_reason():
    answer = record(responses=[record(error_code=41, error_message="too many threads")])
    admin, _ = over({(1, "IncrementalAlterConfigs"): answer})

    assert admin.alter_broker(1, {"num.io.threads": "99"}).text == "too many threads"


def test_preferred_leaders_are_elected_by_topic():
    admin, wire = over({"ElectLeaders": record(error_code=0, replica_election_results=[])})

    assert admin.elect_leaders([("t", 0), ("u", 1), ("t", 2)]) == {}

    fields = wire.asked[-1][1].fields
    assert fields["election_type"] == 0
    assert fields["topic_partitions"] == [{"topic": "t", "partitions": [0, 2]}, {"topic": "u", "partitions": [1]}]


def answer(error_code=0, **fields):
    return record(error_code=error_code, error_message=None, **fields)


def test_partitions_get_their_replicas_in_order_and_refusals_are_told_by_partition():
    refused = record(name="orders", partitions=[record(partition_index=1, error_code=38, error_message="no")])
    accepted = record(name="orders", partitions=[record(partition_index=0, error_code=0, error_message=None)])
    kafka, wire = over({"AlterPartitionReassignments": answer(responses=[accepted, refused])})

    failures = kafka.reassign({("orders", 0): (3, 1), ("orders", 1): (1, 2)})

    assert {key: failure.text for key, failure in failures.items()} == {("orders", 1): "no"}
    ((_, request),) = wire.asked
    assert [each["replicas"] for each in request.fields["topics"][0]["partitions"]] == [[3, 1], [1, 2]]


def test_what_is_under_way_says_where_it_goes():
    moving = record(partition_index=0, replicas=[3, 1, 2], adding_replicas=[3], removing_replicas=[2])
    kafka, _ = over({"ListPartitionReassignments": answer(topics=[record(name="orders", partitions=[moving])])})

    found = kafka.reassignments()

    assert found == {("orders", 0): Reassignment((3, 1, 2), (3,), (2,))}
    assert found["orders", 0].target == (3, 1)


@pytest.mark.parametrize(
    "call", [lambda kafka: kafka.reassignments(), lambda kafka: kafka.reassign({("orders", 0): (1,)})]
)
def test_a_broker_that_knows_no_controller_is_a_failure_of_the_call(call):
    answers = dict.fromkeys(("ListPartitionReassignments", "AlterPartitionReassignments"), answer(41))
    kafka, _ = over(answers)

    with pytest.raises(KafkaUnavailableError):
        call(kafka)


def test_a_broker_is_unregistered_by_its_id_or_the_reason_is_returned():
    kafka, wire = over({"UnregisterBroker": [answer(), answer(41)]})

    assert kafka.unregister(3) is None
    assert kafka.unregister(3).error == "NOT_CONTROLLER"
    assert wire.asked[0][1].fields == {"broker_id": 3}


def test_the_library_sends_what_it_lacks_by_its_api_key():
    assert message_of(unregister_request(3)).API_KEY == 64
    assert message_of(reassign_request({("orders", 0): (1, 2)}, 3.0)).API_KEY == 45


def test_the_features_of_a_broker_are_those_it_knows_and_those_that_hold():
    response = record(
        error_code=0,
        supported_features=[
            record(name="metadata.version", max_version=30),
            record(name="group.version", max_version=1),
        ],
        finalized_features=[
            record(name="metadata.version", max_version_level=21),
            record(name="group.version", max_version_level=0),
        ],
    )
    admin, _ = over({"ApiVersions": response})

    assert admin.features(1) == Features({"metadata.version": 30, "group.version": 1}, {"metadata.version": 21})


def test_the_features_of_a_broker_that_is_silent_are_not_known():
    admin, _ = over({"ApiVersions": TIMED_OUT})

    with pytest.raises(KafkaUnavailableError, match="features of broker 1"):
        admin.features(1)


@pytest.mark.parametrize(
    ("top", "own", "refusal"),
    [(0, 0, None), (38, 0, failure(38, "Broker 3 only supports 1-21")), (0, 38, failure(38, "of the feature"))],
    ids=["done", "refused as a whole", "refused by feature"],
)
def test_levels_are_finalized_all_or_none_and_a_refusal_is_told(top, own, refusal):
    results = [record(feature="metadata.version", error_code=own, error_message="of the feature")]
    response = record(error_code=top, error_message="Broker 3 only supports 1-21", results=results)
    admin, wire = over({"UpdateFeatures": response})

    assert admin.finalize_features(1, {"metadata.version": 30}, validate_only=True) == refusal
    fields = wire.asked[-1][1].fields
    assert fields["validate_only"] is True
    assert fields["feature_updates"] == [{"feature": "metadata.version", "max_version_level": 30, "upgrade_type": 1}]


def test_who_lacks_a_level_is_read_from_the_refusal():
    text = "Broker 3 only supports versions 1-21; controller 101 has not registered; broker 3 again"

    assert lacking_nodes(failure(38, text)) == (3, 101)


def test_features_are_asked_and_finalized_by_messages_of_the_library():
    assert message_of(features_request()).client_software_name == "kraftd"
    message = message_of(update_request({"metadata.version": 30}, 1.5, validate_only=False))
    assert (message.timeout_ms, message.feature_updates[0].max_version_level) == (1500, 30)
