from dataclasses import replace

import pytest

from kraftd.health.lag.lag import group_lag
from kraftd.health.lag.status import LagStatus
from kraftd.health.lag.unread import Unread
from kraftd.health.lag.view import Excluded, GroupStatus, KafkaView, Unreadable
from kraftd.health.programs.state import ServiceState
from kraftd.health.programs.verdict import judge
from kraftd.health.report.health import health_document, status_document
from kraftd.health.report.why import StateRecords
from kraftd.health.report.why_lag import explain_lag, group_named, may_be_unseen
from kraftd.kafka.model import Gap, OpenTransaction
from kraftd.plan.desired import NOTHING_DESIRED
from tests.plans import plan_of
from tests.unit.health.views import REFUSED, full_view, program, snapshot, topic

NOW_S = 1000.0
KEY, OTHER = ("orders", 0), ("orders", 1)
RECORDS = StateRecords(NOTHING_DESIRED)
DOWN = replace(program("broker-2", ServiceState.DOWN, "it ended with signal SIGKILL"), pid=None)


def health(kafka, *programs):
    look = snapshot(*(programs or (program("broker-1"), program("broker-2"), program("kraftd"))), kafka=kafka)
    return health_document(plan_of(), look, judge(look), NOW_S)


def lines(document, group="readers", damage=None):
    facts = explain_lag(document, group, RECORDS, NOW_S, damage or {})
    return [f"{'  ' * fact.depth}{fact.about} {fact.text}" for fact in facts]


def with_lag(committed, ends, starts=None, **changes):
    view = full_view()
    lag = group_lag(committed, ends, starts or {}, existing=[KEY, OTHER], assigned=changes.pop("assigned", ()))
    topics = (topic("orders", 1, 2),)
    return replace(view, lags={"readers": lag}, topics=topics, offsets=None, unreadable=Unreadable(), **changes)


def test_a_known_lag_is_explained_partition_by_partition_the_greatest_first():
    known = with_lag({KEY: 7, OTHER: 10}, {KEY: 10, OTHER: 30}, assigned=[KEY])

    assert lines(health(known)) == [
        "group readers is 23 records behind over 2 partitions; the oldest unread record waits between 10 s and 14 s;"
        " it is stalled: it has members, but the commit did not move",
        "  group readers is Stable with 1 member; broker-1 coordinates it",
        "  partition orders-1 committed at 10 of 30: 20 behind",
        "  partition orders-0 committed at 7 of 10: 3 behind; the oldest unread record waits between 10 s and 14 s;"
        " it is stalled: it has members, but the commit did not move",
    ]


@pytest.mark.parametrize(
    ("is_end_known", "text"),
    [
        (True, "from offset 7 to 8: why; 'kraftd groups reset readers --topic orders --partition 0 --to 9' skips it"),
        (False, "from offset 7 on: why"),
    ],
)
def test_damage_that_a_group_stands_before_is_named_with_what_passes_it(is_end_known, text):
    known = with_lag({KEY: 7, OTHER: 10}, {KEY: 10, OTHER: 30}, assigned=[KEY])
    found = lines(health(known), damage={KEY: Gap(*KEY, 7, 9, "why", is_end_known)})

    at = next(number for number, line in enumerate(found) if line.startswith("  partition orders-0 committed"))
    assert found[at + 1] == f"    partition orders-0 cannot be read {text}"


def test_a_partition_without_a_leader_leads_to_the_broker_that_is_down():
    found = lines(health(full_view(), program("broker-1"), DOWN, program("kraftd")))

    assert found[0].startswith("group readers its lag is not known, but at least 3 records")
    at = found.index("  partition orders-1 committed at 1, its lag is not known: it was deleted")
    assert found[at + 1 : at + 3] == [
        "    partition orders-1 has no leader; its replicas are on broker-1, broker-2",
        "      broker-2 is DOWN: it ended with signal SIGKILL",
    ]


def test_a_coordinator_that_is_down_is_explained():
    view = full_view()
    group = replace(view.groups["readers"], coordinator=2)

    found = lines(health(replace(view, groups={"readers": group}), program("broker-1"), DOWN, program("kraftd")))

    assert found[1:3] == [
        "  group readers is Stable with 1 member; broker-2 coordinates it",
        "    broker-2 is DOWN: it ended with signal SIGKILL",
    ]


def test_what_is_odd_of_a_commit_is_said():
    odd = with_lag({KEY: 50, OTHER: 5}, {KEY: 10, OTHER: 30}, {KEY: 0, OTHER: 20})

    found = lines(health(odd))

    assert (
        "    partition orders-0 the commit lies beyond the end: the topic was recreated, or its log was truncated"
        in found
    )
    assert "    partition orders-1 lost 15 records to retention before the group read them" in found


def test_partitions_without_a_commit_are_counted():
    found = lines(health(with_lag({KEY: 7}, {KEY: 10, OTHER: 9}, {KEY: 0, OTHER: 2}, assigned=[KEY, OTHER])))

    assert found[0].startswith("group readers is 10 records behind over 2 partitions")
    assert any(line.startswith("  group readers has no commit on 1 partition of its topics: counted") for line in found)
    assert "  partition orders-1 no commit of 9: 7 behind" in found


def test_an_open_transaction_is_named_with_its_age_and_what_it_holds_back():
    opened = OpenTransaction(7, 8, 990.0, "tx", 880.0, 300.0)
    view = with_lag({KEY: 5}, {KEY: 20}, {KEY: 0}, open_transactions={KEY: opened}, lags_taken_at_s=1000.0)
    unread = {KEY: Unread(8, end=20, stable=8)}
    lag = group_lag({KEY: 5}, {KEY: 20}, {KEY: 0}, existing=[KEY], unread=unread)

    found = lines(health(replace(view, lags={"readers": lag})))

    assert found[0].startswith("group readers is 0 records behind")
    (held,) = [line for line in found if "open transaction" in line]
    for fact in ("producer 7", "transactional.id tx", "open for 2 min", "from offset 8 on", "aborts it after 5 min"):
        assert fact in held
    assert any("15 offsets between commit and end cannot be read" in line for line in found)


def test_a_group_that_nobody_reads_is_not_said_to_keep_up():
    view = with_lag({KEY: 5}, {KEY: 20}, {KEY: 0}, statuses={"readers": GroupStatus(LagStatus.EMPTY, {})})

    assert "nobody reads it" in lines(health(view))[0]


def test_the_empty_name_of_a_group_can_be_seen():
    view = with_lag({KEY: 5}, {KEY: 20}, {KEY: 0})
    group = replace(view.groups["readers"], name="")

    found = lines(health(replace(view, groups={"": group}, lags={"": view.lags["readers"]})), "")

    assert found[0].startswith("group '' is 15 records behind")


def test_of_very_many_partitions_the_rest_is_counted():
    committed = {("orders", number): 0 for number in range(30)}
    lag = group_lag(committed, dict.fromkeys(committed, 1), {}, existing=committed)
    many = replace(with_lag({}, {}), lags={"readers": lag}, topics=(topic("orders", *([1] * 30)),))

    found = lines(health(many))

    assert len(found) < 15
    assert found[-1] == "  group readers has 20 more partitions with less lag: 'kraftd lag --group readers'"


def test_a_group_that_is_summed_up_only_says_so():
    view = replace(with_lag({KEY: 7}, {KEY: 10}), excluded=Excluded(undetailed=frozenset({"readers"})))

    found = lines(health(view))

    assert found[0].startswith("group readers is 3 records behind over 1 partition")
    assert found[2:] == [
        "  group readers has more partitions than daemon.max_group_partitions allows: only its totals are kept"
    ]


def test_groups_that_could_not_be_read_lead_to_the_brokers():
    view = KafkaView(failures={"quorum": "no", "groups": "no broker answers", "lag": "no broker answers"})

    assert lines(health(view, DOWN, program("kraftd")))[:3] == [
        "group readers its lag is not known",
        "  groups and lag could not be read: no broker answers",
        "  broker-2 is DOWN: it ended with signal SIGKILL",
    ]


def test_a_group_that_a_silent_broker_may_have_is_explained_by_that_broker():
    view = replace(full_view(), groups={}, lags={}, unreadable=Unreadable(coordinators={2: REFUSED}))
    document = health(view, program("broker-1"), DOWN, program("kraftd"))

    assert lines(document)[1] == "  broker 2 did not list its groups, this one may be among them: it was deleted"
    assert may_be_unseen(document)


def test_a_group_that_the_settings_may_leave_out_says_so():
    view = replace(full_view(), groups={}, lags={}, unreadable=Unreadable(), excluded=Excluded(groups=2))

    assert lines(health(view))[1] == (
        "  the settings of [daemon] leave out 2 groups, perhaps this one: groups_allow, groups_deny, max_groups"
    )


def test_without_the_daemon_its_absence_is_the_reason():
    look = snapshot(program("broker-1"), replace(program("kraftd", ServiceState.DOWN, "it ended"), pid=None))
    document = status_document(plan_of(), look, judge(look), "command")

    assert lines(document)[:3] == [
        "group readers its lag is not known",
        "  kraftd is the source of the lag of groups, and does not answer",
        "    kraftd is DOWN: it ended",
    ]
    assert may_be_unseen(document)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (replace(full_view(), unreadable=Unreadable()), False),
        (replace(full_view(), unreadable=Unreadable(topics={"t": REFUSED})), False),
        (KafkaView(), True),
        (replace(full_view(), unreadable=Unreadable(), excluded=Excluded(groups=1)), True),
        (KafkaView(groups={}, lags={}, canary=None, unreadable=Unreadable(coordinators={1: REFUSED})), True),
    ],
)
def test_only_who_sees_every_group_can_say_that_there_is_none(view, expected):
    assert may_be_unseen(health(view)) is expected


def test_a_group_is_found_by_its_name():
    document = health(full_view())

    assert group_named(document, "gone").reason == "it was deleted"
    assert group_named(document, "nobody") is None
    assert group_named(health(replace(full_view(), offsets=None, canary=None, log_dirs=None)), "readers") is not None
