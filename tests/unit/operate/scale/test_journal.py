"""The journal of a scale, written and read back."""

from pathlib import Path

import pytest

from kraftd.errors import KraftdError
from kraftd.operate.scale.journal import Goal, Journal, parse_journal

PATH = Path("scale.json")
FULL = Journal(
    brokers_before=2,
    brokers_after=3,
    since="2026-01-02T03:04:05.000Z",
    placement={("orders", 0): (1, 2), ("a.b-c_d", 11): (2,)},
    replication_factor=3,
    topics=("orders",),
    min_in_sync_replicas={"orders": None, "payments": "1"},
    topic_throttles={"orders": {"leader.replication.throttled.replicas": None}},
    broker_throttles={"1": {"leader.replication.throttled.rate": "5"}},
    is_aborted=True,
    is_removing=True,
)


@pytest.mark.parametrize(
    "journal",
    [FULL, Journal(3, 2, "now", {}), Journal(3, 3, "now", {}, goal=Goal((1, 2), ("orders",), ((1, 2), (2, 1))))],
)
def test_a_journal_is_read_as_it_was_written(journal):
    assert parse_journal(journal.to_json(), PATH) == journal


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"schema_version": 99}', FULL.to_json()[:-20], FULL.to_json().replace("2", '"x"')]
)
def test_a_damaged_or_newer_journal_is_refused(text):
    with pytest.raises(KraftdError) as caught:
        parse_journal(text, PATH)

    assert caught.value.code == "journal_damaged"


@pytest.mark.parametrize(
    ("factor", "before", "lower", "higher"),
    [
        (3, {"a": None, "b": "1", "c": "3"}, {"c": "2"}, {"a": "2", "b": "2"}),
        (2, {"a": None, "b": "2"}, {"a": "1", "b": "1"}, {}),
        (None, {}, {}, {}),
    ],
)
def test_min_isr_is_lowered_for_some_topics_and_raised_for_others(factor, before, lower, higher):
    journal = Journal(2, 3, "now", {}, replication_factor=factor, min_in_sync_replicas=before)

    assert journal.min_in_sync_replicas_changes() == (lower, higher)
