"""An upgrade of a cluster without processes: what is restarted, recorded and refused."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from kraftd.errors import ConfigurationError, NeedsRunningClusterError, RefusedError, UnknownNameError
from kraftd.host.files import write_atomically
from kraftd.host.processes import Process
from kraftd.kafka.administration.settings import BrokerSetting
from kraftd.kafka.model import Failure
from kraftd.kafka.quorum import Features
from kraftd.operate.rolling.journal import Journal, read_journal, write_journal
from kraftd.operate.scale.journal import Goal
from kraftd.operate.scale.journal import Journal as ScaleJournal
from kraftd.operate.selection import ChosenCluster
from kraftd.operate.start.sequence import StartFailedError
from kraftd.operate.start.start import lock_and_start
from kraftd.operate.upgrade.finalize import Finalize, Level
from kraftd.operate.upgrade.upgrade import Upgrade, UpgradeDoors, UpgradeOptions
from kraftd.plan.kinds import Node
from kraftd.plan.loading import configure, parse_toml
from kraftd.plan.planning import build_plan
from tests.unit.operate.fake_cluster import FakeCluster

ORDER = ("broker-2", "controller-101", "broker-1")
OF_3_9 = {"metadata.version": 21}
OF_4_3 = {"metadata.version": 30, "group.version": 1, "kraft.version": 1}


@dataclass
class UpgradingCluster(FakeCluster):
    """A cluster whose nodes run the version that the plan had when they were started.

    Attributes:
        versions: By node, what it runs.
        finalized: The levels of the cluster.
        own: The own settings of topics.
        refused: Why Kafka does not finalize.
        fetched: The versions that were fetched, with how many programs had been signalled before.
        while_fetching: What others do meanwhile.
    """

    configured: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    finalized: dict[str, int] = field(default_factory=lambda: dict(OF_3_9))
    own: dict[str, dict[str, str]] = field(default_factory=dict)
    refused: Failure | None = None
    validated: list[bool] = field(default_factory=list)
    fetched: list[tuple[str, int]] = field(default_factory=list)
    while_fetching: Callable[[], object] = lambda: None

    def __post_init__(self):
        super().__post_init__()
        # As a command plans it: without tools that this machine may have.
        settings = configure([parse_toml(self.configured, "kraftd.toml")]).settings
        self.plan = build_plan(settings, self.plan.layout, "3.9.2", None, {})
        self.programs = {name: self.programs[name] for name in self.plan.names}
        self.context = replace(self.context, plan=self.plan)

    def spawn(self, name):
        super().spawn(name)
        if isinstance(self.plan.program(name), Node):
            self.versions[name] = self.plan.kafka_version

    def process(self, name, pid):
        found = super().process(name, pid)
        jars = ("-cp", f"/jars/a.jar:/jars/kafka_2.13-{self.versions[name]}.jar") if name in self.versions else ()
        return replace(found, command=(*found.command, *jars))

    def features(self, node_id):
        is_new = self.versions[f"broker-{node_id}"].startswith("4.")
        return Features(OF_4_3 if is_new else OF_3_9, dict(self.finalized))

    def finalize_features(self, node_id, levels, *, validate_only):
        self.validated.append(validate_only)
        if self.refused is None and not validate_only:
            self.finalized |= levels
        return self.refused

    def own_settings(self, names):
        return self.own

    @property
    def running_context(self):
        return replace(self.context, plan=self.store.plan())

    def chosen(self, toml=None):
        text = self.configured if toml is None else toml
        layers = [parse_toml(text, "kraftd.toml")] if text else []
        return ChosenCluster(configure(layers), "kraftd.toml", self.plan.layout)

    def upgrade(self, to, toml=None, **options):
        doors = UpgradeDoors(
            open_kafka=self.context.doors.open_kafka,
            set_up=lambda plan, command_context: (),
            start=replace(self.start_doors(), prepare_runtime=self.prepare),
        )
        return Upgrade(self.chosen(toml), self.running_context, UpgradeOptions(to, **options), doors)

    def prepare(self, plan, command_context):
        self.fetched.append((plan.kafka_version, len(self.of("SIGTERM"))))
        self.while_fetching()
        return self.start_doors().prepare_runtime(plan, command_context)

    def finalize(self, toml=None):
        doors = UpgradeDoors(open_kafka=self.context.doors.open_kafka, start=self.start_doors())
        return Finalize(self.chosen(toml), self.running_context, 60.0, doors)

    def manifest(self):
        found = self.store.manifest()
        return found.kafka_version, found.upgraded_from


def started(made):
    lock_and_start(made.starting())
    made.clock.advance(60.0)
    made.did.clear()
    return made


@pytest.fixture
def cluster(tmp_path):
    return started(UpgradingCluster(tmp_path))


def test_every_node_is_restarted_with_the_version_the_active_controller_last(cluster):
    result = cluster.upgrade("4.3").run()

    assert tuple(each.name for each in result.restarted) == ORDER
    assert cluster.of("SIGTERM") == ["kraftd", *ORDER]
    assert set(cluster.versions.values()) == {"4.3.1"}
    assert (result.before, result.after, result.can_finalize) == ("3.9.2", "4.3.1", True)
    assert cluster.store.plan().kafka_version == "4.3.1"
    assert cluster.manifest() == ("4.3.1", ("3.9.2",))
    assert read_journal(cluster.plan.layout) is None


def test_the_version_is_fetched_before_anything_is_touched(cluster):
    cluster.upgrade("4.3").run()

    assert cluster.fetched[0] == ("4.3.1", 0)


def test_a_plan_changes_nothing(cluster):
    planned = cluster.upgrade("4.3").plan()

    assert (planned.before, planned.after, planned.order, planned.is_back) == ("3.9.2", "4.3.1", ORDER, False)
    assert planned.changes
    assert (cluster.did, cluster.fetched, cluster.manifest()) == ([], [], ("3.9.2", ()))


def test_the_version_that_runs_is_no_work(cluster):
    result = cluster.upgrade("3.9").run()

    assert (result.is_changed, result.restarted, cluster.did) == (False, (), [])


def test_a_call_that_was_killed_halfway_is_finished_by_the_next(cluster):
    killed_after_one(cluster)

    result = cluster.upgrade("4.3").run()

    assert cluster.of("SIGTERM") == ["kraftd", *ORDER[1:]]
    assert (result.before, result.done_before) == ("3.9.2", ("broker-2",))
    assert set(cluster.versions.values()) == {"4.3.1"}


def test_the_way_back_from_halfway_restarts_only_what_had_come_over(cluster):
    killed_after_one(cluster)

    result = cluster.upgrade("3.9").run()

    assert cluster.of("SIGTERM") == ["kraftd", "broker-2"]
    assert (result.before, result.after) == ("4.3.1", "3.9.2")
    assert set(cluster.versions.values()) == {"3.9.2"}
    assert cluster.manifest() == ("3.9.2", ())


def test_a_node_that_a_killed_call_had_ended_comes_back_with_the_version(cluster):
    killed_after_one(cluster)
    cluster.programs["controller-101"].pid = None

    cluster.upgrade("3.9").run()

    assert cluster.of("start")[:2] == ["kraftd", "controller-101"]
    assert set(cluster.versions.values()) == {"3.9.2"}


def test_an_app_that_an_interrupted_apply_was_to_restart_is_restarted_too(cluster):
    replaced = {"producer": cluster.process_table().processes["producer"]}
    write_journal(cluster.plan.layout, Journal("apply", Process(4, 4.0, 0.0), 0.0, replaced))

    cluster.upgrade("4.3").run()

    assert cluster.of("SIGTERM") == ["kraftd", *ORDER, "producer"]


def test_the_time_that_the_question_takes_is_not_that_of_the_upgrade(cluster):
    command = cluster.upgrade("4.3")
    command.plan()
    cluster.clock.advance(3600.0)

    assert tuple(each.name for each in command.run().restarted) == ORDER
    assert cluster.of("SIGKILL") == []


def test_the_way_back_is_open_where_a_node_does_not_start_with_the_version(cluster):
    cluster.programs["broker-2"].fails = True
    with pytest.raises(StartFailedError) as caught:
        cluster.upgrade("4.3").run()
    assert "'kraftd upgrade --to 3.9.2' downgrades it" in caught.value.hint

    cluster.programs["broker-2"].fails = False
    cluster.did.clear()
    cluster.upgrade("3.9").run()

    assert cluster.of("SIGTERM") == ["kraftd"]
    assert cluster.of("start") == ["kraftd", "broker-2"]
    assert set(cluster.versions.values()) == {"3.9.2"}


def killed_after_one(cluster):
    """Leave what a call leaves that is killed after the first node."""
    processes = cluster.process_table().processes
    replaced = {name: processes[name] for name in ORDER}
    write_journal(cluster.plan.layout, Journal("upgrade --to 4.3.1", Process(4, 4.0, 0.0), 0.0, replaced))
    cluster.store.write_manifest(cluster.store.manifest().upgraded("4.3.1"))
    cluster.store.write_plan(replace(cluster.plan, kafka_version="4.3.1"))
    cluster.update()
    cluster.programs["broker-2"].pid = None
    cluster.clock.advance(1.0)
    cluster.spawn("broker-2")
    cluster.clock.advance(60.0)
    cluster.did.clear()


@pytest.mark.parametrize("asked", ["4.4", "3", "tomorrow"])
def test_an_unknown_version_is_refused_with_those_there_are(cluster, asked):
    with pytest.raises(UnknownNameError) as caught:
        cluster.upgrade(asked)

    assert "4.3.1" in caught.value.hint


def test_a_cluster_that_is_stopped_is_not_upgraded(cluster):
    cluster.supervisor_pid = None
    for each in cluster.programs.values():
        each.pid = None

    with pytest.raises(NeedsRunningClusterError):
        cluster.upgrade("4.3").plan()


def test_an_upgrade_does_not_begin_while_a_broker_is_down(cluster):
    cluster.programs["broker-2"].ready_after_s = None

    with pytest.raises(RefusedError) as caught:
        cluster.upgrade("4.3").run()

    assert (caught.value.code, caught.value.details["nodes"]) == ("broker_down", ["broker-2"])
    assert (cluster.did, cluster.fetched) == ([], [])


def test_an_upgrade_does_not_begin_while_a_replica_stays_behind(cluster):
    cluster.isr = (1,)

    with pytest.raises(RefusedError) as caught:
        cluster.upgrade("4.3").run()

    assert caught.value.code == "not_in_sync"


def test_a_topic_that_keeps_new_brokers_from_starting_is_named_first(cluster):
    cluster.own = {"orders": {"segment.bytes": "100000"}}

    with pytest.raises(RefusedError, match=r"topic orders: segment\.bytes"):
        cluster.upgrade("4.3").run()

    assert cluster.manifest() == ("3.9.2", ())


def test_a_setting_that_brokers_have_while_they_run_counts_too(cluster):
    cluster.settings = {"log.segment.bytes": BrokerSetting("200000", True, True)}

    with pytest.raises(RefusedError, match=r"broker-1: log\.segment\.bytes"):
        cluster.upgrade("4.3").run()


def test_the_only_broker_is_restarted_where_that_is_asked_for(tmp_path):
    cluster = started(UpgradingCluster(tmp_path, toml="[cluster]\nbrokers = 1", configured="[cluster]\nbrokers = 1"))
    cluster.isr = (1, 2)

    with pytest.raises(RefusedError) as caught:
        cluster.upgrade("4.3").plan()

    assert caught.value.code == "only_broker"
    assert cluster.upgrade("4.3", force=True).plan().order == ("broker-1",)


def test_another_change_of_the_configuration_is_left_to_apply(cluster):
    with pytest.raises(RefusedError) as caught:
        cluster.upgrade("4.3", '[broker.config]\n"log.retention.ms" = 1000\n').plan()

    assert caught.value.code == "configuration_changed"


def applied_by_another(cluster):
    """Leave what an apply leaves of another shell, which added a broker."""
    toml = "[cluster]\nbrokers = 3"
    settings = configure([parse_toml(toml, "kraftd.toml")]).settings
    cluster.store.write_plan(build_plan(settings, cluster.plan.layout, "3.9.2", cluster.store.manifest(), {}))
    return cluster.store.plan()


def test_an_upgrade_is_refused_where_the_plan_changed_at_its_question(cluster):
    command = cluster.upgrade("4.3")
    command.plan()
    plan = applied_by_another(cluster)

    with pytest.raises(RefusedError) as caught:
        command.run()

    assert (caught.value.code, cluster.store.plan(), cluster.fetched) == ("configuration_changed", plan, [])


def test_an_upgrade_is_refused_where_the_plan_changes_while_it_fetches(cluster):
    command = cluster.upgrade("4.3")
    cluster.while_fetching = lambda: applied_by_another(cluster)

    with pytest.raises(RefusedError) as caught:
        command.run()

    assert (caught.value.code, cluster.store.plan().brokers[-1].name) == ("configuration_changed", "broker-3")
    assert (cluster.did, cluster.manifest(), read_journal(cluster.plan.layout)) == ([], ("3.9.2", ()), None)


@pytest.mark.parametrize(("goal", "command"), [(None, "scale"), (Goal((1, 2)), "topics reassign")])
def test_an_upgrade_waits_for_the_end_of_what_moves_replicas_and_names_it(cluster, goal, command):
    write_atomically(cluster.plan.layout.scale_journal, ScaleJournal(2, 3, "now", {}, goal=goal).to_json())

    with pytest.raises(RefusedError) as caught:
        cluster.upgrade("4.3").plan()

    assert caught.value.code.startswith("unfinished_")
    assert f"kraftd {command} --abort" in caught.value.hint


def test_another_command_that_restarts_programs_is_named(cluster):
    other = cluster.process_table().processes["kraftd"]
    write_journal(cluster.plan.layout, Journal("restart --rolling", other, 0.0, {}))

    with pytest.raises(RefusedError) as caught:
        cluster.upgrade("4.3").plan()

    assert caught.value.code == "already_rolling"


@pytest.mark.parametrize(
    ("toml", "noted"),
    [("", False), ('[cluster]\nkafka_version = "4.3"', False), ('[cluster]\nkafka_version = "3.9"', True)],
)
def test_what_to_put_into_the_configuration_is_said_where_it_states_another_version(cluster, toml, noted):
    notes = cluster.upgrade("4.3", toml).run().notes

    assert any('kafka_version = "4.3"' in note for note in notes) is noted


def test_finalizing_checks_first_and_leaves_the_form_of_the_quorum(cluster):
    cluster.upgrade("4.3").run()

    done = cluster.finalize().run()

    assert done.levels == (Level("group.version", 0, 1), Level("metadata.version", 21, 30))
    assert done.no_way_back_to == ("3.9.2",)
    assert cluster.validated == [True, False]
    assert cluster.manifest() == ("4.3.1", ())
    with pytest.raises(RefusedError) as caught:
        cluster.upgrade("3.9").run()
    assert caught.value.code == "finalized"


def test_what_is_finalized_already_is_no_work(cluster):
    assert cluster.finalize().run().is_empty
    assert cluster.validated == []


def test_two_versions_with_the_same_levels_keep_the_way_back(cluster):
    cluster.upgrade("3.9.1").run()

    assert cluster.finalize().run().is_empty
    assert cluster.manifest() == ("3.9.1", ("3.9.2",))


def test_nothing_is_finalized_halfway(cluster):
    killed_after_one(cluster)

    with pytest.raises(RefusedError) as caught:
        cluster.finalize().run()

    assert set(caught.value.details["nodes"]) == {"broker-1", "controller-101"}


def test_who_lacks_a_level_is_named(cluster):
    cluster.upgrade("4.3").run()
    cluster.refused = Failure("INVALID_UPDATE_VERSION", "Broker 3 only supports versions 1-21", retriable=False)

    with pytest.raises(RefusedError) as caught:
        cluster.finalize().run()

    assert (caught.value.code, caught.value.details["nodes"]) == ("level_unknown", ["node 3"])
    assert cluster.manifest() == ("4.3.1", ("3.9.2",))


def test_nothing_is_finalized_that_the_configuration_would_refuse_to_start(cluster):
    cluster.upgrade("4.3").run()

    with pytest.raises(ConfigurationError) as caught:
        cluster.finalize('[cluster]\nkafka_version = "3.9"').run()

    assert caught.value.code == "stale_version"
