"""What an upgrade is refused for, and what it says."""

import pytest

from kraftd.errors import ConfigurationError, RefusedError
from kraftd.operate.rolling.gates import ClosedGate, Gate
from kraftd.operate.upgrade import checks
from tests.plans import plan_of


@pytest.mark.parametrize(
    ("command", "version"),
    [
        (("java", "-cp", "/jars/a.jar:/jars/kafka_2.13-3.9.2.jar:/jars/z.jar", "kafka.Kafka"), "3.9.2"),
        (("java", "-cp", "/opt/kafka/libs/kafka_2.13-4.3.1.jar"), "4.3.1"),
        (("java", "-cp", "/opt/kafka/libs/kafka_2.13-4.1.0-vendor-2.jar:/b.jar"), "4.1.0-vendor-2"),
        (("python", "-m", "kraftd.daemon"), None),
        ((), None),
    ],
    ids=["among others", "alone", "a vendor's", "no node", "hidden"],
)
def test_the_version_of_a_node_is_that_of_the_jar_it_runs(command, version):
    assert checks.version_of(command) == version


@pytest.mark.parametrize(
    ("before", "after", "finalized"),
    [
        ("3.9.1", "3.9.2", {"metadata.version": 21}),
        ("3.9.2", "3.9.1", {"metadata.version": 21}),
        ("3.9.2", "4.3.1", {"metadata.version": 21}),
        ("4.3.1", "3.9.2", {"metadata.version": 21}),
        ("4.3.1", "3.9.2", {"metadata.version": 21, "kraft.version": 1}),
    ],
)
def test_a_version_that_can_read_what_is_finalized_is_allowed(before, after, finalized):
    checks.refuse_path(before, after, finalized)


@pytest.mark.parametrize(
    ("before", "after", "finalized", "code", "named"),
    [
        ("4.3.1", "3.9.2", {"metadata.version": 30}, "finalized", "metadata.version 30"),
        ("4.3.1", "4.2.0", {"metadata.version": 30}, "finalized", "metadata.version 30"),
        ("4.3.1", "3.9.2", {"metadata.version": 21, "group.version": 1}, "finalized", "group.version"),
        ("3.9.2", "4.3.1", {"metadata.version": 6}, "too_old", "begins at 7"),
    ],
)
def test_a_version_that_cannot_read_what_is_finalized_is_refused(before, after, finalized, code, named):
    with pytest.raises(RefusedError, match="cannot go from Kafka") as caught:
        checks.refuse_path(before, after, finalized)

    assert (caught.value.code, caught.value.exit_code) == (code, 8)
    assert named in str(caught.value)


def test_what_changes_for_clients_is_said_once_on_the_way_there():
    there = checks.what_changes("3.9.2", "4.3.1")

    assert any("2.1" in text for text in there)
    assert any("message.timestamp.after.max.ms" in text for text in there)
    assert checks.what_changes("3.9.1", "3.9.2") == checks.what_changes("4.3.1", "3.9.2") == ()
    assert set(checks.what_changes("3.9.2", "4.0.1")) < set(there)


def test_settings_with_which_a_new_broker_does_not_start_are_all_named():
    brokers = {"broker-1": {"log.segment.bytes": "500000", "num.replica.fetchers": "0"}, "broker-2": {}}
    topics = {"orders": {"segment.bytes": "100000"}, "bills": {"segment.bytes": "1048576"}, "logs": {}}

    with pytest.raises(RefusedError) as caught:
        checks.refuse_settings("4.3.1", brokers, topics)

    assert caught.value.code == "settings"
    assert [line.partition(" = ")[0] for line in caught.value.details["settings"]] == [
        "broker-1: log.segment.bytes",
        "topic orders: segment.bytes",
        "broker-1: num.replica.fetchers",
    ]


def test_the_same_settings_are_no_matter_for_a_version_that_takes_them():
    checks.refuse_settings("3.9.2", {"broker-1": {"log.segment.bytes": "500000"}}, {"orders": {"segment.bytes": "1"}})
    checks.refuse_settings("4.1.2", {"broker-1": {"num.replica.fetchers": "0"}}, {})


def test_removed_settings_are_noted_with_their_place():
    plan = plan_of('[broker.config]\n"controlled.shutdown.max.retries" = 5\n')
    topics = {"orders": {"message.timestamp.difference.max.ms": "1000", "retention.ms": "1"}}

    notes = checks.removed_settings("3.9.2", "4.3.1", plan, topics)

    assert [note.partition(" has ")[0] for note in notes] == [
        "controlled.shutdown.max.retries of broker-1",
        "controlled.shutdown.max.retries of broker-2",
        "message.timestamp.difference.max.ms of topic orders",
    ]
    assert checks.removed_settings("4.0.1", "4.3.1", plan, topics) == []


@pytest.mark.parametrize(
    ("closed", "code"),
    [
        (ClosedGate(Gate.SERVING, "broker-2: it does not run", ("broker-2",)), "broker_down"),
        (ClosedGate(Gate.IN_SYNC, "orders-0 is not in sync", partitions=(("orders", 0),)), "not_in_sync"),
    ],
)
def test_an_upgrade_does_not_begin_while_something_is_missing(closed, code):
    with pytest.raises(RefusedError) as caught:
        checks.refuse_closed((closed,))

    assert caught.value.code == code
    assert closed.text in str(caught.value)


def test_nothing_is_finalized_before_every_node_runs_the_version():
    with pytest.raises(RefusedError) as caught:
        checks.refuse_different_versions({"broker-1": "4.3.1", "broker-2": "3.9.2", "broker-3": None}, "4.3.1")

    assert caught.value.details["nodes"] == {"broker-2": "3.9.2", "broker-3": None}
    checks.refuse_different_versions({"broker-1": "4.3.1"}, "4.3.1")


def test_nothing_is_finalized_while_the_configuration_states_an_older_version():
    with pytest.raises(ConfigurationError) as caught:
        checks.refuse_stale_configuration(True, "3.9", "4.3.1", "kraftd.toml")

    assert (caught.value.code, '"4.3"' in caught.value.hint) == ("stale_version", True)
