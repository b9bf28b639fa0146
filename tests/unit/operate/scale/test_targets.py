"""What a scale moves and throttles, from where the replicas are."""

from kraftd.kafka.model import LogDir, Partition, TopicState
from kraftd.kafka.round_trip import CANARY_TOPIC
from kraftd.kafka.topics import Reassignment
from kraftd.operate.scale.targets import (
    FOLLOWER_REPLICAS,
    LEADER_REPLICAS,
    Situation,
    left_bytes,
    moved_back,
    replica_bytes,
    spread_over,
    throttles,
    too_many_replicas,
)


def situation(topics, reassignments=None, sizes=None):
    """Return a situation in which the first replica of each partition leads."""
    states = {
        name: TopicState(
            name,
            name.startswith("__"),
            tuple(
                Partition(name, number, replicas[0], replicas, replicas) for number, replicas in enumerate(partitions)
            ),
        )
        for name, partitions in topics.items()
    }
    return Situation(states, reassignments or {}, sizes or {})


def test_a_new_broker_gets_its_share_and_the_canary_stays():
    found = situation({"orders": [(1, 2), (2, 1), (1, 2)], CANARY_TOPIC: [(1, 2), (2, 1)]})

    changes = spread_over(found, [1, 2, 3], None, (), found.current)

    assert {topic for topic, _ in changes} == {"orders"}
    assert sum(3 in replicas for replicas in changes.values()) == 2


def test_a_broker_that_leaves_keeps_no_replica_except_of_the_canary():
    found = situation({"orders": [(3, 1), (1, 2), (2, 3)], CANARY_TOPIC: [(1, 2), (2, 3), (3, 1)]})

    changes = spread_over(found, [1, 2], None, (), found.current)

    assert set(changes) == {("orders", 0), ("orders", 2)}
    assert all(set(replicas) == {1, 2} for replicas in changes.values())


def test_what_is_on_the_way_counts_where_it_goes():
    on_the_way = {("orders", 0): Reassignment((3, 2, 1), (3,), (1,))}
    found = situation({"orders": [(3, 2, 1)]}, on_the_way)

    assert found.placement == {("orders", 0): (3, 2)}
    assert spread_over(found, [1, 2, 3], None, (), {("orders", 0): (1, 2)}) == {}


def test_a_broker_that_still_shows_replicas_given_up_adds_none():
    found = situation({"orders": [(3, 2, 1)]})

    after = spread_over(found, [1, 2, 3], None, (), {("orders", 0): (1, 2)})

    assert [len(replicas) for replicas in after.values()] == [2]


def test_only_the_chosen_topics_get_other_numbers_of_replicas():
    found = situation({"orders": [(1, 2)], "payments": [(2, 3)], CANARY_TOPIC: [(1, 2)]})

    assert {key[0] for key in spread_over(found, [1, 2, 3], 3, ["orders"], found.current)} == {"orders"}
    assert {key[0] for key in spread_over(found, [1, 2, 3], 3, (), found.current)} == {"orders", "payments"}


def test_an_undone_scale_puts_back_what_was_and_drains_what_is_new():
    found = situation({"orders": [(3, 1), (2, 1)], "new": [(3, 2)]})
    before = {("orders", 0): (1, 2), ("orders", 1): (2, 1), ("deleted", 0): (1, 2)}

    changes = moved_back(found, before, [1, 2])

    assert changes["orders", 0] == (1, 2)
    assert set(changes["new", 0]) == {1, 2}
    assert set(changes) == {("orders", 0), ("new", 0)}


def test_the_throttle_names_who_sends_and_who_receives():
    before = {("orders", 0): (1, 2), ("orders", 1): (2, 1), ("payments", 0): (1,)}
    after = {("orders", 0): (3, 2), ("orders", 1): (1, 2), ("payments", 0): (3,)}

    assert throttles(before, after) == {
        "orders": {LEADER_REPLICAS: "0:1,0:2", FOLLOWER_REPLICAS: "0:3"},
        "payments": {LEADER_REPLICAS: "0:1", FOLLOWER_REPLICAS: "0:3"},
    }


def test_what_is_left_is_what_the_new_replicas_lack():
    sizes = {1: {("orders", 0): 100}, 3: {("orders", 0): 30}}
    found = situation({"orders": [(3, 2, 1)]}, {("orders", 0): Reassignment((3, 2, 1), (3,), (1,))}, sizes)

    assert left_bytes(found) == 70


def test_the_size_of_a_replica_is_found_in_whichever_directory_it_is():
    first = LogDir("/a", {("orders", 0): 5}, None, None, None)
    second = LogDir("/b", {("orders", 1): 7}, None, None, None)

    assert replica_bytes({1: (first, second)}) == {1: {("orders", 0): 5, ("orders", 1): 7}}


def test_topics_with_more_replicas_than_brokers_are_named_but_not_the_canary():
    placement = {("orders", 0): (1, 2, 3), ("payments", 0): (1, 2), (CANARY_TOPIC, 0): (1, 2, 3)}

    assert too_many_replicas(placement, 2, ()) == ["orders"]
    assert too_many_replicas(placement, 2, ["orders"]) == []
