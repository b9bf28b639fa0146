"""A changed configuration and a cluster that runs, without a process: what is written, started and restarted."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kraftd.errors import KraftdError, NeedsRunningClusterError, RefusedError, TimedOutError
from kraftd.host.processes import Process
from kraftd.kafka.administration.settings import BrokerSetting
from kraftd.kafka.model import Failure
from kraftd.operate.apply.apply import ApplyOptions, applied
from kraftd.operate.apply.join import following_configuration, start_beside
from kraftd.operate.apply.overrides import overrides_of
from kraftd.operate.configuring import Configured
from kraftd.operate.rolling.journal import read_journal
from kraftd.operate.selection import ChosenCluster
from kraftd.operate.start.sequence import Deadline
from kraftd.operate.start.start import Start, StartOptions, lock_and_start
from kraftd.plan.loading import configure
from kraftd.plan.program import DAEMON
from tests.plans import plan_of
from tests.unit.operate.fake_cluster import FakeCluster, FakeProgram

RETENTION = '[broker.config]\n"log.retention.ms" = 5'
ALONE = "[cluster]\nbrokers = 1\n"
TAKEN = {"log.retention.ms": BrokerSetting("-1", is_dynamic=True)}


@pytest.fixture
def cluster(tmp_path):
    made = FakeCluster(tmp_path, settings=dict(TAKEN))
    lock_and_start(made.starting())
    made.clock.advance(60.0)
    made.did.clear()
    return made


def start_of(cluster, toml, timeout_s=60.0):
    """Return a start of a changed configuration."""
    manifest = cluster.store.manifest()
    chosen = ChosenCluster(configure([]), "kraftd.toml", cluster.plan.layout)
    plan = plan_of(toml, state_dir=cluster.tmp_path / "s", manifest=manifest)
    deadline = Deadline.from_now(cluster.store, cluster.clock, timeout_s)
    options = StartOptions(timeout_s=timeout_s, command="apply")
    configured = Configured(chosen, plan, manifest, {})
    return Start(configured, cluster.context.following(plan), options, deadline, cluster.start_doors())


def apply(cluster, toml="", **options):
    return applied(start_of(cluster, toml, options.get("timeout_s", 60.0)), ApplyOptions(**options))


def properties(cluster, node="broker-1"):
    return (cluster.plan.layout.config(node) / "server.properties").read_text().splitlines()


def test_nothing_that_changed_means_nothing_to_do(cluster):
    result = apply(cluster)

    assert (result.is_changed, result.changes, result.restarted) == (False, (), ())
    assert cluster.did == []


DAMAGES = [
    lambda path: path.write_text(path.read_text()[: path.stat().st_size // 2]),
    lambda path: path.write_text(""),
    Path.unlink,
]
DAMAGES += [lambda path: path.write_bytes(b"\xff\0\n" * 9), lambda path: path.write_text("nonsense\n")]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", ["supervisord.conf", "config/broker-1/server.properties", "config/producer/.env"])
def test_a_damaged_file_is_no_changed_configuration_and_is_written_again(cluster, file, damage):
    path = cluster.plan.layout.state_dir / file
    rendered = path.read_text()
    damage(path)

    shown = apply(cluster, dry_run=True)
    result = apply(cluster)

    assert [(each.is_changed, each.changes) for each in (shown, result)] == [(True, ()), (True, ())]
    assert all(str(path) in each.notes[0] for each in (shown, result))
    assert cluster.did == []
    assert path.read_text() == rendered
    assert not apply(cluster).is_changed


def test_a_damaged_file_beside_a_changed_configuration_restarts_only_what_changed(cluster):
    cluster.plan.layout.supervisord_conf.write_text("")

    result = apply(cluster, "[consumer]\ninstances = 2")

    assert [each.name for each in result.changes] == ["consumer-2", DAEMON]
    assert cluster.of("SIGTERM") == [DAEMON]
    assert "consumer-2" in cluster.plan.layout.supervisord_conf.read_text()


def test_a_third_broker_joins_and_only_the_daemon_is_restarted(cluster):
    result = apply(cluster, "[cluster]\nbrokers = 3")

    assert cluster.of("SIGTERM") == [DAEMON]
    assert [name for name in cluster.of("start") if name != DAEMON] == ["broker-3"]
    assert (cluster.plan.layout.data("broker-3") / "meta.properties").exists()
    assert cluster.store.desired().wants("broker-3")
    assert "broker-3" in cluster.store.plan().names
    assert result.restarted == ()
    assert not apply(cluster, "[cluster]\nbrokers = 3").is_changed


def test_an_apply_that_waited_goes_on_from_what_came_meanwhile(cluster):
    configured = "[consumer]\ninstances = 2"
    start = start_of(cluster, configured)
    waiting = cluster.waiting_for(lambda: apply(cluster, configured)).following(start.cluster.plan)

    result = applied(replace(start, cluster=waiting), ApplyOptions())

    assert (result.is_changed, cluster.of("start").count("consumer-2")) == (False, 1)


def test_a_daemon_that_had_just_been_started_is_waited_for(cluster):
    cluster.programs[DAEMON].backs_off = 3

    apply(cluster, "[cluster]\nbrokers = 3")

    assert cluster.programs[DAEMON].pid is not None
    assert cluster.of("start").count(DAEMON) >= 4


def test_programs_are_started_beside_the_others_by_a_call_of_their_own(cluster):
    start = following_configuration(start_of(cluster, "[consumer]\ninstances = 2"), cluster.plan)

    assert start_beside(start) == []

    assert cluster.of("SIGTERM") == [DAEMON]
    assert [name for name in cluster.of("start") if name != DAEMON] == ["consumer-2"]


def test_a_setting_that_brokers_take_while_they_run_ends_none(cluster):
    apply(cluster, RETENTION)

    assert cluster.altered == [(1, {"log.retention.ms": "5"}), (2, {"log.retention.ms": "5"})]
    assert cluster.of("SIGTERM") == [DAEMON]
    assert "log.retention.ms=5" in properties(cluster)
    processes = cluster.process_table().processes
    assert overrides_of(cluster.plan.layout) == {
        name: {"log.retention.ms": Process(processes[name].pid, processes[name].incarnation, 0.0)}
        for name in ("broker-1", "broker-2")
    }


def test_a_setting_that_was_changed_is_forgotten_after_the_next_start(cluster):
    apply(cluster, RETENTION)
    cluster.altered.clear()

    apply(cluster, "")

    assert cluster.of("SIGTERM") == [DAEMON, DAEMON, "broker-2", "broker-1"]
    assert cluster.altered == [(1, {"log.retention.ms": None}), (2, {"log.retention.ms": None})]
    assert overrides_of(cluster.plan.layout) == {}


def interrupted_after(cluster, name):
    """Let a command be interrupted by the user once a program was restarted."""

    def quorum():
        if name in cluster.of("start"):
            raise KeyboardInterrupt
        return FakeCluster.quorum(cluster)

    cluster.quorum = quorum


def test_what_an_interrupted_apply_had_restarted_forgets_too_what_was_set(cluster):
    apply(cluster, RETENTION)
    cluster.altered.clear()
    interrupted_after(cluster, "broker-2")
    changed = '[cluster]\nheap = "512m"\n[broker.config]\n"log.retention.ms" = 7'
    with pytest.raises(KeyboardInterrupt):
        apply(cluster, changed)
    assert cluster.of("SIGTERM")[-1] == "broker-2"
    del cluster.quorum

    apply(cluster, changed)

    assert cluster.altered == [(1, {"log.retention.ms": None}), (2, {"log.retention.ms": None})]
    assert overrides_of(cluster.plan.layout) == {}


def test_an_apply_that_kafka_refused_to_forget_is_finished_by_the_next(cluster):
    apply(cluster, RETENTION)
    cluster.altered.clear()
    cluster.alter_broker = lambda node_id, values, **options: Failure("INVALID_REQUEST", "not now", retriable=False)
    with pytest.raises(KraftdError) as caught:
        apply(cluster)
    assert caught.value.code == "override_kept"
    del cluster.alter_broker

    assert apply(cluster).restarted == ()

    assert cluster.altered == [(1, {"log.retention.ms": None}), (2, {"log.retention.ms": None})]
    assert overrides_of(cluster.plan.layout) == {}


def test_a_record_of_an_earlier_kraftd_is_forgotten_only_by_what_is_restarted(cluster):
    record = {"broker-1": ["log.retention.ms"], "broker-2": ["log.retention.ms"]}
    cluster.plan.layout.overrides.write_text(json.dumps(record))

    apply(cluster, "[consumer]\ninstances = 2")
    assert cluster.altered == []
    assert overrides_of(cluster.plan.layout) == {name: {"log.retention.ms": None} for name in record}

    apply(cluster, '[consumer]\ninstances = 2\n[cluster]\nheap = "512m"')
    assert cluster.altered == [(1, {"log.retention.ms": None}), (2, {"log.retention.ms": None})]


@pytest.mark.parametrize("how", ["read-only", "refused", "not taken"])
def test_a_broker_that_does_not_take_a_setting_is_restarted(cluster, how):
    if how == "read-only":
        cluster.settings = {"log.retention.ms": BrokerSetting("-1", is_dynamic=False)}
    elif how == "refused":
        cluster.refusal = Failure("INVALID_CONFIG", "it is too much", retriable=False)
    else:
        cluster.alter_broker = lambda node_id, values, **options: None

    result = apply(cluster, RETENTION)

    assert cluster.of("SIGTERM") == [DAEMON, "broker-2", "broker-1"]
    assert [each.name for each in result.restarted] == ["broker-2", "broker-1"]
    assert "log.retention.ms=5" in properties(cluster)


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_only_broker_is_not_restarted_for_a_setting_that_it_refuses(tmp_path, dry_run):
    alone = FakeCluster(tmp_path, toml=ALONE, settings=dict(TAKEN))
    lock_and_start(alone.starting())
    alone.did.clear()
    alone.refusal = Failure("INVALID_REQUEST", "it is too much at once", retriable=False)

    with pytest.raises(RefusedError) as caught:
        apply(alone, ALONE + RETENTION, dry_run=dry_run)
    assert (caught.value.code, alone.did) == ("only_broker", [])


@pytest.mark.parametrize("toml", [RETENTION, '[cluster]\nheap = "512m"\n' + RETENTION])
def test_a_value_that_kafka_never_takes_is_refused_before_anything_changes(cluster, toml):
    text = "Invalid value 5 for configuration log.retention.ms: Not a number of type LONG"
    cluster.refusal = Failure("INVALID_REQUEST", text, retriable=False)

    with pytest.raises(RefusedError, match="Not a number") as caught:
        apply(cluster, toml)
    assert (caught.value.code, cluster.did) == ("invalid_setting", [])
    assert "log.retention.ms=5" not in properties(cluster)
    assert overrides_of(cluster.plan.layout) == {}


def test_a_value_that_kafka_shows_in_its_own_form_is_taken(cluster):
    cluster.settings = {"log.cleaner.io.max.bytes.per.second": BrokerSetting("1.048576E7", is_dynamic=True)}
    cluster.alter_broker = lambda node_id, values, **options: None

    result = apply(cluster, '[broker.config]\n"log.cleaner.io.max.bytes.per.second" = 10485760')

    assert (result.restarted, cluster.of("SIGTERM")) == ((), [DAEMON])


def test_a_larger_heap_is_a_rolling_restart(cluster):
    result = apply(cluster, '[cluster]\nheap = "512m"')

    assert [each.name for each in result.restarted] == ["broker-2", "broker-1"]
    assert read_journal(cluster.plan.layout) is None


def test_a_consumer_that_is_gone_is_stopped_and_comes_back_when_asked_for(cluster):
    apply(cluster, "[consumer]\ninstances = 2")
    cluster.did.clear()
    apply(cluster)
    stopped, plan = cluster.of("SIGTERM"), cluster.store.plan()
    apply(cluster, "[consumer]\ninstances = 2")

    assert stopped == ["consumer-2", DAEMON]
    assert "consumer-2" not in plan.names
    assert cluster.programs["consumer-2"].pid is not None


def test_a_dry_run_changes_nothing(cluster):
    before = properties(cluster)

    result = apply(cluster, '[cluster]\nheap = "512m"\nbrokers = 3', dry_run=True)

    assert (result.is_changed, result.dry_run) == (True, True)
    assert {each.name: each.action for each in result.changes}["broker-3"] == "start"
    assert (cluster.did, properties(cluster)) == ([], before)


@pytest.mark.parametrize(
    ("toml", "word"), [("[cluster]\nbrokers = 1", "broker-2"), ("[cluster]\nport_offset = 100", "ports")]
)
def test_what_loses_data_or_moves_voters_is_refused_before_anything_is_written(cluster, toml, word):
    with pytest.raises(RefusedError, match=word) as caught:
        apply(cluster, toml)

    assert (caught.value.exit_code, "kraftd scale" in caught.value.hint) == (8, True)
    assert cluster.did == []
    assert cluster.store.plan() == cluster.plan


@pytest.mark.parametrize(
    ("toml", "word"),
    [("[cluster]\nport_offset = 100", "Its ports are 100 lower"), ("[cluster]\nbrokers = 1", "Set cluster.brokers")],
)
def test_a_start_and_an_apply_name_the_way_back_where_neither_can_help(cluster, toml, word):
    with pytest.raises(RefusedError) as caught:
        apply(cluster, toml)

    (note,) = lock_and_start(start_of(cluster, toml)).notes

    assert word in note
    assert word in caught.value.hint
    assert "kraftd apply" not in note
    assert "kraftd restart" not in caught.value.hint


def test_the_next_call_does_what_one_had_left(cluster):
    toml = '[cluster]\nheap = "512m"'
    cluster.isr = (1,)
    with pytest.raises(TimedOutError):
        apply(cluster, toml, timeout_s=30.0)
    cluster.isr = (1, 2)
    noted = lock_and_start(start_of(cluster, toml)).notes
    cluster.did.clear()

    result = apply(cluster, toml)

    assert any("'kraftd apply' did not come to its end" in note for note in noted)

    assert (result.changes, result.pending) == ((), ("broker-1", "broker-2"))
    assert cluster.of("SIGTERM") == [DAEMON, "broker-2", "broker-1"]
    assert not apply(cluster, toml).is_changed


def test_a_new_broker_that_ends_is_named_and_the_next_call_starts_it(cluster):
    toml = "[cluster]\nbrokers = 3"
    cluster.programs["broker-3"] = FakeProgram(ready_after_s=None)
    with pytest.raises(TimedOutError, match="broker-3"):
        apply(cluster, toml, timeout_s=20.0)
    cluster.programs["broker-3"] = FakeProgram()

    apply(cluster, toml)

    assert cluster.programs["broker-3"].pid is not None


def test_a_cluster_that_does_not_run_is_not_changed(tmp_path):
    cluster = FakeCluster(tmp_path)

    with pytest.raises(NeedsRunningClusterError) as caught:
        apply(cluster)

    assert (caught.value.exit_code, cluster.did) == (7, [])


def test_a_user_who_stopped_a_program_finds_it_stopped(cluster):
    cluster.programs["consumer"].pid = None
    stopped = cluster.store.desired().programs["consumer"]
    cluster.store.set_desired(["consumer"], type(stopped)(running=False, since="", by="stop", why=""))

    apply(cluster, "[cluster]\nbrokers = 3")

    assert cluster.programs["consumer"].pid is None


def test_a_start_from_nothing_forgets_what_was_set_while_brokers_ran(cluster):
    apply(cluster, RETENTION)
    cluster.altered.clear()
    cluster.supervisor_pid = None

    lock_and_start(start_of(cluster, RETENTION))

    assert cluster.altered == [(1, {"log.retention.ms": None}), (2, {"log.retention.ms": None})]
    assert overrides_of(cluster.plan.layout) == {}


def test_a_setting_of_all_brokers_is_set_also_where_they_are_restarted(cluster):
    cluster.settings = {
        "min.insync.replicas": BrokerSetting("1", is_dynamic=True, is_of_all_brokers=True),
        "num.partitions": BrokerSetting("4", is_dynamic=False),
    }

    result = apply(cluster, '[broker.config]\n"min.insync.replicas" = 2\n"num.partitions" = 8')

    assert [each.name for each in result.restarted] == ["broker-2", "controller-101", "broker-1"]
    assert cluster.altered == [(1, {"min.insync.replicas": "2"}), (2, {"min.insync.replicas": "2"})]
    assert overrides_of(cluster.plan.layout) == {}
