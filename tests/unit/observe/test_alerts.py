import pytest

from kraftd.host.http import Answer
from kraftd.observe.alerts import AlertReader
from tests.plans import TOOLS, plan_of

PROMETHEUS = plan_of(TOOLS).tool("prometheus")
NONE_FIRES = '{"status": "success", "data": {"alerts": []}}'


def test_a_cluster_without_prometheus_asks_nobody_and_has_no_alerts():
    asked = []
    reader = AlertReader(None, asked.append)

    reader.read()

    assert (asked, reader.newest) == ([], None)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(200, NONE_FIRES), None),
        (Answer(200, "<html>"), "what answers on Prometheus' port is not Prometheus"),
        (Answer(503, "Service Unavailable"), "Prometheus answered with HTTP status 503"),
        (Answer(None, "connection refused"), "Prometheus did not answer: connection refused"),
    ],
)
def test_the_newest_answer_replaces_the_one_before_whatever_it_is(answer, reason):
    answers = [Answer(200, NONE_FIRES), answer]
    reader = AlertReader(PROMETHEUS, lambda tool: answers.pop(0))

    reader.read()
    reader.read()

    assert reader.newest.reason == reason
    assert (reader.newest.firing is None) == (reason is not None)
