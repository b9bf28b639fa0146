"""The order of a start and what ends it early, without a process."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kraftd.errors import (
    KraftdError,
    NeedsRunningClusterError,
    RefusedError,
    RuntimeMissingError,
    TimedOutError,
    UnknownNameError,
)
from kraftd.health.programs.disks import DiskSpace
from kraftd.host.machine import PortHolder
from kraftd.host.processes import Process
from kraftd.kafka.administration.settings import BrokerSetting
from kraftd.kafka.model import Failure
from kraftd.operate.apply.overrides import overrides_of, remember_overrides
from kraftd.operate.context import NullReporter
from kraftd.operate.rolling.journal import Journal, write_journal
from kraftd.operate.start.preflight import PortInUseError
from kraftd.operate.start.sequence import TIE_BREAKER_AFTER_S, StartFailedError, TopicNotReadyError, YieldedError
from kraftd.operate.start.start import lock_and_start
from kraftd.operate.stop.stop import StopOptions, stop_with_lock_held
from kraftd.plan.program import DAEMON
from tests.plans import plan_of
from tests.unit.operate.fake_cluster import FakeCluster, FakeProgram

TOOLS = "[prometheus]\nenabled = true"


@pytest.fixture
def cluster(tmp_path):
    return FakeCluster(tmp_path)


def test_brokers_start_first_the_tie_breaker_when_they_serve_then_topics_then_apps(cluster):
    result = lock_and_start(cluster.starting())

    assert cluster.did == [
        ("launch", ""),
        ("start", "broker-1"),
        ("start", "broker-2"),
        ("start", "controller-101"),
        ("topics", ""),
        ("start", "producer"),
        ("start", "consumer"),
        ("start", "kraftd"),
        ("jmx", "broker-1"),
        ("jmx", "broker-2"),
    ]
    assert result.started == tuple(cluster.plan.names)
    assert result.formatted == ("broker-1", "broker-2", "controller-101")
    assert all(cluster.store.desired().wants(name) for name in cluster.plan.names)


def test_the_tie_breaker_does_not_wait_for_a_slow_broker_for_ever(tmp_path):
    cluster = FakeCluster(tmp_path, programs={"broker-2": FakeProgram(ready_after_s=9.0)})

    lock_and_start(cluster.starting())

    assert TIE_BREAKER_AFTER_S < cluster.at_s["start", "controller-101"] < TIE_BREAKER_AFTER_S + 0.1
    assert cluster.at_s["topics", ""] >= 9.0


def test_a_broker_that_ends_fails_the_start_with_its_cause_and_log(tmp_path):
    cluster = FakeCluster(tmp_path, programs={"broker-2": FakeProgram(fails=True)})

    with pytest.raises(StartFailedError) as caught:
        lock_and_start(cluster.starting())

    assert caught.value.details["program"] == "broker-2"
    assert caught.value.details["log"].endswith("logs/broker-2/console.log")
    assert "producer" not in cluster.of("start")


def test_a_start_that_takes_too_long_names_what_it_waits_for(tmp_path):
    cluster = FakeCluster(tmp_path, programs={"consumer": FakeProgram(ready_after_s=None)})

    with pytest.raises(TimedOutError, match=r"consumer \(listening: not yet\)") as caught:
        lock_and_start(cluster.starting(timeout_s=20.0))

    assert caught.value.exit_code == 124
    assert 20.0 < cluster.clock.monotonic_s() - cluster.began_s < 20.1


@dataclass
class Rungs(NullReporter):
    """The rungs that a start reports."""

    told: list[tuple[str, str, str]]

    def rung(self, name, rung, progress):
        if not self.told or self.told[-1] != (name, rung, progress):
            self.told.append((name, rung, progress))


def reporting(cluster):
    """Return the rungs that the next start of a cluster will report."""
    rungs = Rungs([])
    cluster.context = replace(cluster.context, command_context=replace(cluster.context.command_context, reporter=rungs))
    return rungs


STAMP = "[2026-11-26 16:31:02,815] INFO"
SLOW = FakeProgram(
    ready_after_s=12.0,
    logs=(
        (1.0, f"{STAMP} Awaiting socket connections on 127.0.0.1:10093. (kafka.network.DataPlaneAcceptor)"),
        (5.0, f"{STAMP} Completed load of Log(dir=/srv/a-0) in 9ms (1/2 completed in /srv) (kafka.log.LogManager)"),
        (8.0, f"{STAMP} Loaded 2 logs in 6000ms (kafka.log.LogManager)"),
        (10.0, f"{STAMP} [BrokerLifecycleManager id=2] Successfully registered broker 2 with broker epoch 3 (kafka)"),
    ),
)


def test_a_broker_that_takes_longer_shows_its_rungs_as_its_log_proves_them(tmp_path):
    cluster = FakeCluster(tmp_path, programs={"broker-2": SLOW})
    rungs = reporting(cluster)

    lock_and_start(cluster.starting())

    assert rungs.told == [
        ("broker-2", "listening", ""),
        ("broker-2", "listening", "logs recovered 1 of 2"),
        ("broker-2", "recovered", ""),
        ("broker-2", "registered", ""),
    ]


def test_a_start_that_is_quick_reads_no_log_and_shows_no_rung(cluster):
    rungs = reporting(cluster)
    start = cluster.starting()

    lock_and_start(replace(start, doors=replace(start.doors, start_progress=None, log_records=None)))

    assert rungs.told == []


def test_a_start_whose_time_is_up_tells_the_rung_and_the_lines_that_matter(tmp_path):
    line = f"{STAMP} [BrokerLifecycleManager id=2] Unable to register broker 2 because of DUPLICATE_BROKER_REGISTRATION"
    slow = replace(SLOW, ready_after_s=None, logs=(*SLOW.logs[:2], (5.5, line)))
    cluster = FakeCluster(tmp_path, programs={"broker-2": slow})

    with pytest.raises(TimedOutError, match=r"broker-2 \(listening, logs recovered 1 of 2: not yet\)") as caught:
        lock_and_start(cluster.starting(timeout_s=7.0))

    assert caught.value.details["lines"] == {"broker-2": [line]}
    assert str(caught.value).endswith(f"\n  broker-2 logged: {line}")


def test_a_start_yields_to_a_stop_that_is_asked_for_meanwhile(tmp_path):
    cluster = FakeCluster(tmp_path, programs={"broker-1": FakeProgram(ready_after_s=None)})
    start = cluster.starting()
    cluster.store.raise_generation()

    with pytest.raises(YieldedError):
        lock_and_start(start)

    assert cluster.did == []


def test_a_start_yields_to_a_stop_before_it_writes_anything(cluster):
    start = cluster.starting()

    def prepare(plan, command_context):
        cluster.store.raise_generation()
        return start.doors.locate(plan, command_context)

    with pytest.raises(YieldedError):
        lock_and_start(replace(start, doors=replace(start.doors, prepare_runtime=prepare)))

    assert (cluster.did, cluster.store.plan(), cluster.store.manifest()) == ([], None, None)


def test_a_topic_that_cannot_be_used_fails_the_start_before_the_apps(cluster):
    cluster.topic_failure = Failure("INVALID_REPLICATION_FACTOR", "there are not so many brokers", retriable=False)

    with pytest.raises(TopicNotReadyError) as caught:
        lock_and_start(cluster.starting())

    assert caught.value.details == {"topic": "test-topic", "error": "INVALID_REPLICATION_FACTOR"}
    assert "producer" not in cluster.of("start")


def test_topics_are_asked_for_again_while_a_broker_that_serves_is_slow_to_answer(cluster):
    cluster.silences = 3

    lock_and_start(cluster.starting())

    assert cluster.of("topics") == [""]


def test_brokers_that_never_answer_end_the_start_in_its_time(cluster):
    cluster.silences = 1_000_000

    with pytest.raises(TimedOutError, match="the topics"):
        lock_and_start(cluster.starting())

    assert "producer" not in cluster.of("start")


def test_a_tool_that_fails_is_a_note(tmp_path):
    cluster = FakeCluster(tmp_path, TOOLS, {"prometheus": FakeProgram(fails=True)})

    result = lock_and_start(cluster.starting())

    assert "prometheus" in result.started
    assert any(note.startswith("prometheus does not serve") for note in result.notes)


@pytest.mark.parametrize("text", ["", '{"schema_version": 1, "progr'])
def test_a_start_of_everything_writes_a_damaged_desired_state_anew(cluster, text):
    lock_and_start(cluster.starting())
    cluster.context.layout.desired.write_text(text)

    with pytest.raises(KraftdError, match="it is damaged"):
        lock_and_start(cluster.starting("producer"))
    lock_and_start(cluster.starting())

    assert all(cluster.store.desired().wants(name) for name in cluster.plan.names)


def test_a_start_refuses_the_desired_state_of_a_newer_kraftd(cluster):
    lock_and_start(cluster.starting())
    cluster.context.layout.desired.write_text('{"schema_version": 99, "generation": 0, "programs": {}}')

    with pytest.raises(KraftdError, match="it has schema version 99"):
        lock_and_start(cluster.starting())


def test_a_start_of_a_part_does_not_restart_what_runs_without_a_plan(cluster):
    lock_and_start(cluster.starting())
    cluster.store.layout.plan.unlink()
    pids = {name: program.pid for name, program in cluster.programs.items()}

    with pytest.raises(KraftdError, match="it is missing, while broker-1") as caught:
        lock_and_start(cluster.starting("broker-1"))

    assert caught.value.code == "plan_missing"
    assert {name: program.pid for name, program in cluster.programs.items()} == pids


def without_plan(cluster):
    """Start a cluster, lose its plan, and return the incarnations of its programs."""
    lock_and_start(cluster.starting())
    cluster.store.layout.plan.unlink()
    cluster.clock.sleep(60.0)
    cluster.did.clear()
    return incarnations(cluster)


def incarnations(cluster):
    return {name: (each.pid, each.started_s) for name, each in cluster.programs.items() if name != DAEMON}


def test_what_runs_without_a_plan_is_taken_over_where_the_configuration_is_the_same(cluster):
    before = without_plan(cluster)

    result = lock_and_start(cluster.starting())

    assert incarnations(cluster) == before
    assert [name for verb, name in cluster.did if verb == "SIGTERM"] == [DAEMON]
    assert cluster.store.plan() == cluster.plan
    assert (result.started, len(result.notes), result.notes[0].split()[0]) == ((), 1, "plan.json")


def test_a_start_without_a_plan_completes_what_is_missing(cluster):
    without_plan(cluster)
    cluster.programs["producer"].pid = None

    assert lock_and_start(cluster.starting()).started == ("producer",)


@pytest.mark.parametrize("difference", ["file", "program", "journal", "jars"])
def test_what_runs_without_a_plan_is_restarted_where_it_may_be_another(cluster, difference):
    before = without_plan(cluster)
    layout, start = cluster.plan.layout, cluster.starting()
    match difference:
        case "file":
            (layout.config("broker-1") / "server.properties").write_text("num.io.threads=3\n")
        case "program":
            cluster.programs["consumer-2"] = FakeProgram()
        case "journal":
            write_journal(layout, Journal("apply", Process(1, 0.0, 0.0), 0.0))
        case "jars":

            def locate(plan, command_context):
                raise RuntimeMissingError("cannot run Kafka 3.9.2: 1 jar is not in the cache")

            start = replace(start, doors=replace(start.doors, locate=locate))

    result = lock_and_start(start)

    assert all(incarnations(cluster)[name] != each for name, each in before.items() if name != "consumer-2")
    assert any("restarted the cluster" in note for note in result.notes)


def test_a_second_start_changes_nothing(cluster):
    lock_and_start(cluster.starting())
    cluster.did.clear()

    result = lock_and_start(cluster.starting())

    assert result.started == ()
    assert cluster.of("start") == []


@pytest.mark.parametrize("is_running", [False, True])
def test_a_start_whose_event_does_not_fit_the_disk_is_done_all_the_same(cluster, is_running):
    if is_running:
        lock_and_start(cluster.starting())
        cluster.programs["producer"].pid = None
    events = cluster.plan.layout.events / "commands.jsonl"
    events.parent.mkdir(parents=True, exist_ok=True)
    events.unlink(missing_ok=True)
    events.symlink_to("/dev/full")

    result = lock_and_start(cluster.starting())

    assert "producer" in result.started


def test_a_start_completes_what_is_missing(cluster):
    lock_and_start(cluster.starting())
    cluster.programs["broker-2"].pid = None
    cluster.did.clear()

    result = lock_and_start(cluster.starting())

    assert (result.started, result.formatted) == (("broker-2",), ())
    assert cluster.of("start") == ["broker-2"]


@pytest.mark.parametrize(
    "damage", [lambda path: path.write_bytes(b"\xff"), lambda path: path.write_bytes(b""), Path.unlink]
)
@pytest.mark.parametrize(("name", "file"), [("broker-2", "server.properties"), ("producer", ".env")])
def test_a_start_writes_a_damaged_file_again_of_what_does_not_run(cluster, name, file, damage):
    lock_and_start(cluster.starting())
    damaged, of_another = cluster.plan.layout.config(name) / file, cluster.plan.layout.config("consumer") / ".env"
    rendered = damaged.read_text()
    cluster.programs[name].pid = None
    damage(damaged)
    of_another.write_text("")

    result = lock_and_start(cluster.starting(name))

    assert result.started == (name,)
    assert damaged.read_text() == rendered
    assert of_another.read_text() == ""


@pytest.mark.parametrize("file", ["supervisord.conf", "config/broker-1/server.properties", "config/consumer/.env"])
def test_a_damaged_file_of_what_runs_is_not_told_as_a_changed_configuration(cluster, file):
    lock_and_start(cluster.starting())
    path = cluster.plan.layout.state_dir / file
    path.write_text(path.read_text()[:-1])

    result = lock_and_start(cluster.starting())

    assert result.notes == (f"{path} is truncated: 'kraftd apply' writes it again",)


def test_an_edited_file_of_what_runs_is_not_told_as_a_changed_configuration(cluster):
    lock_and_start(cluster.starting())
    path = cluster.plan.layout.config("broker-1") / "server.properties"
    path.write_text(f"{path.read_text()}num.io.threads=3\n")

    (note,) = lock_and_start(cluster.starting()).notes

    assert note.startswith("not as this kraftd renders the plan")
    assert f": {path};" in note
    assert "'kraftd apply --dry-run'" in note


def test_a_start_that_fails_says_that_the_configuration_has_changed_since(cluster):
    lock_and_start(cluster.starting())
    cluster.programs["broker-2"] = FakeProgram(fails=True)
    start = cluster.starting("broker-2")
    changed = plan_of("[broker.config]\n'log.cleaner.threads' = 1", state_dir=cluster.plan.layout.state_dir)

    with pytest.raises(StartFailedError) as caught:
        lock_and_start(replace(start, configured=replace(start.configured, plan=changed)))

    assert "'kraftd apply'" in caught.value.hint


def test_a_start_with_another_version_names_the_setting_as_an_upgrade_may_be_barred(cluster):
    lock_and_start(cluster.starting())
    start = cluster.starting()
    older = replace(start.configured.plan, kafka_version="3.9.1")

    result = lock_and_start(replace(start, configured=replace(start.configured, plan=older)))

    (note,) = result.notes
    assert "set cluster.kafka_version to 3.9.2" in note
    assert "'kraftd upgrade --to 3.9.1'" in note


def test_a_start_forgets_what_was_set_before_one_that_did_not_come_to_its_end(cluster):
    cluster.settings = {"log.retention.ms": BrokerSetting("5", is_dynamic=True)}
    lock_and_start(cluster.starting())
    for broker in ("broker-1", "broker-2"):
        remember_overrides(cluster.context, broker, ["log.retention.ms"])
    stop_with_lock_held(cluster.context, StopOptions())
    cluster.programs["producer"].fails = True
    with pytest.raises(StartFailedError):
        lock_and_start(cluster.starting())
    assert cluster.altered == []
    cluster.programs["producer"].fails = False

    lock_and_start(cluster.starting())

    assert cluster.altered == [(1, {"log.retention.ms": None}), (2, {"log.retention.ms": None})]
    assert overrides_of(cluster.plan.layout) == {}


def test_a_start_keeps_what_was_set_while_the_same_broker_runs(cluster):
    lock_and_start(cluster.starting())
    remember_overrides(cluster.context, "broker-1", ["log.retention.ms"])
    cluster.programs["producer"].pid = None

    lock_and_start(cluster.starting())

    assert cluster.altered == []
    assert "broker-1" in overrides_of(cluster.plan.layout)


def test_a_daemon_that_sees_it_late_is_waited_for_briefly_only(cluster):
    cluster.daemon_sees_ready = False

    assert lock_and_start(cluster.starting()).took_s < 6


def test_leftovers_of_an_earlier_run_are_ended_before_anything_starts(cluster):
    lock_and_start(cluster.starting())
    cluster.supervisor_pid = None
    cluster.did.clear()

    result = lock_and_start(cluster.starting())

    launch = cluster.did.index(("launch", ""))
    assert {name for verb, name in cluster.did[:launch] if verb == "SIGTERM"} == set(cluster.plan.names)
    assert any("earlier run" in note for note in result.notes)


def test_a_start_by_name_brings_back_whatever_it_had_to_end(cluster):
    lock_and_start(cluster.starting())
    cluster.supervisor_pid = cluster.programs["consumer"].pid = None
    cluster.did.clear()

    lock_and_start(cluster.starting("producer"))

    assert set(cluster.of("start")) == {*cluster.plan.names} - {"consumer"}


def test_a_supervisord_that_answers_again_in_time_keeps_its_programs(cluster):
    lock_and_start(cluster.starting())
    cluster.programs["producer"].pid = None
    cluster.unreachable, cluster.answers_again_s = "its control socket is gone", cluster.clock.monotonic_s() + 1.0
    cluster.did.clear()

    result = lock_and_start(cluster.starting())

    assert result.started == ("producer",)
    assert not {verb for verb, _ in cluster.did} & {"SIGTERM", "launch"}


def test_a_supervisord_that_does_not_answer_is_replaced_in_the_order_of_a_stop(cluster):
    lock_and_start(cluster.starting())
    cluster.unreachable = "its control socket is gone"
    cluster.did.clear()

    lock_and_start(cluster.starting())

    launch = cluster.did.index(("launch", ""))
    ended = [name for verb, name in cluster.did[:launch] if verb == "SIGTERM"]
    assert ended.index("producer") < ended.index("broker-1") < ended.index("controller-101") < len(ended) - 1
    assert ended[-1] == "supervisord"


def all_brokers_end(cluster):
    for broker in cluster.plan.brokers:
        cluster.programs[broker.name].pid = None


@pytest.mark.parametrize("is_restarted", [False, True])
def test_brokers_that_ran_out_of_open_files_get_more_by_a_new_supervisord(cluster, is_restarted):
    lock_and_start(cluster.starting())
    all_brokers_end(cluster)
    if is_restarted:
        # By the daemon; it will end again.
        cluster.spawn("broker-2")
    cluster.raised_open_files[cluster.supervisor_pid] = 1024
    cluster.did.clear()

    result = lock_and_start(cluster.starting())

    assert cluster.did.index(("shutdown", "")) < cluster.did.index(("launch", ""))
    assert (result.started, result.formatted) == (tuple(cluster.plan.names), ())
    assert not any("open files" in note for note in result.notes)


@pytest.mark.parametrize(
    ("raised", "possible", "names"),
    [(1024, 1024, ()), (20_000, 100_000, ()), (None, 100_000, ()), (1024, 100_000, ("broker-1", "broker-2"))],
    ids=["no more to be had", "enough", "unknown", "named programs"],
)
def test_a_supervisord_is_kept_where_a_new_one_does_not_help_all(cluster, raised, possible, names):
    lock_and_start(cluster.starting())
    all_brokers_end(cluster)
    cluster.open_files_limit = possible
    cluster.raised_open_files[cluster.supervisor_pid] = raised
    cluster.did.clear()

    result = lock_and_start(cluster.starting(*names))

    assert result.started == ("broker-1", "broker-2")
    assert cluster.of("launch", "shutdown") == []


def test_few_open_files_are_a_note_with_what_gives_more(cluster):
    cluster.open_files_limit = 1024
    first = lock_and_start(cluster.starting())
    cluster.open_files_limit = 20_000
    cluster.raised_open_files[cluster.supervisor_pid] = 1024
    second = lock_and_start(cluster.starting())
    cluster.raised_open_files.clear()
    third = lock_and_start(cluster.starting())

    cluster.raised_open_files[cluster.supervisor_pid] = 1024
    cluster.programs["broker-2"] = FakeProgram(fails=True)
    with pytest.raises(StartFailedError) as caught:
        lock_and_start(cluster.starting())

    (at_first,), (later,) = first.notes, second.notes
    assert ("1024" in at_first, "ulimit -Hn" in at_first) == (True, True)
    assert ("1024" in later, "'kraftd restart' gives them 20000" in later) == (True, True)
    assert third.notes == ()
    assert later in caught.value.hint


TOKEN = '[producer]\nenv = { APP_API_TOKEN = "s3cret" }\n[prometheus]\nenabled = true\n'


@pytest.mark.parametrize(
    ("toml", "kept"),
    [
        (TOKEN, ["config/consumer/.env", "config/producer/.env", "config/producer/producer.token"]),
        ("[prometheus]\nenabled = true\n", ["config/consumer/.env", "config/producer/.env"]),
        ("", ["config/consumer/.env", "config/producer/.env"]),
        ("[consumer]\nenabled = false\n[producer]\nenabled = false\n", []),
    ],
    ids=["the same", "without a token", "without prometheus", "without apps"],
)
def test_a_file_with_a_secret_goes_with_what_it_was_rendered_for(tmp_path, toml, kept):
    before = FakeCluster(tmp_path, TOKEN)
    lock_and_start(before.starting())
    own = before.plan.layout.config("producer") / "mine.txt"
    own.touch()

    after = FakeCluster(tmp_path, toml)
    lock_and_start(after.starting())

    state_dir = after.plan.layout.state_dir
    found = [path for pattern in (".env", "*.token") for path in state_dir.rglob(pattern)]
    assert sorted(str(path.relative_to(state_dir)) for path in found) == kept
    assert own.exists()


@dataclass
class Refusal:
    names: tuple[str, ...]
    error: type[Exception]
    ports: dict[int, PortHolder]


@pytest.mark.parametrize(
    "case",
    [
        Refusal(("zookeeper",), UnknownNameError, {}),
        Refusal(("broker-1",), NeedsRunningClusterError, {}),
        Refusal((), PortInUseError, {9093: PortHolder(7, "nc -l 9093")}),
    ],
    ids=lambda case: case.error.__name__,
)
def test_a_refused_start_writes_nothing(cluster, case):
    cluster.taken_ports = case.ports

    with pytest.raises(case.error):
        lock_and_start(cluster.starting(*case.names))

    assert cluster.did == []
    assert not cluster.plan.layout.state_dir.exists()


def test_a_loopback_interface_that_is_down_is_refused_before_anything_is_written(cluster):
    cluster.loopback_fault = "network is unreachable"

    with pytest.raises(KraftdError) as caught:
        lock_and_start(cluster.starting())

    assert (caught.value.code, cluster.did) == ("loopback_down", [])
    assert not cluster.plan.layout.plan.exists()


def test_a_disk_that_is_nearly_full_is_refused_before_anything_is_written(cluster):
    cluster.disks = (DiskSpace("/srv", 1024, 1024**4),)

    with pytest.raises(RefusedError) as caught:
        lock_and_start(cluster.starting())

    assert (caught.value.code, cluster.did) == ("disk_nearly_full", [])
    assert not cluster.plan.layout.plan.exists()


@pytest.mark.parametrize(("changed", "times"), [("", 1), ("[cluster]\nheap = '2g'", 2)], ids=["same", "changed"])
def test_a_start_of_a_part_locates_java_and_the_jars_once_for_a_plan(cluster, changed, times):
    lock_and_start(cluster.starting())
    cluster.programs["consumer"].pid = None
    start, located = cluster.starting("consumer"), []

    def locate(plan, command_context):
        located.append(plan)
        return start.doors.prepare_runtime(plan, command_context)

    plan = plan_of(changed, state_dir=cluster.tmp_path / "s", manifest=cluster.store.manifest())
    configured = replace(start.configured, plan=plan, manifest=cluster.store.manifest())
    result = lock_and_start(replace(start, configured=configured, doors=replace(start.doors, locate=locate)))

    assert (len(located), result.started) == (times, ("consumer",))
    assert any("kraftd apply" in note for note in result.notes) == bool(changed)


@pytest.mark.parametrize(
    ("changed", "begins"),
    [("", "the files of the cluster cannot be looked at: "), ("[cluster]\nheap = '2g'", "the configuration changed")],
    ids=["same", "changed"],
)
def test_missing_jars_are_no_change_of_the_configuration(cluster, changed, begins):
    lock_and_start(cluster.starting())
    cluster.programs["consumer"].pid = None
    start = cluster.starting("consumer")

    def locate(plan, command_context):
        raise RuntimeMissingError("cannot run Kafka 3.9.2: 1 jar is not in the cache")

    plan = plan_of(changed, state_dir=cluster.tmp_path / "s", manifest=cluster.store.manifest())
    configured = replace(start.configured, plan=plan, manifest=cluster.store.manifest())
    result = lock_and_start(replace(start, configured=configured, doors=replace(start.doors, locate=locate)))

    (note,) = [each for each in result.notes if "1 jar is not in the cache" in each]
    assert note.startswith(begins)
