from collections import Counter

import pytest

from kraftd.errors import ConfigurationError, RefusedError
from kraftd.operate.data.topic_changes import alteration, config_changes, key_risk, placed
from tests.unit.operate.data.fake_kafka import DEFAULTS, OWN, topic

ENTRIES = (OWN, *DEFAULTS)


@pytest.mark.parametrize(
    ("existing", "count", "factor", "brokers", "expected"),
    [
        ((), 2, 2, (1, 2), ((1, 2), (2, 1))),
        ((), 3, 1, (3, 1, 2), ((1,), (2,), (3,))),
        (((1, 2), (1, 2)), 2, 2, (1, 2), ((2, 1), (2, 1))),
        (((1, 2),), 1, 2, (1, 2, 3), ((3, 1),)),
        ((), 0, 2, (1, 2), ()),
    ],
)
def test_new_partitions_even_out_the_leaders(existing, count, factor, brokers, expected):
    assert placed(existing, count, factor, brokers) == expected


@pytest.mark.parametrize(("brokers", "factor"), [(b, f) for b in range(1, 6) for f in range(1, min(b, 3) + 1)])
def test_leaders_and_replicas_of_new_partitions_differ_by_one_at_most(brokers, factor):
    found = placed((), 4 * brokers + 1, factor, range(1, brokers + 1))
    leads = Counter(replicas[0] for replicas in found)
    holds = Counter(broker for replicas in found for broker in replicas)

    assert all(len(set(replicas)) == factor for replicas in found)
    assert max(leads.values()) - min(leads.values()) <= 1
    assert max(holds.values()) - min(holds.values()) <= factor


def test_more_replicas_than_live_brokers_are_refused():
    with pytest.raises(ConfigurationError):
        placed((), 1, 3, (1, 2))


def test_a_topic_that_is_reassigned_grows_by_its_lower_number_of_replicas():
    found = alteration(topic("t", (1, 2), (1, 2, 3)), ENTRIES, (1, 2, 3), partitions=3, changes={})

    assert [len(replicas) for replicas in found.added] == [2]


def test_partitions_are_never_taken_away():
    with pytest.raises(RefusedError) as caught:
        alteration(topic("t", (1,), (2,)), ENTRIES, (1, 2), partitions=1, changes={})

    assert caught.value.code == "fewer_partitions"


@pytest.mark.parametrize(
    ("partitions", "changes"),
    [(None, {}), (2, {"retention.ms": "1000"}), (2, {"retention.ms": " 1000"}), (2, {"cleanup.policy": None})],
)
def test_what_is_so_already_changes_nothing(partitions, changes):
    assert alteration(topic("t", (1,), (2,)), ENTRIES, (1, 2), partitions=partitions, changes=changes).is_empty


@pytest.mark.parametrize(
    ("changes", "risks"),
    [
        ({"retention.ms": "999"}, 1),
        ({"retention.ms": "1001"}, 0),
        ({"retention.ms": "-1"}, 0),
        ({"retention.ms": None}, 1),
        ({"retention.bytes": "5"}, 1),
        ({"cleanup.policy": "compact"}, 1),
        ({"retention.ms": "soon"}, 0),
    ],
)
def test_less_retention_and_another_policy_are_risks(changes, risks):
    assert len(alteration(topic("t", (1,)), ENTRIES, (1,), partitions=None, changes=changes).risks) == risks


def test_an_unknown_configuration_names_the_nearest():
    with pytest.raises(ConfigurationError) as caught:
        config_changes(ENTRIES, {"retentoin.ms": "1"})

    assert "retention.ms" in caught.value.hint
    assert caught.value.details["unknown"] == ["retentoin.ms"]


@pytest.mark.parametrize(("keyed", "is_risk"), [(0, False), (1, True)])
def test_keys_are_a_risk_of_more_partitions(keyed, is_risk):
    assert (key_risk(keyed, 10, "newest") is not None) is is_risk


@pytest.mark.parametrize(
    ("keyed", "sampled", "words"),
    [(1, 1, "the newest record has a key:"), (3, 3, "3 of the 3 newest records have keys:")],
)
def test_keys_are_counted_in_the_number_of_the_records(keyed, sampled, words):
    assert key_risk(keyed, sampled, "newest").startswith(words)
