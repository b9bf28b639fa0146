"""Every query and rule that ships for Prometheus and Grafana has data: a real Prometheus on a real cluster."""

import json
import re
import tempfile
import time
from pathlib import Path

import pytest

from tests.harness import cluster_in, eventually, fetch
from tests.kafka.scene import ABANDONED, KEPT_FROZEN, LAG_INTERVAL_S, RULES, STALLED, Scene, hurry, rules_of
from tools.dashboard_pictures.evaluation import Window, expression, panels, variables
from tools.dashboards.__main__ import DASHBOARDS

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400), pytest.mark.needs("prometheus", "promtool")]

REACHED = {"BrokerDown", "UnderReplicated", "LagGrowing", "ConsumerStalled"}
WITHOUT_DATA = {
    'http_requests_total{status=~"5..", route!="/readyz"}': "an app need not answer with 5xx while one broker serves",
    "kafka_producer_lost_records_total": "begins with the first record that is lost",
}
"""What has no series in the scene, and why; at most five."""

KAFKA_EXPORTER_QUERIES = (
    # grafana.com 7589, Kafka Exporter Overview, as kafka_exporter's repository has it: five panels, three variables.
    'sum(rate(kafka_topic_partition_current_offset{instance="$instance", topic=~"$topic"}[1m])) by (topic)',
    "sum(delta(kafka_topic_partition_current_offset{instance=~'$instance', topic=~\"$topic\"}[5m])/5) by (topic)",
    'sum(kafka_consumergroup_lag{instance="$instance",topic=~"$topic"}) by (consumergroup, topic) ',
    "sum(delta(kafka_consumergroup_current_offset{instance=~'$instance',topic=~\"$topic\"}[5m])/5) "
    "by (consumergroup, topic)",
    'sum by(topic) (kafka_topic_partitions{instance="$instance",topic=~"$topic"})',
    "kafka_consumergroup_current_offset",
    'kafka_consumergroup_current_offset{job=~"$job"}',
    "kafka_topic_partition_current_offset{instance='$instance',topic!='__consumer_offsets',topic!='--kafka'}",
)
SELECTOR = re.compile(r"(?<![\w:.\"$])([a-z_][\w:]*)(\{[^}]*\})?(?![\w:]|\s*\()", re.IGNORECASE)
NO_METRIC = {"and", "or", "unless", "on", "by", "bool", "offset", "inf", "sum", "max", "min", "avg", "count"}


def selectors_in(expr):
    """Return the selectors of an expression: names of metrics, with their matchers."""
    text = re.sub(r"\b(?:by|on)\s*\([^)]*\)|\[\w+\]|\boffset \w+", " ", expr)
    # What is quoted outside of braces is an argument.
    text = re.sub(r'(\{[^}]*\})|"[^"]*"', lambda match: match[1] or '""', text)
    return {name + (matchers or "") for name, matchers in SELECTOR.findall(text) if name not in NO_METRIC}


@pytest.fixture(scope="module")
def scene():
    """Yield the scene when all that must fire has fired, with the time of which it has data."""
    with tempfile.TemporaryDirectory(prefix="kraftd-") as directory, cluster_in(Path(directory)) as cluster:
        cluster.settings |= {"prometheus.enabled": "true", "daemon.lag_interval_s": LAG_INTERVAL_S} | KEPT_FROZEN
        cluster.settings |= {"backup.schedule": "every 20s", "backup.target": Path(directory) / "backups"}
        cluster.start()
        began_s = time.time()
        hurry(cluster)
        with Scene(cluster) as running:
            eventually(lambda: {STALLED, ABANDONED} <= running.groups_with_a_status(), within_s=60, what="a status")
            running.freeze_and_kill(running.active_broker(), until={"BrokerDown", "UnderReplicated"})
            eventually(lambda: running.firing() >= {"LagGrowing", "ConsumerStalled"}, within_s=90, what="lag fires")
            eventually(running.has_a_backup, within_s=60, what="a scheduled backup")
            yield running, Window(began_s, time.time(), step_s=2, scrape_interval_s=3)
        cluster.stop()


@pytest.mark.parametrize("path", sorted(DASHBOARDS.glob("*.json")), ids=lambda path: path.stem)
def test_every_query_of_a_dashboard_has_data(scene, path):
    running, window = scene
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    values = variables(dashboard, "local")
    asked = [(panel["title"], target["expr"]) for panel in panels(dashboard) for target in panel["targets"]]
    asked += [(each["name"], each["expr"]) for each in dashboard["annotations"]["list"]]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            asked.append((variable["name"], re.fullmatch(r"label_values\((.*), \w+\)", variable["query"]["query"])[1]))

    empty = [(title, expr) for title, expr in asked if not has_data(running, expression(expr, values, window), window)]

    assert empty == []


def has_data(running, expr, window):
    """Return whether a query had a value at any time, NaN being none."""
    rows = running.prometheus.over(expr, window)
    return any(value != "NaN" for row in rows for _, value in row["values"])


@pytest.mark.parametrize("path", sorted(RULES.glob("*.yml")), ids=lambda path: path.stem)
def test_every_rule_is_evaluated_and_has_what_it_reads(scene, path):
    running, window = scene
    rules = rules_of(path.read_text(encoding="utf-8"))
    recorded = [rule["record"] for rule in rules if "record" in rule]
    read = {selector for rule in rules for selector in selectors_in(rule["expr"])}

    for rule in rules:
        running.prometheus.at(rule["expr"], window.end_s)
    assert [name for name in recorded if not has_data(running, name, window)] == []
    assert {each for each in read if not has_data(running, each, window)} <= set(WITHOUT_DATA)


def test_prometheus_evaluates_every_rule_without_an_error(scene):
    running, _ = scene
    groups = json.loads(fetch(f"{running.prometheus.url}/api/v1/rules")[1])["data"]["groups"]
    evaluated = [rule for group in groups for rule in group["rules"]]

    assert {rule["name"]: rule["lastError"] for rule in evaluated if rule["health"] != "ok"} == {}
    assert len(evaluated) == sum(len(rules_of(path.read_text(encoding="utf-8"))) for path in RULES.glob("*.yml"))


def test_little_needs_no_data_and_a_metric_that_does_not_exist_has_none(scene):
    running, window = scene
    read = {
        each
        for path in RULES.glob("*.yml")
        for rule in rules_of(path.read_text(encoding="utf-8"))
        for each in selectors_in(rule["expr"])
    }

    assert len(WITHOUT_DATA) <= 5
    assert set(WITHOUT_DATA) <= read
    assert not has_data(running, "kraftd_no_such_metric", window)


@pytest.mark.parametrize("expr", KAFKA_EXPORTER_QUERIES)
def test_a_dashboard_for_kafka_exporter_has_data(scene, expr):
    running, window = scene
    (source,) = running.prometheus.at("kafka_brokers", window.end_s)
    values = {"instance": source["metric"]["instance"], "job": "kraftd", "topic": "test-topic"}

    assert has_data(running, expression(expr, values, window), window)


def test_alerts_end_when_their_reason_has_gone(scene):
    running, _ = scene
    # Where a scrape takes too long, an alert has no data and begins anew.
    eventually(lambda: running.firing() >= {"LagGrowing", "ConsumerStalled"}, within_s=60, what="lag fires")
    running.calm()

    eventually(lambda: not running.firing() & REACHED, within_s=60, what="they are resolved")
    fired = running.prometheus.at('count by (alertname) (max_over_time(ALERTS{alertstate="firing"}[10m]))', time.time())
    assert {row["metric"]["alertname"] for row in fired} >= REACHED
