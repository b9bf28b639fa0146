"""The rules for Prometheus, without Prometheus: what they name exists, and every alert is tested and explained."""

import re
from pathlib import Path

import pytest
import yaml

from kraftd.cli.main import app
from kraftd.render.kafka_tools import tools
from kraftd.serve.metrics.exposition import families
from kraftd_apps.common.metrics import HttpMetrics
from kraftd_apps.consumer.metrics import ConsumerMetrics
from kraftd_apps.producer.metrics import PublisherMetrics

ROOT = Path(__file__).resolve().parents[3]
RUNBOOKS = ROOT / "docs" / "runbooks.md"
PROMETHEUS_OWN = {
    "up",
    "ALERTS",
    "prometheus_sd_http_failures_total",
    "prometheus_rule_evaluation_failures_total",
}
KEYWORDS = {"and", "or", "unless", "on", "by", "bool", "offset", "inf"}


def loaded(directory):
    return {
        path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((ROOT / directory).glob("*.yml"))
    }


RULES = [rule for file in loaded("monitoring/rules").values() for group in file["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"]: rule for rule in RULES if "record" in rule}
TESTED = [
    case for file in loaded("tests/alerts").values() for test in file["tests"] for case in test["promql_expr_test"]
]
NAME = r"[A-Za-z_][\w:]*"


def names_in(expression):
    """Return the names of metrics in an expression: what is no function, keyword, label or text."""
    text = re.sub(r'"[^"]*"|\{[^}]*\}|\[\w+\]', " ", re.sub(r'"[^"]*"', '""', expression))
    text = re.sub(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    return {
        match.group()
        for match in re.finditer(rf"(?<![\w:.]){NAME}(?![\w:])(?!\s*\()", text)
        if match.group() not in KEYWORDS | {"sum", "max", "avg", "count"}
    }


def names_of_apps():
    requests = HttpMetrics()
    ConsumerMetrics(requests.registry)
    PublisherMetrics(requests.registry)
    for family in requests.registry.collect():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        yield from (f"{family.name}{suffix}" for suffix in suffixes)


KNOWN = {
    *(family.name for family in families()),
    *(ROOT / "tests/alerts/agent_metrics.txt").read_text(encoding="utf-8").split(),
    *names_of_apps(),
    *PROMETHEUS_OWN,
    *RECORDED,
}


def test_names_are_found_in_an_expression():
    expression = 'sum by (topic) (rate(a_total{x="b c"}[5m])) > 0 and on (k) g:h:i offset 5m or label_replace(d, "e")'

    assert names_in(expression) == {"a_total", "g:h:i", "d"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_names_metrics_that_exist(rule):
    found = names_in(rule["expr"])

    assert found
    assert found - KNOWN == set()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_keeps_two_clusters_in_one_prometheus_apart(rule):
    grouped = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", rule["expr"])

    assert [labels for labels in grouped if "kafka_cluster" not in labels] == []
    assert not re.search(r"\b(?:sum|max|min|avg|count)\s*\(|\b(?:ignoring|without)\b", rule["expr"])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_can_fire_and_adds_up_no_gauge_that_every_controller_has(rule):
    summed = re.findall(r"\bsum by \([^)]*\)\s*\(\s*(kafka_controller_\w+)", rule["expr"])

    assert set(summed) <= {"kafka_controller_kafkacontroller_activecontrollercount"}
    # An empty count is nothing, and not 0.
    assert not re.search(r"\bcount\b[^=]*== 0", rule["expr"])


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_is_wrong_how_bad_it_is_and_where_to_read_on(name):
    alert = ALERTS[name]

    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"] == f"docs/runbooks.md#{name.lower()}"


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_tested_where_it_fires_and_where_it_does_not(name):
    expected = [bool(case["exp_samples"]) for case in TESTED if f'alertname="{name}"' in case["expr"]]

    assert set(expected) == {True, False}


def test_every_recording_rule_is_tested():
    used = " ".join([*(case["expr"] for case in TESTED), *(alert["expr"] for alert in ALERTS.values())])

    assert [name for name in RECORDED if name not in used] == []


def test_every_alert_has_its_runbook_and_every_runbook_an_alert():
    sections = re.findall(r"^### (\w+)\n\n((?:.+\n)+)", RUNBOOKS.read_text(encoding="utf-8"), re.MULTILINE)
    incomplete = [
        title for title, text in sections if re.findall(r"^\*\*(\w+):", text, re.MULTILINE) != ["Means", "First", "Fix"]
    ]

    assert sorted(title for title, _ in sections) == sorted(ALERTS)
    assert incomplete == []


def test_a_runbook_links_to_sections_that_exist():
    links = re.findall(r"\]\(#(\w+)\)", RUNBOOKS.read_text(encoding="utf-8"))

    assert links
    assert set(links) <= {name.lower() for name in ALERTS}


def test_a_runbook_names_commands_that_exist():
    commands = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    used = re.findall(r"`kraftd (\w[\w-]*)(?: (\w[\w-]*))?", RUNBOOKS.read_text(encoding="utf-8"))

    assert {command for command, _ in used} <= commands
    assert {tool for command, tool in used if command == "kafka"} <= set(tools("3.9.1"))
