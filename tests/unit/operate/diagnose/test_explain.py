"""`kraftd why` and `kraftd explain lag`: what they take from the document, the records, the logs and the data."""

from dataclasses import replace

import pytest

from kraftd.errors import RuntimeMissingError, UnknownNameError
from kraftd.health.programs.restarts import RestartHistory, to_json
from kraftd.health.programs.state import LastExit, ServiceState
from kraftd.health.programs.verdict import judge
from kraftd.health.report.health import health_document, status_document
from kraftd.host.events import EventLog
from kraftd.kafka.model import Gap
from kraftd.operate.diagnose.explain import ExplainDoors, explain_group_lag, explain_program
from kraftd.plan.desired import DesiredProgram
from kraftd.units import timestamp
from tests.unit.health.views import full_view, program, snapshot
from tests.unit.operate.fake_cluster import FakeCluster

NAME = "broker-2"
SINCE = "2023-11-14T22:00:00.000Z"
ENDED = LastExit("2023-11-14T22:10:00.000Z", None, "SIGKILL", "the disk is full")
ERROR = "ERROR [RaftManager id=1] Unexpected error INCONSISTENT_CLUSTER_ID in VOTE"


@pytest.fixture
def cluster(tmp_path):
    made = FakeCluster(tmp_path)
    made.store.set_desired(made.plan.names, DesiredProgram(True, SINCE, "start", "requested"), of_all=True)
    return made


def seen(cluster, state, *, daemon=True, kafka=None, **facts):
    """Return the document of a daemon, or of a command, in which broker-2 has a state."""
    gone = {} if state in (ServiceState.READY, ServiceState.UNREADY) else {"pid": None, "process_state": "EXITED"}
    node = replace(program(NAME, state, "its reason"), **(gone | facts))
    look = snapshot(program("broker-1"), node, program("kraftd"), kafka=kafka)
    if daemon:
        return health_document(cluster.plan, look, judge(look), 1000.0)
    return status_document(cluster.plan, look, judge(look), "command")


def why(cluster, document, name=NAME, files=None):
    def rendered(plan, command_context):
        if files is None:
            raise RuntimeMissingError("cannot find Java")
        return files

    return explain_program(cluster.context, name, ExplainDoors(lambda cluster: document, files=rendered))


def texts(explanation):
    return "\n".join(fact.text for fact in explanation.facts)


def test_a_program_that_the_daemon_does_not_know_yet_is_looked_at_by_the_command(cluster):
    look = snapshot(program("broker-1"), program("kraftd"))
    of_daemon = health_document(cluster.plan, look, judge(look), 1000.0)
    own = seen(cluster, ServiceState.STARTING, daemon=False)

    found = explain_program(cluster.context, NAME, ExplainDoors(lambda cluster: of_daemon, lambda cluster: own))

    assert (found.source, "it has no process (EXITED)" in texts(found)) == ("command", True)


@pytest.mark.parametrize(
    ("state", "facts", "answer"),
    [
        (ServiceState.READY, {}, "runs as pid 4711"),
        (ServiceState.STARTING, {}, "it has no process (EXITED)"),
        (ServiceState.UNREADY, {}, "its process runs (pid 4711, RUNNING) but does not serve"),
        (ServiceState.DOWN, {"last_exit": ENDED}, "the disk is full"),
        (ServiceState.BACKOFF, {"next_restart_at": "2033-01-01T00:00:00.000Z"}, "the daemon restarts it in"),
        (ServiceState.PAUSED, {}, "'kraftd resume broker-2' restarts it"),
        (ServiceState.STOPPED, {}, "nothing of the cluster runs; 'kraftd start' does"),
    ],
)
@pytest.mark.parametrize("daemon", [True, False], ids=["daemon", "own look"])
def test_each_state_of_a_program_has_an_answer(cluster, state, facts, answer, daemon):
    found = why(cluster, seen(cluster, state, daemon=daemon, **facts))

    assert (found.question, found.facts[0].about) == (f"why {NAME}", NAME)
    assert found.facts[0].text.startswith(f"is {state}")
    assert found.source == ("daemon" if daemon else "command")
    assert answer in texts(found)


def test_what_should_run_comes_from_the_record_of_the_commands(cluster):
    cluster.store.set_desired((NAME,), DesiredProgram(False, SINCE, "stop", "requested"), of_all=False)

    assert "should not run: set by 'stop'" in texts(why(cluster, seen(cluster, ServiceState.STOPPED)))


def test_what_is_not_restarted_any_more_is_told_with_the_reason(cluster):
    history = {NAME: RestartHistory(attempts=5, given_up="it ended 5 times within 2 min")}
    cluster.plan.layout.restarts.write_text(to_json(history))

    found = texts(why(cluster, seen(cluster, ServiceState.GIVEN_UP)))

    assert "is not restarted: it ended 5 times within 2 min" in found
    assert "then run 'kraftd start broker-2'" in found


def test_the_last_events_of_the_program_alone_are_told(cluster):
    log = EventLog(cluster.plan.layout.events, "daemon", cluster.clock)
    for number in range(5):
        log.record("restarted", f"restart {number}", program=NAME)
    log.record("restarted", "another one", program="broker-1")

    found = [fact.text for fact in why(cluster, seen(cluster, ServiceState.READY)).facts if fact.source == "events"]

    assert [text.rpartition(" ")[2] for text in found] == ["2", "3", "4"]


@pytest.mark.parametrize(
    ("state", "age_s", "is_told"),
    [(ServiceState.UNREADY, 5.0, True), (ServiceState.UNREADY, 60.0, False), (ServiceState.READY, 5.0, False)],
    ids=["of this run", "of an earlier run", "serves"],
)
def test_the_log_of_this_run_explains_what_does_not_serve(cluster, state, age_s, is_told):
    log = cluster.plan.layout.main_log(cluster.plan.program(NAME))
    log.parent.mkdir(parents=True)
    at = timestamp(cluster.clock.now_s() - age_s).replace("T", " ").replace(".", ",").rstrip("Z")
    log.write_text(f"[{at}] {ERROR}\n")

    found = texts(why(cluster, seen(cluster, state, uptime_s=10.0)))

    assert ("another cluster" in found) is is_told


def test_its_own_file_that_is_gone_is_told(cluster):
    own, other = (cluster.plan.layout.config(name) / "server.properties" for name in (NAME, "broker-1"))

    found = texts(why(cluster, seen(cluster, ServiceState.READY), files={own: "a=1\n", other: "a=1\n"}))

    assert (str(own) in found, str(other) in found) == (True, False)


def test_a_program_that_there_is_not_is_named(cluster):
    with pytest.raises(UnknownNameError):
        why(cluster, seen(cluster, ServiceState.READY), "broker-9")


# Of groups.


def lag(cluster, document, group="readers", gaps=None):
    asked = []

    def look(access, places):
        asked.append(dict(places))
        return gaps or {}

    doors = ExplainDoors(document=lambda cluster: document, gaps=look)
    return explain_group_lag(cluster.context, group, doors), asked


def test_a_group_that_does_not_keep_up_is_asked_for_damage_where_it_stands(cluster):
    document = seen(cluster, ServiceState.READY, kafka=full_view())
    key = ("orders", 1)
    found, asked = lag(cluster, document, gaps={key: Gap(*key, 5, 9, "the batch is damaged", is_end_known=True)})

    assert found.question == "lag of readers"
    assert asked == [{("orders", 0): 7, key: 1}]
    assert "cannot be read from offset 5 to 8: the batch is damaged" in texts(found)


def test_a_group_that_keeps_up_is_asked_nothing_more(cluster):
    document = seen(cluster, ServiceState.READY, kafka=full_view())
    groups = [
        replace(group, partitions=tuple(replace(each, lag=0) for each in group.partitions or ()))
        for group in document.groups
    ]

    assert lag(cluster, replace(document, groups=tuple(groups)))[1] == [{}]


@pytest.mark.parametrize("kafka", [full_view(), None], ids=["groups are known", "groups are not known"])
def test_a_group_that_there_is_not_is_named_only_where_all_are_known(cluster, kafka):
    document = seen(cluster, ServiceState.READY, kafka=kafka)
    if kafka is not None:
        document = replace(document, missing=(), dropped=replace(document.dropped, groups=0))
        with pytest.raises(UnknownNameError):
            lag(cluster, document, "raeders")
        return

    found, asked = lag(cluster, document, "raeders")

    assert (found.facts[0].text, asked) == ("its lag is not known", [])


def test_without_the_daemon_a_lag_is_not_known(cluster):
    found, asked = lag(cluster, seen(cluster, ServiceState.READY, daemon=False))

    assert (found.source, found.facts[0].text, asked) == ("command", "its lag is not known", [])
