"""What a backup asks of a cluster whose brokers do not all know the same, and whose coordinators move."""

import uuid

import pytest

from kraftd.errors import RefusedError
from kraftd.kafka.administration.administrator import Administrator
from kraftd.kafka.model import KafkaRejectedError, KafkaUnavailableError, OffsetRange
from kraftd.operate.backup.cluster import BackupCluster, ClusterGroups
from kraftd.operate.backup.manifest import ClusterTopic, Commit, GroupCommits
from kraftd.plan.plan import Access
from tests.clocks import ManualClock
from tests.unit.kafka.fake_wire import FakeWire, metadata, record, topic

# Kafka's own tools write this id with "-" and "_", librdkafka with "+" and "/".
ID = uuid.UUID(bytes=b"\xfb\xff" * 8)


def over(answers):
    wire = FakeWire({"Metadata": metadata(), **answers})
    clock = ManualClock()
    admin = Administrator(Access(("127.0.0.1:9092",)), clock=clock, connect=lambda *_: wire)
    admin.open()
    return BackupCluster(admin, clock), wire


def named(name, topic_id=ID, **fields):
    found = topic(name, (1, (1, 2), (1, 2)), **fields)
    found.topic_id = topic_id
    return found


def configs(request):
    results = [
        record(
            error_code=0,
            error_message=None,
            resource_name=each["resource_name"],
            configs=[
                record(name="retention.ms", value="5", config_source=1),
                record(name="segment.ms", value="7", config_source=5),
            ],
        )
        for each in request.fields["resources"]
    ]
    return record(results=results)


def asked(wire, api):
    return [node_id for node_id, request in wire.asked if request.api == api]


def test_a_topic_has_its_own_settings_and_its_id_as_kafkas_tools_write_it():
    cluster, _ = over({"Metadata": metadata([named("t")]), "DescribeConfigs": configs})

    assert cluster.topics() == {"t": ClusterTopic("t", "-__7__v_-__7__v_-__7_w", 1, 2, {"retention.ms": "5"})}


@pytest.mark.parametrize(
    "late",
    [[named("gone"), named("t")], [named("t", uuid.UUID(int=1))], []],
    ids=["of a deletion", "that it was recreated", "of a creation"],
)
def test_brokers_are_asked_again_until_the_last_one_has_learned(late):
    cluster, wire = over(
        {
            (1, "Metadata"): metadata([named("t")]),
            (2, "Metadata"): [metadata(late), metadata(late), metadata([named("t")])],
            "DescribeConfigs": configs,
        }
    )

    assert list(cluster.topics()) == ["t"]
    assert asked(wire, "Metadata").count(2) == 3


def test_brokers_that_never_agree_are_an_error_after_half_a_minute():
    cluster, _ = over(
        {(1, "Metadata"): metadata([named("t")]), (2, "Metadata"): metadata(), "DescribeConfigs": configs}
    )

    with pytest.raises(KafkaUnavailableError):
        cluster.topics()


def test_a_topic_that_goes_while_its_settings_are_read_is_read_no_more():
    gone = record(error_code=3, error_message=None, resource_name="t", configs=[])
    cluster, _ = over(
        {
            (1, "Metadata"): [metadata([named("t")]), metadata()],
            (2, "Metadata"): [metadata([named("t")]), metadata()],
            "DescribeConfigs": record(results=[gone]),
        }
    )

    assert cluster.topics() == {}


def offsets(found, error_code=0):
    partitions = [record(partition_index=0, error_code=error_code, offset=found)]
    return record(topics=[record(name="t", partitions=partitions)])


def test_a_leader_that_moved_is_asked_again():
    answers = [offsets(2), offsets(9, error_code=6), offsets(2), offsets(9)]
    cluster, _ = over({"Metadata": metadata([named("t")]), "ListOffsets": answers})

    assert cluster.ranges([("t", 0)]) == {("t", 0): OffsetRange(2, 9)}


def test_a_partition_that_the_broker_does_not_know_yet_is_waited_for():
    grown = topic("t", (1, (1, 2), (1, 2)), (1, (1, 2), (1, 2)))
    both = [
        record(partition_index=0, error_code=0, offset=4),
        record(partition_index=1, error_code=0, offset=5),
    ]
    cluster, _ = over(
        {
            "Metadata": [metadata([named("t")]), metadata([grown])],
            "ListOffsets": record(topics=[record(name="t", partitions=both)]),
        }
    )

    assert cluster.ranges([("t", 1)]) == {("t", 1): OffsetRange(5, 5)}


def committed(error_code=0):
    found = record(partition_index=0, error_code=0, committed_offset=7, metadata="kraftd:x")
    return record(groups=[record(group_id="g", error_code=error_code, topics=[record(name="t", partitions=[found])])])


def groups(*members, kind="classic", described_by="DescribeGroups"):
    listed = record(group_id="g", group_state="Empty", group_type=kind, protocol_type=kind)
    described = record(group_id="g", group_state="Empty", error_code=0, error_message=None, members=list(members))
    return {
        (1, "ListGroups"): record(error_code=0, groups=[]),
        (2, "ListGroups"): record(error_code=0, groups=[listed]),
        described_by: record(groups=[described]),
    }


def test_commits_are_read_with_their_metadata_from_the_coordinator_of_now():
    cluster, wire = over({**groups(), "OffsetFetch": [committed(error_code=16), committed()]})

    assert cluster.groups() == ClusterGroups((GroupCommits("g", (Commit("t", 0, 7, "kraftd:x"),)),), share=())
    assert asked(wire, "OffsetFetch") == [2, 2]


def test_what_a_streams_group_committed_is_backed_up_too():
    of_streams = groups(kind="streams", described_by="StreamsGroupDescribe")
    cluster, _ = over({**of_streams, "OffsetFetch": committed()})

    found = cluster.groups()
    assert ([group.group for group in found.committed], found.share) == (["g"], ())


def test_share_groups_are_named_because_they_have_no_commits():
    cluster, wire = over(groups(kind="share", described_by="ShareGroupDescribe"))

    assert cluster.groups() == ClusterGroups(committed=(), share=("g",))
    assert asked(wire, "ListGroups") == [1, 2]


def test_a_group_that_was_just_deleted_is_none():
    cluster, _ = over({**groups(), "OffsetFetch": committed(error_code=69)})

    assert cluster.groups() == ClusterGroups((), ())


def test_groups_that_exist_are_told_with_their_members():
    member = record(member_id="m", client_id="c", client_host="/h", member_assignment=())
    cluster, _ = over(groups(member))

    (found,) = cluster.existing_groups(["g", "unknown"])
    assert (found.name, len(found.members), found.is_share) == ("g", 1, False)
    assert cluster.existing_groups([]) == ()


def coordinator(node_id):
    return record(coordinators=[record(error_code=0, error_message=None, node_id=node_id)])


def commit_answer(error_code):
    return record(topics=[record(name="t", partitions=[record(partition_index=0, error_code=error_code)])])


def test_a_commit_goes_to_the_new_coordinator_when_it_moved():
    cluster, wire = over(
        {
            "FindCoordinator": [coordinator(1), coordinator(2)],
            (1, "OffsetCommit"): commit_answer(16),
            (2, "OffsetCommit"): commit_answer(0),
        }
    )

    cluster.commit(GroupCommits("g", (Commit("t", 0, 7, "kraftd:x"),)))

    assert asked(wire, "OffsetCommit") == [1, 2]
    (sent,) = wire.asked[-1][1].fields["topics"][0]["partitions"]
    assert (sent["committed_offset"], sent["committed_metadata"]) == (7, "kraftd:x")


@pytest.mark.parametrize("error_code", [25, 69], ids=["a member is there", "it is a share group"])
def test_a_commit_that_kafka_does_not_take_is_refused_at_once(error_code):
    cluster, wire = over({"FindCoordinator": coordinator(1), "OffsetCommit": commit_answer(error_code)})

    with pytest.raises(KafkaRejectedError):
        cluster.commit(GroupCommits("g", (Commit("t", 0, 7),)))

    assert asked(wire, "OffsetCommit") == [1]


def test_topics_are_made_over_all_brokers_with_their_settings():
    made = metadata([named("t"), named("u")])
    answer = record(topics=[record(name=name, error_code=0, error_message=None) for name in ("t", "u")])
    cluster, wire = over({"Metadata": [metadata(), metadata(), made], "CreateTopics": answer})
    wire.answers |= dict.fromkeys(("InitProducerId", "FindCoordinator"), record())

    cluster.create_topics([ClusterTopic("t", "", 1, 1, {"a": "1"}), ClusterTopic("u", "", 1, 1, {})])

    (request,) = [request for _, request in wire.asked if request.api == "CreateTopics"]
    assert [each["assignments"][0]["broker_ids"] for each in request.fields["topics"]] == [[1], [2]]
    assert request.fields["topics"][0]["configs"] == [{"name": "a", "value": "1"}]


def test_a_topic_that_something_else_made_is_not_restored_into():
    answer = record(topics=[record(name="t", error_code=36, error_message=None)])
    cluster, wire = over({"Metadata": [metadata(), metadata(), metadata([named("t")])], "CreateTopics": answer})
    wire.answers |= dict.fromkeys(("InitProducerId", "FindCoordinator"), record())

    with pytest.raises(RefusedError) as caught:
        cluster.create_topics([ClusterTopic("t", "", 1, 1, {})])
    assert caught.value.code == "topic_exists"


def test_a_topic_keeps_only_the_settings_that_it_is_given():
    answer = record(responses=[record(error_code=0, error_message=None)])
    cluster, wire = over({"IncrementalAlterConfigs": answer})

    cluster.set_config("t", {"retention.ms": "5"}, ["retention.ms", "cleanup.policy"])

    (resource,) = wire.asked[-1][1].fields["resources"]
    assert {each["name"]: each["value"] for each in resource["configs"]} == {
        "retention.ms": "5",
        "cleanup.policy": None,
    }
