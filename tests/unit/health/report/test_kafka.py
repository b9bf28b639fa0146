import json
from dataclasses import replace

import msgspec
import pytest

from kraftd.health.lag.lag import group_lag
from kraftd.health.lag.time_lag import AgeBounds
from kraftd.health.lag.view import KafkaView, Unreadable
from kraftd.health.programs.verdict import judge
from kraftd.health.report.documents import age_s
from kraftd.health.report.health import MOST_MISSING, health_document
from kraftd.health.report.history import History, Rates
from kraftd.health.report.kafka import group_summaries, longest
from kraftd.kafka.model import Failure, Partial
from tests.plans import plan_of
from tests.unit.health.views import full_view, snapshot

KAFKA_PART = (
    *("quorum", "topics", "groups", "groups_age_s", "failures"),
    *("missing", "missing_total", "dropped", "collectors"),
)


def document(view, rates=None):
    look = snapshot(kafka=view)
    found = health_document(plan_of(), look, judge(look), 1000.0, History(rates=rates or Rates()))
    return json.loads(msgspec.json.encode(found))


def test_what_was_not_read_is_null_and_keeps_its_reason():
    known = document(KafkaView(failures={"topics": "no answer"}))

    assert {key: known[key] for key in KAFKA_PART} == {
        "quorum": None,
        "topics": None,
        "groups": None,
        "groups_age_s": None,
        "failures": {"topics": "no answer"},
        "missing": [],
        "missing_total": 0,
        "dropped": {"topics": 0, "groups": 0, "undetailed_groups": 0},
        "collectors": {},
    }


def test_quorum_and_topics_are_summed_up():
    known = document(full_view(), Rates(topics={"orders": 2.5}))

    assert (known["quorum"]["leader_id"], known["quorum"]["voters"][1]["lag_records"]) == (1, 3)
    assert known["topics"] == [
        {
            "topic": "orders",
            "internal": False,
            "partitions": 2,
            "without_leader": 1,
            "under_replicated": 2,
            # One partition has no end offset: the sum of the others would be too small.
            "offsets": None,
            "produced_per_s": 2.5,
            "bytes": 2048,
        }
    ]


def test_a_topic_whose_offsets_are_known_tells_how_many_there_are():
    view = full_view()
    offsets = replace(
        view.offsets,
        ends=Partial({("orders", 0): 10, ("orders", 1): 5}),
        starts=Partial({("orders", 0): 4, ("orders", 1): 5}),
    )

    assert document(replace(view, offsets=offsets))["topics"][0]["offsets"] == 6


def test_a_group_has_lag_time_lag_and_status():
    readers, gone = document(full_view())["groups"]

    assert (readers["group"], readers["state"], readers["members"], readers["coordinator"]) == (
        "readers",
        "Stable",
        1,
        1,
    )
    assert readers["time_lag"] == {"at_least_s": 10.0, "at_most_s": 14.0, "estimate_s": 12.0}
    assert readers["status"] == "stall"
    # The end of one partition is not known: neither is the sum, but so much at least.
    assert (readers["lag"], readers["known_lag"]) == (None, 3)
    assert (gone["members"], gone["lag"], gone["time_lag"], gone["status"], gone["partitions"]) == (None,) * 5
    assert gone["reason"] == "it was deleted"


def test_a_group_without_commits_whose_log_has_no_known_start_says_so():
    reading = group_lag({}, {("orders", 0): 10}, {}, existing=[("orders", 0)], assigned=[("orders", 0)])

    found = document(replace(full_view(), lags={"readers": reading}))["groups"][0]

    assert (found["lag"], found["committed_partitions"], found["uncommitted_partitions"]) == (None, 0, 1)
    assert found["reason"] == "orders-0: its offsets were not read yet"


def test_the_lag_of_a_share_group_is_unknown_and_says_why():
    view = full_view()
    shared = replace(view.groups["readers"], name="shared", kind="share")

    found = document(replace(view, groups={"shared": shared}))["groups"][0]

    assert (found["lag"], found["known_lag"], found["partitions"]) == (None, None, None)
    assert found["reason"].startswith("it is a share group, which commits no offsets")


def test_a_partition_without_a_lag_says_why():
    first, second = document(full_view())["groups"][0]["partitions"]

    assert (first["lag"], first["status"], first["time_lag"]["estimate_s"], first["reason"]) == (3, "stall", 12.0, None)
    assert (second["lag"], second["status"], second["time_lag"], second["reason"]) == (
        None,
        None,
        None,
        "it was deleted",
    )
    assert (first["leader"], second["leader"], second["replicas"]) == (1, None, [1, 2])


def test_a_summary_leaves_the_partitions_out():
    groups = group_summaries(full_view(), details=False)

    assert [(each.group, each.known_lag) for each in groups] == [("readers", 3), ("gone", None)]
    assert [each.partitions for each in groups] == [None, None]


def test_every_missing_thing_has_a_reason():
    missing = document(full_view())["missing"]

    assert [(each["what"], each["name"]) for each in missing] == [
        ("group", "gone"),
        ("commits of group", "gone"),
        ("groups of broker", "2"),
        ("log directories of broker", "2"),
        ("canary of broker", "2"),
        ("end offset of partition", "orders-1"),
    ]
    assert {each["text"] for each in missing} == {"it was deleted"}


def test_of_very_many_missing_things_some_are_only_counted():
    failures = {f"t{number}": Failure("TIMED_OUT", "no answer", retriable=True) for number in range(1000)}

    known = document(KafkaView(unreadable=Unreadable(topics=failures)))

    assert (len(known["missing"]), known["missing_total"]) == (MOST_MISSING, 1000)


def test_a_collector_tells_how_long_ago_it_succeeded():
    assert document(full_view())["collectors"]["quorum"] == {
        "up": True,
        "duration_s": 0.01,
        "last_success_age_s": 1.0,
        "errors": {"TIMED_OUT": 1},
    }


@pytest.mark.parametrize(("at_s", "age"), [(None, None), (990.0, 10.0), (1010.0, 0.0)])
def test_an_age_is_never_negative(at_s, age):
    assert age_s(at_s, 1000.0) == age


@pytest.mark.parametrize(
    ("ages", "found"),
    [
        ([], None),
        ([AgeBounds(1.0, 2.0), AgeBounds(5.0, 9.0)], AgeBounds(5.0, 9.0)),
        ([AgeBounds(1.0, 20.0), AgeBounds(5.0, 9.0)], AgeBounds(5.0, 20.0)),
        ([AgeBounds(1.0, None), AgeBounds(5.0, 9.0)], AgeBounds(5.0, None)),
    ],
)
def test_a_group_waits_as_long_as_its_longest_waiting_partition(ages, found):
    assert longest(ages) == found
