from dataclasses import replace

import pytest

from kraftd.kafka.creation import TopicCreation
from kraftd.kafka.model import Difference, KafkaUnreachableError
from kraftd.plan.plan import Topic
from tests.unit.kafka.fake_wire import TIMED_OUT, FakeWire, failure, metadata, record, topic

DECLARED = Topic("t", ((1, 2), (2, 1)))
READY = metadata([topic("t", (1, [1, 2], [1, 2]), (2, [2, 1], [2, 1]))])
LEADERLESS = metadata([topic("t", (1, [1, 2], [1, 2]), (-1, [2, 1], [2, 1]))])
ABSENT = metadata([topic("t", error_code=3)])


class FakeClock:
    """Time passes only by sleeping, and by 1 ms for each look."""

    def __init__(self):
        self.now = 0.0

    def now_s(self):
        return self.now

    def monotonic_s(self):
        self.now += 0.001
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def created(name="t", error_code=0, message=None):
    return record(topics=[record(name=name, error_code=error_code, error_message=message)])


def run(answers, declared=(DECLARED,), limit_s=10.0):
    wire = FakeWire({"InitProducerId": record(error_code=0), "FindCoordinator": record(coordinators=[])} | answers)
    return wire, TopicCreation(wire, FakeClock(), declared, limit_s).run()


def test_a_missing_topic_is_created():
    wire, (outcome,) = run({"Metadata": [ABSENT, READY], "CreateTopics": created()})

    assert (outcome.name, outcome.created, outcome.differences, outcome.failure) == ("t", True, (), None)
    assert wire.requests["CreateTopics"] == 1


def test_an_existing_topic_is_left_alone():
    wire, (outcome,) = run({"Metadata": READY})

    assert (outcome.created, outcome.failure) == (False, None)
    assert wire.requests.keys() == {"Metadata"}


def test_an_existing_topic_that_differs_is_left_alone_and_says_so():
    other = metadata([topic("t", (1, [1, 2], [1, 2]))])

    wire, (outcome,) = run({"Metadata": other}, [replace(DECLARED, stated=("partitions",))])

    assert Difference("partitions", "2", "1") in outcome.differences
    assert wire.requests.keys() == {"Metadata"}


def test_a_created_topic_is_ready_only_when_every_broker_knows_its_leaders():
    answers = {
        (None, "Metadata"): ABSENT,
        (1, "Metadata"): READY,
        (2, "Metadata"): [ABSENT, LEADERLESS, READY],
        "CreateTopics": created(),
    }

    wire, (outcome,) = run(answers)

    assert (outcome.created, outcome.failure) == (True, None)
    assert sum(node_id == 2 and request.api == "Metadata" for node_id, request in wire.asked) == 3


def test_a_topic_without_a_leader_at_the_limit_is_not_ready():
    _, (outcome,) = run({"Metadata": [ABSENT, LEADERLESS], "CreateTopics": created()}, limit_s=1.0)

    assert outcome.created
    assert outcome.failure.error == "NOT_READY"
    assert outcome.failure.text.endswith("knows no leader of partition 1")


def test_a_refused_topic_costs_only_itself():
    both = record(topics=[*created().topics, *created("u", 38, "3 replicas, 2 brokers").topics])
    absent = metadata([topic("t", error_code=3), topic("u", error_code=3)])
    declared = (DECLARED, Topic("u", ((1, 2, 3),)))

    _, (first, second) = run({"Metadata": [absent, READY], "CreateTopics": both}, declared)

    assert (first.created, first.failure) == (True, None)
    assert (second.created, second.failure) == (False, failure(38, "3 replicas, 2 brokers"))


def test_a_controller_that_moves_is_asked_again_through_the_next_broker():
    wire, (outcome,) = run(
        {
            "Metadata": [ABSENT, READY],
            (1, "CreateTopics"): created(error_code=41),
            (2, "CreateTopics"): created(),
        }
    )

    assert outcome.created
    assert [node_id for node_id, request in wire.asked if request.api == "CreateTopics"] == [1, 2]


def test_a_creation_whose_answer_was_lost_is_found_to_exist():
    _, (outcome,) = run(
        {"Metadata": [ABSENT, READY], (1, "CreateTopics"): TIMED_OUT, (2, "CreateTopics"): created(error_code=36)}
    )

    assert (outcome.created, outcome.failure) == (True, None)


def test_a_topic_that_something_else_made_meanwhile_is_not_created():
    declared = [replace(DECLARED, assignment=((1, 2),), stated=("partitions",))]
    _, (outcome,) = run({"Metadata": [ABSENT, READY], "CreateTopics": created(error_code=36)}, declared)

    assert (outcome.created, outcome.failure) == (False, None)
    assert outcome.differences == (Difference("partitions", "1", "2"),)


def test_a_topic_made_while_the_controller_moved_is_somebody_elses():
    answers = {(1, "CreateTopics"): created(error_code=41), (2, "CreateTopics"): created(error_code=36)}
    _, (outcome,) = run({"Metadata": [ABSENT, READY], **answers})

    assert (outcome.created, outcome.failure) == (False, None)


def test_a_controller_that_never_answers_is_given_up_at_the_limit():
    _, (outcome,) = run({"Metadata": ABSENT, "CreateTopics": created(error_code=41)}, limit_s=1.0)

    assert (outcome.created, outcome.failure) == (False, failure(41))


def test_a_dead_broker_that_leads_nothing_is_not_waited_for():
    led_by_1 = metadata([topic("t", (1, [1, 2], [1]), (1, [2, 1], [1]))])
    answers = {
        (None, "Metadata"): ABSENT,
        (1, "Metadata"): led_by_1,
        (2, "Metadata"): TIMED_OUT,
        "CreateTopics": created(),
    }

    _, (outcome,) = run(answers)

    assert (outcome.created, outcome.failure) == (True, None)


def test_a_broker_that_came_up_a_moment_ago_is_asked_too():
    answers = {
        (None, "Metadata"): metadata([topic("t", error_code=3)], brokers=(1,)),
        (1, "Metadata"): [metadata([topic("t", error_code=3)], brokers=(1,)), READY],
        (2, "Metadata"): [ABSENT, READY],
        "CreateTopics": created(),
    }

    wire, (outcome,) = run(answers)

    assert (outcome.created, outcome.failure) == (True, None)
    assert sum(node_id == 2 and request.api == "Metadata" for node_id, request in wire.asked) == 2
    assert wire.learned[-1] == [1, 2]


def test_a_broker_that_does_not_know_of_itself_yet_is_asked_again():
    nobody = metadata([topic("t", error_code=3)], brokers=())
    answers = {(None, "Metadata"): [nobody, nobody, ABSENT], (1, "Metadata"): READY, (2, "Metadata"): READY}

    wire, (outcome,) = run({**answers, "CreateTopics": created()})

    assert (outcome.created, outcome.failure) == (True, None)
    assert wire.requests["CreateTopics"] == 1


def test_a_cluster_that_never_names_a_broker_has_no_topic():
    _, (outcome,) = run({"Metadata": metadata([topic("t", error_code=3)], brokers=())})

    assert (outcome.created, outcome.failure.error) == (False, "NOT_READY")


def test_every_broker_is_made_to_reserve_producer_ids_after_a_creation():
    wire, _ = run({"Metadata": [ABSENT, READY], "CreateTopics": created()})

    assert [node_id for node_id, request in wire.asked if request.api == "InitProducerId"] == [1, 2]


def test_one_broker_is_made_to_create_the_topic_of_the_offsets_after_a_creation():
    wire, _ = run({"Metadata": [ABSENT, READY], "CreateTopics": created()})

    asked = [(node_id, request.fields) for node_id, request in wire.asked if request.api == "FindCoordinator"]
    assert asked == [(1, {"key_type": 0, "coordinator_keys": ["any"]})]


def test_without_any_broker_nothing_is_known():
    with pytest.raises(KafkaUnreachableError, match=r"^cannot reach Kafka"):
        run({"Metadata": TIMED_OUT})


def test_no_declared_topics_create_nothing():
    wire, outcomes = run({"Metadata": metadata()}, declared=())

    assert outcomes == ()
    assert wire.requests.keys() == {"Metadata"}
