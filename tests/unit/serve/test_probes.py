import json

import pytest

from kraftd.health.lag.view import KafkaView
from kraftd.health.programs.state import ServiceState
from kraftd.serve.front import livez, readyz
from tests.unit.health.views import program, snapshot, topic

OK = snapshot(program("broker-1"), kafka=KafkaView(topics=(topic("test-topic", 1),)))
DEGRADED = snapshot(program("broker-1"), program("broker-2", ServiceState.DOWN, "it ended"))
DOWN = snapshot(program("broker-1", ServiceState.DOWN))


@pytest.mark.parametrize(
    ("newest", "monotonic_s", "interval_s", "status", "age_s"),
    [
        (OK, 1000.5, 1.0, 200, 0.5),
        (OK, 1010.9, 1.0, 200, 10.9),
        (OK, 1011.0, 1.0, 503, 11.0),
        (OK, 1030.9, 60.0, 200, 30.9),
        (DOWN, 1000.0, 1.0, 200, 0.0),
        (None, 1000.0, 1.0, 503, None),
    ],
)
def test_the_daemon_lives_while_its_loop_looks(newest, monotonic_s, interval_s, status, age_s):
    answer = livez(newest, monotonic_s, interval_s)

    assert answer.status == status
    assert json.loads(answer.body) == {
        "live": status == 200,
        "age_s": None if age_s is None else pytest.approx(age_s),
    }


@pytest.mark.parametrize(
    ("newest", "status", "reasons"),
    [
        (OK, 200, []),
        (DEGRADED, 503, ["broker-2 is DOWN: it ended"]),
        (DOWN, 503, ["broker-1 is DOWN"]),
        (None, 503, ["the cluster was not observed yet"]),
        (snapshot(program("broker-1"), kafka=KafkaView(topics=())), 503, ["topic test-topic does not exist"]),
    ],
)
def test_the_cluster_is_ready_or_says_why_not(newest, status, reasons):
    answer = readyz(newest, ("test-topic",))

    assert (answer.status, json.loads(answer.body)) == (status, {"ready": status == 200, "reasons": reasons})
