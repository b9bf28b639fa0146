from dataclasses import replace

import pytest

from kraftd.plan import kinds
from kraftd.plan.program import Purpose, Question, StartStage, StopStage
from tests.plans import TOOLS, plan_of

PLAN = plan_of(TOOLS)


@pytest.mark.parametrize(
    ("name", "question", "address", "path"),
    [
        ("broker-1", Question.API_VERSIONS, "127.0.0.1:9092", ""),
        ("controller-101", Question.CONNECTION, "127.0.0.1:10192", ""),
        ("producer", Question.HTTP, "127.0.0.1:8001", "/readyz"),
        ("prometheus", Question.HTTP, "127.0.0.1:9090", "/-/ready"),
        ("grafana", Question.HTTP, "127.0.0.1:3000", "/api/health"),
        ("kraftd", Question.HTTP, "127.0.0.1:8000", "/livez"),
    ],
)
def test_every_program_says_how_it_is_asked_whether_it_serves(name, question, address, path):
    program = PLAN.program(name)

    assert program.listener(program.probe.listener).address == address
    assert (program.probe.question, program.probe.path) == (question, path)


def test_a_broker_behind_tls_is_asked_for_a_connection_only():
    plain = kinds.kafka_listener(Purpose.CLIENT, 9092)

    broker = kinds.broker(1, (replace(plain, security_protocol="SSL"),), 1024)

    assert broker.probe.question is Question.CONNECTION


@pytest.mark.parametrize(
    ("name", "start", "stop", "patience_s"),
    [
        ("broker-1", StartStage.BROKERS, StopStage.NODES, 330),
        ("controller-101", StartStage.CONTROLLERS, StopStage.NODES, 30),
        ("producer", StartStage.SERVICES, StopStage.CLIENTS, 20),
        ("prometheus", StartStage.OPTIONAL, StopStage.CLIENTS, 20),
        ("kraftd", StartStage.SERVICES, StopStage.SUPERVISION, 10),
    ],
)
def test_every_program_says_when_it_is_started_and_ended(name, start, stop, patience_s):
    program = PLAN.program(name)

    assert (program.start.stage, program.stop.stage, program.stop.patience_s) == (start, stop, patience_s)


def test_brokers_and_apps_need_a_quorum_and_all_else_does_not():
    needing = [program.name for program in PLAN.programs if program.start.needs_quorum]

    assert needing == ["broker-1", "broker-2", "producer", "consumer"]


def test_only_a_broker_ends_cleanly_by_closing_its_logs():
    assert [each.name for each in PLAN.programs if each.stop.has_logs] == ["broker-1", "broker-2"]


def test_only_the_daemon_is_started_by_supervisord():
    assert [each.name for each in PLAN.programs if each.start.by_supervisord] == ["kraftd"]


def test_the_daemon_and_the_apps_have_metrics_to_scrape():
    assert [each.name for each in PLAN.programs if each.has_metrics] == ["producer", "consumer", "kraftd"]


def test_a_controller_that_is_also_a_broker_serves_on_both_and_lets_jmx_in_beside():
    broker = PLAN.brokers[0]

    assert broker.roles == ("broker", "controller")
    assert broker.addresses == ("127.0.0.1:9092", "127.0.0.1:10092")
    assert broker.jmx.address == "127.0.0.1:9999"
    assert broker.url == ""


@pytest.mark.parametrize(("target", "has_url"), [("/backups", False), ("s3://bucket/backups", True)])
def test_a_target_of_backups_is_a_directory_or_a_url(target, has_url):
    assert kinds.ScheduledBackups("daily 03:00", target).has_url is has_url
