import operator

from kraftd.kafka.groups import committed, list_groups, share_topics
from kraftd.kafka.model import GroupState, Member, Partial
from tests.unit.kafka.fake_wire import TIMED_OUT, FakeWire, failure, record


def offsets_of(wire, groups):
    return committed(wire, groups, operator.attrgetter("committed_offset"))


def listed(group_id, state="Stable", kind="", protocol_type="consumer"):
    return record(group_id=group_id, group_state=state, group_type=kind, protocol_type=protocol_type)


def listing(*groups, error_code=0):
    return record(error_code=error_code, groups=list(groups))


def described(group_id, *members, state="Stable", error_code=0):
    return record(
        group_id=group_id,
        error_code=error_code,
        error_message=None,
        group_state=state,
        protocol_type="consumer",
        members=list(members),
    )


def description(*groups):
    return record(groups=list(groups))


def member(assigned):
    return record(member_id="m-1", client_id="c", client_host="/127.0.0.1", member_assignment=assigned)


def group(name, coordinator):
    return GroupState(name, "Stable", "consumer", None, coordinator, ())


def commits(group_id, *partitions, error_code=0):
    """Commits of a group: (topic, partition, offset, error code)."""
    topics = [
        record(name=topic, partitions=[record(partition_index=index, committed_offset=offset, error_code=code)])
        for topic, index, offset, code in partitions
    ]
    return record(group_id=group_id, error_code=error_code, topics=topics)


def test_a_group_is_described_by_the_broker_that_lists_it():
    wire = FakeWire(
        {
            (1, "ListGroups"): listing(listed("g")),
            (2, "ListGroups"): listing(),
            (1, "DescribeGroups"): description(described("g", member((("t", 0),)))),
        }
    )

    found = list_groups(wire, [1, 2])

    members = (Member("m-1", "c", "127.0.0.1", (("t", 0),)),)
    assert found.groups == {"g": GroupState("g", "Stable", "consumer", None, 1, members)}
    assert (found.failures, found.broker_failures) == ({}, {})


def test_one_broker_down_costs_its_groups_only():
    wire = FakeWire(
        {
            (1, "ListGroups"): listing(listed("g")),
            (2, "ListGroups"): TIMED_OUT,
            "DescribeGroups": description(described("g")),
        }
    )

    found = list_groups(wire, [1, 2])

    assert list(found.groups) == ["g"]
    assert found.broker_failures == {2: TIMED_OUT}


def test_a_broker_whose_coordinator_is_loading_is_a_failure_of_that_broker():
    wire = FakeWire({"ListGroups": listing(error_code=15)})

    assert list_groups(wire, [1]).broker_failures == {1: failure(15)}


def test_a_group_that_cannot_be_described_is_listed_without_members():
    wire = FakeWire(
        {
            "ListGroups": listing(listed("bad"), listed("good", state="Empty")),
            "DescribeGroups": description(described("bad", error_code=16), described("good", state="Empty")),
        }
    )

    found = list_groups(wire, [1])

    assert (found.groups["bad"].members, found.groups["good"].members) == (None, ())
    assert found.failures == {"bad": failure(16)}


def test_a_broker_that_lists_but_does_not_describe_fails_its_groups():
    wire = FakeWire({"ListGroups": listing(listed("g")), "DescribeGroups": TIMED_OUT})

    assert list_groups(wire, [1]).failures == {"g": TIMED_OUT}


def new_member(*assigned):
    topics = [record(topic_name=topic, partitions=list(partitions)) for topic, partitions in assigned]
    return record(member_id="m-1", client_id="c", client_host="/127.0.0.1", assignment=record(topic_partitions=topics))


def test_groups_of_the_new_protocol_are_described_with_their_own_request():
    wire = FakeWire(
        {
            "ListGroups": listing(listed("old", kind="classic"), listed("new", kind="Consumer")),
            "DescribeGroups": description(described("old")),
            "ConsumerGroupDescribe": description(described("new", new_member(("u", [1, 0]), ("t", [2])))),
        }
    )

    found = list_groups(wire, [1])

    members = (Member("m-1", "c", "127.0.0.1", (("t", 2), ("u", 0), ("u", 1))),)
    assert found.groups["new"] == GroupState("new", "Stable", "consumer", "consumer", 1, members)
    assert found.groups["old"].members == ()
    assert [request.fields for _, request in wire.asked[1:]] == [
        {"groups": ["old"]},
        {"group_ids": ["new"], "include_authorized_operations": False},
    ]


def test_groups_of_another_kind_are_listed_only():
    wire = FakeWire({"ListGroups": listing(listed("app", kind="later", protocol_type="later"))})

    found = list_groups(wire, [1])

    assert found.groups["app"] == GroupState("app", "Stable", "later", "later", 1, None)
    assert (found.failures, wire.requests.keys()) == ({}, {"ListGroups"})


def streams_group(*members, topology):
    return record(
        group_id="app", group_state="NotReady", error_code=0, error_message=None, members=members, topology=topology
    )


def tasks(member_id, *active):
    found = [record(subtopology_id=name, partitions=list(indexes)) for name, indexes in active]
    return record(member_id=member_id, client_id="c", client_host="/h", assignment=record(active_tasks=found))


def subtopology(name, *sources, repartitioned=()):
    made = [record(name=topic) for topic in repartitioned]
    return record(subtopology_id=name, source_topics=sources, repartition_source_topics=made)


def members_of_app(answer):
    listed_app = listing(listed("app", kind="Streams", protocol_type="streams"))
    wire = FakeWire({"ListGroups": listed_app, "StreamsGroupDescribe": description(answer)})
    return list_groups(wire, [1]).groups["app"].members


def test_a_member_of_a_streams_group_reads_what_its_tasks_read():
    topology = record(subtopologies=[subtopology("0", "b", "a"), subtopology("1", repartitioned=["inner"])])
    members = members_of_app(streams_group(tasks("m", ("0", [1]), ("1", [0, 2]), ("9", [0])), topology=topology))

    assert members == (Member("m", "c", "h", (("a", 1), ("b", 1), ("inner", 0), ("inner", 2))),)


def test_a_streams_group_without_a_topology_yet_has_members_that_read_nothing():
    for topology in (None, record(subtopologies=None)):
        assert members_of_app(streams_group(tasks("m"), topology=topology)) == (Member("m", "c", "h", ()),)


def test_share_groups_have_members_but_are_never_asked_for_commits():
    wire = FakeWire(
        {
            "ListGroups": listing(listed("shared", kind="share", protocol_type="share")),
            "ShareGroupDescribe": description(described("shared", new_member(("t", [0])))),
        }
    )

    (found,) = list_groups(wire, [1]).groups.values()

    assert (found.is_share, found.members) == (True, (Member("m-1", "c", "127.0.0.1", (("t", 0),)),))
    assert offsets_of(wire, [found]) == Partial()
    assert wire.requests.keys() == {"ListGroups", "ShareGroupDescribe"}


def test_the_topics_of_share_groups_are_told_by_their_coordinators():
    shared = [GroupState(name, "Empty", "share", "share", at, ()) for name, at in (("a", 1), ("b", 1), ("c", 2))]
    answered = [
        record(group_id="a", topics=[record(topic_name="u"), record(topic_name="t")], error_code=0, error_message=None),
        record(group_id="b", topics=[], error_code=16, error_message=None),
    ]
    wire = FakeWire(
        {(1, "DescribeShareGroupOffsets"): description(*answered), (2, "DescribeShareGroupOffsets"): TIMED_OUT}
    )

    assert share_topics(wire, [group("g", 1), *shared]) == Partial(
        {"a": ("t", "u")}, {"b": failure(16), "c": TIMED_OUT}
    )
    assert wire.asked[0][1].fields == {"groups": [{"group_id": name, "topics": None} for name in ("a", "b")]}


def test_a_broker_that_does_not_say_the_state_leaves_it_unknown():
    wire = FakeWire({"ListGroups": listing(listed("g", state="")), "DescribeGroups": TIMED_OUT})

    assert list_groups(wire, [1]).groups["g"].state is None


def test_commits_are_asked_for_once_at_each_coordinator():
    wire = FakeWire(
        {
            (1, "OffsetFetch"): record(groups=[commits("a", ("t", 0, 5, 0)), commits("c")]),
            (2, "OffsetFetch"): record(groups=[commits("b", ("t", 0, 0, 0))]),
        }
    )

    found = offsets_of(wire, [group("a", 1), group("b", 2), group("c", 1)])

    assert found.values == {"a": {("t", 0): 5}, "b": {("t", 0): 0}, "c": {}}
    assert wire.requests["OffsetFetch"] == 2


def test_a_partition_without_a_commit_is_absent():
    wire = FakeWire({"OffsetFetch": record(groups=[commits("g", ("t", 0, -1, 0), ("u", 0, 7, 0))])})

    assert offsets_of(wire, [group("g", 1)]).values == {"g": {("u", 0): 7}}


def test_a_group_whose_coordinator_moved_costs_only_itself():
    wire = FakeWire({"OffsetFetch": record(groups=[commits("a", error_code=16), commits("b", ("t", 0, 5, 0))])})

    found = offsets_of(wire, [group("a", 1), group("b", 1)])

    assert found.values == {"b": {("t", 0): 5}}
    assert found.failures == {"a": failure(16)}


def test_a_coordinator_that_does_not_answer_costs_its_groups():
    wire = FakeWire({(1, "OffsetFetch"): TIMED_OUT, (2, "OffsetFetch"): record(groups=[commits("b")])})

    found = offsets_of(wire, [group("a", 1), group("b", 2)])

    assert (found.values, found.failures) == ({"b": {}}, {"a": TIMED_OUT})


def test_a_group_with_a_partition_in_error_keeps_the_others():
    wire = FakeWire({"OffsetFetch": record(groups=[commits("g", ("t", 0, 0, 3), ("u", 0, 7, 0))])})

    found = offsets_of(wire, [group("g", 1)])

    assert (found.values, found.failures) == ({"g": {("u", 0): 7}}, {"g": failure(3)})
