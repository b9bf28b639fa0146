from dataclasses import replace

import pytest

from kraftd.health.lag.view import KafkaView
from kraftd.health.programs.disks import DiskView
from kraftd.health.programs.state import ServiceState, Status
from kraftd.health.programs.verdict import judge, judge_stopped
from kraftd.plan.desired import DesiredProgram, DesiredState
from tests.unit.health.views import program, quorum, snapshot, topic

DOWN = ServiceState.DOWN


def test_all_that_shall_run_serving_is_ok():
    verdict = judge(snapshot(program("broker-1"), program("producer"), program("kraftd")))

    assert (verdict.status, verdict.ready, verdict.reasons) == (Status.OK, True, ())


def test_what_no_command_stopped_is_not_told_as_stopped():
    nothing_runs = snapshot(replace(program("broker-1", ServiceState.STOPPED), pid=None))

    ended, stopped = (
        judge_stopped(nothing_runs, DesiredState(1, {"broker-1": DesiredProgram(is_to_run, "", by, "")}))
        for is_to_run, by in ((True, "start"), (False, "stop"))
    )

    assert (ended.status, stopped.status) == (Status.DOWN, Status.DOWN)
    assert "'kraftd start' starts it" in ended.reasons[0]
    assert stopped.reasons == ("no broker serves",)


def test_one_program_that_does_not_serve_degrades_and_says_why():
    verdict = judge(snapshot(program("broker-1"), program("broker-2", DOWN, "it ended with signal SIGKILL")))

    assert (verdict.status, verdict.ready) == (Status.DEGRADED, False)
    assert verdict.reasons == ("broker-2 is DOWN: it ended with signal SIGKILL",)


def test_a_daemon_that_does_not_serve_degrades_too():
    verdict = judge(snapshot(program("broker-1"), program("kraftd", DOWN)))

    assert (verdict.status, verdict.ready, verdict.reasons) == (Status.DEGRADED, False, ("kraftd is DOWN",))


def test_a_tool_that_does_not_serve_degrades_and_the_cluster_is_ready_all_the_same():
    verdict = judge(snapshot(program("broker-1"), program("prometheus", DOWN, "it ended")))

    assert (verdict.status, verdict.ready) == (Status.DEGRADED, True)
    assert verdict.reasons == ("prometheus is DOWN: it ended",)


def test_a_tool_that_does_not_serve_hides_no_program_that_does_not():
    verdict = judge(snapshot(program("broker-1"), program("producer", DOWN), program("grafana", DOWN)))

    assert (verdict.status, verdict.ready) == (Status.DEGRADED, False)
    assert verdict.reasons == ("producer is DOWN", "grafana is DOWN")


def test_a_program_that_shall_not_run_does_not_count():
    verdict = judge(snapshot(program("broker-1"), program("producer", ServiceState.STOPPED)))

    assert (verdict.status, verdict.ready) == (Status.OK, True)


def test_without_a_serving_broker_the_cluster_is_down():
    verdict = judge(snapshot(program("broker-1", DOWN), program("producer")))

    assert (verdict.status, verdict.ready, verdict.reasons) == (Status.DOWN, False, ("broker-1 is DOWN",))


def test_a_stopped_cluster_is_down_for_a_reason():
    verdict = judge(snapshot(program("broker-1", ServiceState.STOPPED), supervised=None))

    assert (verdict.status, verdict.ready, verdict.reasons) == (Status.DOWN, False, ("no broker serves",))


def test_a_supervisord_that_does_not_answer_is_one_that_restarts_nothing():
    silent = replace(snapshot(program("broker-1"), supervised=False), unreachable="its control socket is gone")

    verdict = judge(silent)

    assert verdict.status == Status.UNSUPERVISED
    assert verdict.reasons[0].startswith("supervisord does not answer: its control socket is gone")


def test_nodes_without_supervisord_are_unsupervised_even_when_they_serve():
    verdict = judge(snapshot(program("broker-1"), supervised=False))

    assert (verdict.status, verdict.ready) == (Status.UNSUPERVISED, False)
    assert verdict.reasons[0].startswith("supervisord does not run")


@pytest.mark.parametrize(
    ("kafka", "reason"),
    [
        (KafkaView(quorum=quorum(None)), "the quorum has no leader"),
        (KafkaView(topics=(topic("orders", 1, None),)), "partition orders-1 has no leader"),
        (KafkaView(topics=()), "topic test-topic does not exist"),
    ],
)
def test_what_kafka_lacks_degrades(kafka, reason):
    declared = ("test-topic",) if kafka.topics == () else ()

    verdict = judge(snapshot(program("broker-1"), kafka=kafka), declared)

    assert (verdict.status, verdict.ready, verdict.reasons) == (Status.DEGRADED, False, (reason,))


def test_what_kafka_was_not_asked_degrades_nothing():
    verdict = judge(snapshot(program("broker-1"), kafka=KafkaView(failures={"quorum": "no answer"})), ("test-topic",))

    assert verdict.status is Status.OK


def test_kafka_is_not_blamed_where_no_broker_serves():
    verdict = judge(snapshot(program("broker-1", DOWN), kafka=KafkaView(quorum=quorum(None))))

    assert verdict.reasons == ("broker-1 is DOWN",)


def test_a_disk_that_is_nearly_full_degrades_and_the_cluster_is_ready_all_the_same():
    disk = DiskView("/srv", 1024, 1024**3, 1024**2)
    verdict = judge(replace(snapshot(program("broker-1")), disks=(disk,)))

    assert (verdict.status, verdict.ready, len(verdict.reasons)) == (Status.DEGRADED, True, 1)
