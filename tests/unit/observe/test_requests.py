"""How many requests a cycle takes, through the whole door, whatever there is to ask about."""

from collections import Counter

from kraftd.kafka.admin import KafkaAdmin
from kraftd.kafka.model import Failure
from kraftd.kafka.round_trip import CANARY_TOPIC
from kraftd.observe.collector import Collector
from kraftd.plan.plan import Access
from tests.clocks import ManualClock
from tests.plans import plan_of
from tests.unit.kafka.fake_wire import FakeWire, metadata, record, topic

BROKERS = (1, 2, 3)
MOST_IN_A_CYCLE = 22
CANARIES = 2
"""One record written and read back."""
GROUPS, TOPICS = 60, 30


def listed(node_id):
    """A third of the groups, half of them of the new protocol."""
    groups = [
        record(
            group_id=f"g-{index}",
            group_state="Stable",
            protocol_type="consumer",
            group_type="Consumer" if index % 2 else "Classic",
        )
        for index in range(node_id, GROUPS, len(BROKERS))
    ]
    return record(error_code=0, groups=groups)


def described(request):
    names = request.fields.get("groups") or request.fields.get("group_ids")
    return record(
        groups=[
            record(group_id=name, error_code=0, error_message=None, group_state="Stable", members=[]) for name in names
        ]
    )


def committed(request):
    commits = [
        record(name=f"t-{index}", partitions=[record(partition_index=0, error_code=0, committed_offset=5)])
        for index in range(TOPICS)
    ]
    groups = [record(group_id=group["group_id"], error_code=0, topics=commits) for group in request.fields["groups"]]
    return record(groups=groups)


def offsets(request):
    return record(
        topics=[
            record(
                name=each["name"],
                partitions=[
                    record(partition_index=one["partition_index"], error_code=0, offset=9) for one in each["partitions"]
                ],
            )
            for each in request.fields["topics"]
        ]
    )


def wire():
    leads = [(leader, [leader], [leader]) for leader in BROKERS]
    topics = [topic(f"t-{index}", leads[index % 3]) for index in range(TOPICS)]
    quorum = record(error_code=41, error_message=None)
    unanswered = Failure("TIMED_OUT", "no answer within 3 s", retriable=True)
    return FakeWire(
        {
            "Metadata": metadata([*topics, topic(CANARY_TOPIC, *leads)], BROKERS),
            "DescribeQuorum": quorum,
            **{(node_id, "ListGroups"): listed(node_id) for node_id in BROKERS},
            "DescribeGroups": described,
            "ConsumerGroupDescribe": unanswered,
            "OffsetFetch": committed,
            "ListOffsets": offsets,
            "DescribeLogDirs": record(error_code=0, results=[]),
            "Produce": record(
                responses=[record(partition_responses=[record(error_code=0, error_message=None, base_offset=7)])]
            ),
            "Fetch": unanswered,
        }
    )


def test_no_cycle_on_three_brokers_takes_more_requests_than_the_page_of_metrics_says():
    clock, fake = ManualClock(), wire()
    with KafkaAdmin(Access(("a:1",)), clock=clock, connect=lambda *_: fake) as admin:
        collector = Collector(admin, clock, plan_of("[cluster]\nbrokers = 3"))
        most_in_cycle = most_canaries = 0
        flown = Counter()
        collector.collect()
        first = fake.requests.total()
        for _ in range(14):
            fake.requests.clear()
            fake.asked.clear()
            for _ in range(10):
                collector.collect(is_settled=True)
                clock.advance(1.0)
            flown.update(node_id for node_id, request in fake.asked if request.api == "Produce")
            most_canaries = max(most_canaries, fake.requests["Produce"] + fake.requests["Fetch"])
            most_in_cycle = max(most_in_cycle, fake.requests.total())

    # The first has starts, last stable offsets and offsets at times to ask for, but no directories and no canary.
    assert first <= MOST_IN_A_CYCLE + len(BROKERS)
    assert (most_in_cycle, most_canaries) == (MOST_IN_A_CYCLE, CANARIES)
    assert set(flown) == set(BROKERS)
    assert max(flown.values()) - min(flown.values()) <= 1
