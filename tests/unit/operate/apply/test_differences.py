"""What a changed configuration means for each program of a cluster that runs."""

from dataclasses import replace

import pytest

from kraftd.host.install import template_text
from kraftd.kafka.administration.settings import BrokerSetting
from kraftd.operate.apply.differences import Action, Side, compare, is_of_a_value, settled
from kraftd.plan.manifest import manifest_of
from kraftd.render.files import render
from tests.plans import LAUNCH, PYTHON, plan_of

ID = "MkU3OEVBNTcwNTJENDM2Qk"


def side(toml, manifest=None, launch=LAUNCH):
    plan = plan_of(toml, manifest=manifest)
    return Side(plan, render(plan, launch, python=PYTHON, template=template_text()))


def found(before, after, launch=LAUNCH):
    old = side(before)
    manifest = manifest_of(old.plan, ID)
    return compare(old, side(after, manifest, launch), manifest)


def actions(differences):
    return {change.name: change.action for change in differences.programs if change.name != "kraftd"}


def test_the_same_configuration_means_nothing():
    assert found("", "").is_empty


CONFIG = '[broker.config]\n"{}" = {}\n'.format


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("", CONFIG("log.retention.ms", 5), {"broker-1": "settings", "broker-2": "settings"}),
        (CONFIG("log.retention.ms", 5), "", {"broker-1": "restart", "broker-2": "restart"}),
        ("", CONFIG("log.dir.failure.timeout.ms", r'"a\\b"'), {"broker-1": "restart", "broker-2": "restart"}),
        (
            "",
            CONFIG("default.replication.factor", 1),
            {"broker-1": "settings", "broker-2": "settings", "controller-101": "restart"},
        ),
        ("", '[broker.2.config]\n"log.retention.ms" = 5', {"broker-2": "settings"}),
        ("", '[cluster]\nheap = "512m"', {"broker-1": "restart", "broker-2": "restart"}),
        ("", '[controller]\nheap = "96m"', {"controller-101": "restart"}),
        ("", "[consumer]\ninstances = 2", {"consumer-2": "start"}),
        ("[consumer]\ninstances = 2", "", {"consumer-2": "stop"}),
        ("", "[consumer]\nport = 8010", {"consumer": "restart"}),
        ("", '[producer]\nenv = { APP_API_TOKEN = "s3cret" }', {"producer": "restart"}),
        ("", "[prometheus]\nenabled = true", {"prometheus": "start"}),
        ("[prometheus]\nenabled = true", "", {"prometheus": "stop"}),
        ("", "[daemon]\ninterval_s = 7", {}),
    ],
)
def test_each_program_gets_the_least_that_is_needed(before, after, expected):
    assert actions(found(before, after)) == expected


def test_the_daemon_reads_the_plan_when_it_starts():
    changed = {change.name: change.action for change in found("", "[daemon]\ninterval_s = 7").programs}

    assert changed == {"kraftd": Action.RESTART}


def test_a_third_broker_touches_no_other_program():
    differences = found("", "[cluster]\nbrokers = 3")

    assert differences.named(Action.START) == ("broker-3",)
    assert differences.named(Action.RESTART) == ("kraftd",)
    assert set(actions(differences).values()) == {Action.START, Action.LATER}
    assert differences.refused == ()


def test_a_new_topic_is_named():
    differences = found("", '[[topic]]\nname = "test-topic"\n[[topic]]\nname = "orders"')

    assert differences.topics == ("orders",)
    assert actions(differences) == {}


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        ("[cluster]\nbrokers = 3", "[cluster]\nbrokers = 2", "broker-3"),
        ("[cluster]\nbrokers = 2", "[cluster]\nbrokers = 1", "broker-2"),
        ("", "[cluster]\nport_offset = 100", "ports"),
        ("", '[cluster]\nname = "other"', "cluster.name"),
    ],
)
def test_what_changes_the_quorum_or_loses_data_is_refused(before, after, word):
    assert word in " ".join(found(before, after).refused)


def test_a_secret_is_never_among_the_reasons():
    differences = found(
        "", '[broker.config]\n"ssl.key.password" = "s3cret"\n[producer]\nenv = { APP_API_TOKEN = "s3cret" }'
    )

    assert "s3cret" not in repr([change.why for change in differences.programs])


@pytest.mark.parametrize("name", ["a.aot", "of josé.aot", "josé's.aot"])
def test_a_start_up_archive_that_was_made_since_ends_nothing(name):
    archived = replace(LAUNCH, archive=LAUNCH.java.parent / name)

    assert actions(found("", "", archived)) == {}


def test_a_rendered_file_that_is_gone_is_restored_with_a_restart():
    old, new = side(""), side("")
    path = old.plan.layout.config("broker-1") / "server.properties"

    differences = compare(replace(old, files={k: v for k, v in old.files.items() if k != path}), new, None)

    assert actions(differences) == {"broker-1": Action.RESTART}


KNOWN = {"log.retention.ms": BrokerSetting("1", is_dynamic=True)}


@pytest.mark.parametrize(
    ("settings", "action"),
    [
        ({"broker-1": KNOWN}, "settings"),
        ({"broker-1": {"log.retention.ms": BrokerSetting("1", is_dynamic=False)}}, "restart"),
        ({"broker-1": {}}, "restart"),
        ({}, "restart"),
    ],
    ids=["taken while it runs", "read-only", "unknown", "no answer"],
)
def test_a_broker_is_restarted_for_what_it_does_not_take_while_it_runs(settings, action):
    differences = settled(found("", CONFIG("log.retention.ms", 5)), settings)

    assert actions(differences)["broker-1"] == action


@pytest.mark.parametrize(
    ("refusal", "is_of_value"),
    [
        ("Invalid value 50.0 for configuration ratio: Value must be no more than 1", True),
        ("Invalid value foo for configuration policy: String must be one of: compact, delete", True),
        ("Invalid value compact, foo for configuration policy", True),
        ("Invalid value 7 for configuration threads: it is at most doubled", False),
        ("Invalid value 50 for configuration other: Value must be no more than 1", False),
        ("Dynamic thread count update validation failed for threads=50", False),
    ],
)
def test_a_value_that_is_never_taken_is_told_from_a_change_that_is_not(refusal, is_of_value):
    values = {"ratio": "50", "policy": "compact,foo", "threads": "50"}

    assert is_of_a_value(refusal, values) is is_of_value
