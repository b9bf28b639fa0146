from dataclasses import replace

import pytest

from kraftd.health.lag.view import CollectorRun, KafkaView
from kraftd.health.programs.causes import complaint
from kraftd.health.programs.restarts import RestartHistory
from kraftd.health.programs.state import LastExit, ServiceState
from kraftd.health.programs.verdict import judge
from kraftd.health.report.health import health_document, status_document
from kraftd.health.report.why import ProgramEvent, StateRecords, why
from kraftd.plan.desired import DesiredProgram, DesiredState
from tests.plans import plan_of
from tests.unit.health.views import full_view, program, quorum, snapshot, voter

NOW_S = 1000.0
WANTED = DesiredProgram(running=True, since="1970-01-01T00:15:40.000Z", by="start", why="the user started it")
RECORDS = StateRecords(DesiredState(1, dict.fromkeys(["broker-1", "broker-2", "kraftd"], WANTED)))
KILLED = replace(
    program("broker-2", ServiceState.DOWN, "it ended with signal SIGKILL"),
    pid=None,
    process_state="EXITED",
    last_exit=LastExit("1970-01-01T00:16:10.000Z", None, "SIGKILL"),
)


def health(*programs, kafka=None, supervised=True):
    look = snapshot(*programs, kafka=kafka, supervised=supervised)
    return health_document(plan_of(), look, judge(look), NOW_S)


def own_look(*programs, supervised=True):
    look = snapshot(*programs, supervised=supervised)
    return status_document(plan_of(), look, judge(look), "command")


def texts(document, name, records=RECORDS):
    return [f"{'  ' * fact.depth}{fact.text}" for fact in why(document, name, records, NOW_S)]


def test_a_killed_broker_is_explained_from_the_exit_to_the_next_restart():
    records = replace(RECORDS, restart_histories={"broker-2": RestartHistory(attempts=2, restarts=3)})

    assert texts(health(program("broker-1"), KILLED, program("kraftd")), "broker-2", records)[:4] == [
        "is DOWN: it ended with signal SIGKILL",
        "  should run: set by 'start' 1 min ago (the user started it)",
        "  its last run ended 30 s ago with signal SIGKILL",
        "  the daemon restarts it at once",
    ]


def test_a_cause_stands_below_the_exit_that_it_explains():
    ended = replace(KILLED, last_exit=LastExit("1970-01-01T00:16:10.000Z", 1, None, "the disk is full"))

    found = texts(health(ended, program("kraftd")), "broker-2")

    assert found[2:4] == ["  its last run ended 30 s ago with exit status 1", "    the disk is full"]


def test_a_program_that_runs_and_does_not_serve_is_explained_by_its_log():
    line = "[2026-11-26 14:23:31,880] ERROR [RaftManager id=1] Unexpected error INCONSISTENT_CLUSTER_ID in VOTE"
    records = replace(RECORDS, complaints={"broker-2": complaint([line])})
    waiting = program("broker-2", ServiceState.UNREADY, "it does not answer")

    found = texts(health(program("broker-1"), waiting, program("kraftd")), "broker-2", records)

    assert found[3] == f"    its log says: {line}"
    assert "another cluster" in found[4]


@pytest.mark.parametrize(
    ("node", "command"),
    [
        (program("broker-2"), "apply"),
        (program("broker-2", ServiceState.UNREADY, "it does not answer"), "restart broker-2"),
        (KILLED, "start broker-2"),
    ],
)
def test_a_damaged_file_is_told_with_the_command_that_writes_it_again(node, command):
    records = replace(RECORDS, damage={"/s/server.properties": "is truncated"})

    found = texts(health(program("broker-1"), node, program("kraftd")), "broker-2", records)

    assert f"  its file /s/server.properties is truncated: 'kraftd {command}' writes it again" in found


@pytest.mark.parametrize("line", ["[2026-11-26 14:23:31,880] INFO ready", "[2026-11-26 14:23:31,880] ERROR not known"])
def test_a_log_without_a_known_error_is_no_complaint(line):
    assert complaint([line]) is None


@pytest.mark.parametrize("state", [ServiceState.READY, ServiceState.UNREADY])
def test_what_a_program_runs_without_is_told_with_the_reason(state):
    notes = ("it has no JMX: port 9999 is taken", "it has no metrics agent: the jar is gone")

    found = texts(health(replace(program("broker-2", state), notes=notes), program("kraftd")), "broker-2")

    assert [text for text in found if "it has no " in text] == [f"  {note}" for note in notes]


def test_what_was_given_up_says_why_and_what_to_do():
    given_up = replace(KILLED, service_state=ServiceState.GIVEN_UP)
    records = replace(RECORDS, restart_histories={"broker-2": RestartHistory(given_up="5 restarts did not help")})

    found = texts(health(given_up, program("kraftd")), "broker-2", records)

    assert "  is not restarted: 5 restarts did not help" in found
    assert "    fix that, then run 'kraftd start broker-2', or 'kraftd apply' for a changed kraftd.toml" in found


def test_what_waits_for_its_restart_says_when_it_is_and_how_to_have_it_at_once():
    waiting = replace(KILLED, service_state=ServiceState.BACKOFF, next_restart_at="1970-01-01T00:16:52.000Z")
    records = replace(RECORDS, restart_histories={"broker-2": RestartHistory(attempts=5, restarts=9)})

    found = texts(health(waiting, program("kraftd")), "broker-2", records)

    assert "  the daemon restarts it in 12 s, after 5 restarts without two healthy minutes" in found
    assert "    'kraftd start broker-2' starts it at once" in found


def test_without_a_daemon_nobody_starts_anything_again():
    no_daemon = replace(program("kraftd", ServiceState.DOWN), pid=None)

    assert "  nothing restarts it, because the daemon does not run; 'kraftd start' does" in texts(
        own_look(KILLED, no_daemon), "broker-2"
    )


def test_an_unsupervised_cluster_starts_nothing_again():
    found = texts(own_look(program("broker-1"), KILLED, program("kraftd"), supervised=False), "broker-2")

    assert "  nothing restarts it, because supervisord does not run, or does not answer; 'kraftd start' does" in found


def test_a_daemon_is_started_again_by_supervisord():
    ended = replace(KILLED, name="kraftd")

    assert "  supervisord restarts it at once, while supervisord itself runs" in texts(own_look(ended), "kraftd")


def test_what_no_command_stopped_is_told_how_it_starts():
    gone = replace(program("broker-2", ServiceState.STOPPED), pid=None, process_state="STOPPED")

    found = texts(own_look(gone), "broker-2")

    assert "  nothing restarts it, because nothing of the cluster runs; 'kraftd start' does" in found


def test_what_was_stopped_on_purpose_says_by_whom_and_awaits_no_restart():
    stopped = replace(program("broker-2", ServiceState.STOPPED), pid=None, process_state="STOPPED")
    desired = DesiredProgram(running=False, since="1970-01-01T00:15:00.000Z", by="stop", why="asked for")

    found = texts(health(stopped, program("kraftd")), "broker-2", StateRecords(DesiredState(1, {"broker-2": desired})))

    assert found[:3] == [
        "is STOPPED",
        "  should not run: set by 'stop' 1 min 40 s ago (asked for)",
        "  it has no process (STOPPED)",
    ]
    assert not any("again" in text for text in found)


def test_a_frozen_broker_runs_and_does_not_serve():
    frozen = program("broker-2", ServiceState.UNREADY, "no answer within 2 s")

    assert "  its process runs (pid 4711, RUNNING) but does not serve: no answer within 2 s" in texts(
        health(frozen, program("kraftd")), "broker-2"
    )


def test_a_broker_that_serves_says_what_it_carries():
    document = health(program("broker-1"), kafka=full_view())

    assert texts(document, "broker-1")[:4] == [
        "is READY",
        "  should run: set by 'start' 1 min ago (the user started it)",
        "  runs as pid 4711 for 12 s and answers on 127.0.0.1:9092",
        "  leads 1 partition; 2 of 2 replicas in sync",
    ]


def test_a_broker_that_is_gone_says_what_that_costs():
    kafka = replace(full_view(), quorum=quorum(1, voter(1), voter(2)))

    found = texts(health(program("broker-1"), KILLED, program("kraftd"), kafka=kafka), "broker-2")

    assert "  2 of 2 replicas out of sync; leads 0 partitions" in found
    assert "  it is a voter; the quorum has leader 1" in found


def test_what_kafka_said_has_the_age_of_that_answer():
    answered_s = {"topics": NOW_S - 8.0, "quorum": NOW_S - 3.0}
    asked = {name: CollectorRun(up=True, duration_s=0.1, last_success_s=at_s) for name, at_s in answered_s.items()}
    kafka = replace(full_view(), quorum=quorum(1, voter(1), voter(2)), runs=asked)
    document = health(program("broker-1"), KILLED, program("kraftd"), kafka=kafka)

    sources = {each.text: each.source for each in why(document, "broker-2", RECORDS, NOW_S)}

    assert sources["2 of 2 replicas out of sync; leads 0 partitions"] == "the daemon asked Kafka 8.0 s ago"
    assert sources["it is a voter; the quorum has leader 1"] == "the daemon asked Kafka 3.0 s ago"


def test_what_happened_lately_is_told_with_its_age():
    events = tuple(ProgramEvent("1970-01-01T00:16:30.000Z", "given_up", str(number)) for number in range(5))

    found = texts(health(KILLED, program("kraftd")), "broker-2", replace(RECORDS, events={"broker-2": events}))

    assert [text for text in found if "given up" in text] == [f"  10 s ago: given up, {number}" for number in (2, 3, 4)]


def test_who_looked_is_told():
    looked = [next(why(document, "broker-2", RECORDS, NOW_S)).source for document in (health(KILLED), own_look(KILLED))]

    assert looked == ["the daemon, 0.0 s ago", "this command, from supervisord and the ports"]


def test_a_program_that_there_is_not_is_refused():
    with pytest.raises(LookupError):
        next(why(health(kafka=KafkaView()), "broker-9", RECORDS, NOW_S))
