import json

import pytest

from kraftd.health.programs.alerts import MOST_ALERTS, Alert, parse_alerts


def alert(name, severity="warning", state="firing", **annotations):
    return {
        "labels": {"alertname": name, "severity": severity, "kafka_cluster": "ü 1"},
        "annotations": annotations,
        "state": state,
        "activeAt": "2026-01-01T00:00:00Z",
        "value": "1e+00",
    }


def answer(*alerts):
    return json.dumps({"status": "success", "data": {"alerts": alerts}})


def test_what_fires_is_told_the_worst_first_and_what_is_pending_is_not():
    found = parse_alerts(
        answer(
            alert("LeadersUnbalanced", "info"),
            alert("UnderReplicated", summary="2 partitions", description="A replica is out."),
            alert("BrokerDown", "critical", state="pending"),
            alert("Own", "page"),
            alert("OfflinePartitions", "critical"),
        )
    )

    names = [each.name for each in found.firing]
    assert names == ["OfflinePartitions", "UnderReplicated", "LeadersUnbalanced", "Own"]
    assert found.firing[1] == Alert(
        "UnderReplicated", "warning", "2 partitions", "A replica is out.", "2026-01-01T00:00:00Z"
    )
    assert (found.total, found.reason) == (4, None)


def test_many_alerts_are_counted_and_long_texts_cut():
    found = parse_alerts(answer(*(alert(f"A{number:03}", summary="x" * 10_000) for number in range(MOST_ALERTS + 3))))

    assert (len(found.firing), found.total) == (MOST_ALERTS, MOST_ALERTS + 3)
    assert {len(each.summary) for each in found.firing} == {500}


@pytest.mark.parametrize(
    "text",
    [
        *("", "<html>", "[]", "{}", '{"data": null}', '{"data": {"alerts": [1]}}'),
        '{"data": {"alerts": [{"state": "firing", "labels": {"alertname": 1}}]}}',
        '{"data": {"alerts": [{"state": 3}]}}',
        "[" * 10_000,
        '{"x": ' + "[" * 100_000,
    ],
)
def test_what_is_no_answer_of_prometheus_is_a_reason(text):
    found = parse_alerts(text)

    assert (found.firing, found.reason) == (None, "what answers on Prometheus' port is not Prometheus")
