"""A cluster without processes whose replicas move: a Kafka that copies a little at each look, and brokers beside it."""

import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from kraftd.host.events import read_events
from kraftd.kafka.administration.settings import BrokerSetting
from kraftd.kafka.model import BrokerEndpoint, ClusterMetadata, Failure, LogDir, Partial, Partition, TopicState
from kraftd.kafka.round_trip import CANARY_TOPIC
from kraftd.kafka.topics import Reassignment
from kraftd.operate.scale.doors import JournalFile, ScaleDoors
from kraftd.operate.scale.journal import Journal
from kraftd.operate.scale.reassign import Reassign, ReassignOptions
from kraftd.operate.scale.scale import Scale, ScaleOptions
from kraftd.operate.selection import ChosenCluster
from kraftd.operate.start.start import lock_and_start
from kraftd.plan.loading import assignments_layer, configure
from kraftd.plan.planning import build_plan
from tests.unit.operate.fake_cluster import FakeCluster

MIN_ISR = "min.insync.replicas"
OF_TWO = {0: (1, 2), 1: (2, 1), 2: (1, 2)}
NOT_THROTTLED = [{}, {}, {}, {}]
SIZE = 1000
NO_LIMIT = str(2**63 - 1)


class FakeKafka:
    """Brokers 1 to 3 with one topic; each look copies some bytes of what is under way."""

    def __init__(self, partitions, copied_per_look=400):
        self.replicas = dict(enumerate(partitions))
        self.leaders = {number: replicas[0] for number, replicas in self.replicas.items()}
        self.under_way = {}
        self.copied_per_look = copied_per_look
        self.topic = {}
        self.brokers = {1: {}, 2: {}, 3: {}}
        self.refuses = None
        self.dead = set()
        self.hung = set()
        self.highest_rate = 0
        self.unknown = {}
        self.looks_behind = 0
        self.canary = ()
        self.seen = {node_id: ({}, 0) for node_id in self.brokers}

    def reassignments(self):
        for number, (target, left) in list(self.under_way.items()):
            self.under_way[number] = (target, left - self.copied_per_look)
            if left <= self.copied_per_look:
                self.replicas[number] = target
                del self.under_way[number]
        return {
            ("orders", number): Reassignment(
                (*target, *(each for each in self.replicas[number] if each not in target)),
                tuple(each for each in target if each not in self.replicas[number]),
                tuple(each for each in self.replicas[number] if each not in target),
            )
            for number, (target, _) in self.under_way.items()
        }

    def metadata(self, names=None):
        partitions = [Partition("orders", n, self.leaders[n], r, r) for n, r in self.replicas.items()]
        self.unknown = {node_id: looks - 1 for node_id, looks in self.unknown.items() if looks > 0}
        gone = self.dead | self.unknown.keys()
        brokers = tuple(BrokerEndpoint(each, "localhost", each) for each in self.brokers if each not in gone)
        canary = [Partition(CANARY_TOPIC, 0, self.canary[0], self.canary, self.canary)] if self.canary else []
        topics = {"orders": partitions, CANARY_TOPIC: canary}
        states = {name: TopicState(name, False, tuple(found)) for name, found in topics.items() if found}
        return ClusterMetadata(brokers, Partial(states))

    def log_dirs(self, brokers):
        sizes = {node_id: {} for node_id in self.brokers}
        for number, replicas in self.replicas.items():
            for node_id in replicas:
                sizes[node_id]["orders", number] = SIZE
        for number, (target, left) in self.under_way.items():
            for node_id in set(target) - set(self.replicas[number]):
                sizes[node_id]["orders", number] = SIZE - left
        asked = [broker.node_id for broker in brokers]
        return Partial({node_id: (LogDir("/d", sizes[node_id], None, None, None),) for node_id in asked})

    def reassign(self, targets):
        if self.refuses is not None:
            return dict.fromkeys(targets, self.refuses)
        for (_, number), replicas in targets.items():
            self.under_way[number] = (replicas, SIZE)
        return {}

    def elect_leaders(self, partitions):
        for _, number in partitions:
            self.leaders[number] = self.replicas[number][0]

    def delete_orders(self):
        for each in (self.under_way, self.replicas, self.leaders):
            each.clear()

    def own_settings(self, names):
        return {name: dict(self.topic) for name in names}

    def alter_topics(self, changes):
        for values in changes.values():
            self.change(self.topic, values)
        return {}

    def broker_settings(self, node_id, keys):
        before, looks = self.seen[node_id]
        self.seen[node_id] = (before, looks - 1)
        known = before if looks > 0 else self.brokers[node_id]
        return {key: BrokerSetting(known.get(key, NO_LIMIT), True) for key in keys}

    def alter_broker(self, node_id, values, *, of_all_brokers=False):
        if node_id in self.dead | self.hung:
            return Failure("TIMED_OUT", "no answer within 10 s", retriable=True)
        self.seen[node_id] = (dict(self.brokers[node_id]), self.looks_behind)
        self.change(self.brokers[node_id], values)
        rates = [int(value) for key, value in self.brokers[node_id].items() if key.endswith(".rate")]
        self.highest_rate = max([self.highest_rate, *rates])
        return None

    @staticmethod
    def change(known, values):
        for key, value in values.items():
            known.pop(key, None)
            if value is not None:
                known[key] = value

    @property
    def throttles(self):
        return [self.topic, *self.brokers.values()]

    @property
    def has_told_its_throttles(self):
        return all(looks <= 0 for _, looks in self.seen.values())


class Killed(BaseException):
    """The end of a command at once, as by SIGKILL."""


class ScalingKafka(FakeKafka):
    """Kafka of a cluster whose processes are another fake's, which takes down what is asked of it."""

    def __init__(self, cluster):
        super().__init__([(1, 2), (2, 1), (1, 2)])
        self.cluster = cluster
        self.forgets = []
        self.keeps_canary = []
        self.refuses_min_isr = None

    def metadata(self, names=None):
        self.cluster.check_life()
        alive = {broker.node_id for broker in self.cluster.metadata().brokers}
        self.dead = self.brokers.keys() - alive
        return super().metadata(names)

    def reassign(self, targets):
        with self.cluster.noting("reassign"):
            return super().reassign(targets)

    def elect_leaders(self, partitions):
        with self.cluster.noting("elect"):
            return super().elect_leaders(partitions)

    def alter_topics(self, changes):
        values = [value for each in changes.values() for value in each.items()]
        if not values:
            return {}
        if MIN_ISR not in dict(values):
            verb = "throttle" if any(value for _, value in values) else "unthrottle"
        elif self.refuses_min_isr:
            return dict.fromkeys(changes, self.refuses_min_isr)
        else:
            verb = f"min ISR {dict(values)[MIN_ISR]}"
        with self.cluster.noting(verb):
            return super().alter_topics(changes)

    def alter_broker(self, node_id, values, *, of_all_brokers=False):
        self.cluster.check_life()
        return super().alter_broker(node_id, values)

    def unregister(self, node_id):
        with self.cluster.noting(f"unregister broker-{node_id}"):
            return self.forgets.pop(0) if self.forgets else None

    def delete_topics(self, names):
        with self.cluster.noting("delete"):
            return dict.fromkeys(names, self.keeps_canary.pop(0)) if self.keeps_canary else {}


@dataclass
class ScalingCluster(FakeCluster):
    """A cluster of two brokers, both voters, with a topic of three partitions.

    Attributes:
        killed_after: The command is killed when this has happened.
        is_killed: Nothing is asked or changed any more.
        steps: What happened, in order.
        journals: What the journal was when it happened.
        throttles: Whether anything was throttled then.
        meanwhile: What others do right after a step.
        assigned: The settings of the configuration.
    """

    killed_after: str = ""
    is_killed: bool = False
    steps: list[str] = field(default_factory=list)
    journals: dict[str, Journal | None] = field(default_factory=dict)
    throttles: dict[str, bool] = field(default_factory=dict)
    meanwhile: dict[str, Callable[[], object]] = field(default_factory=dict)
    assigned: tuple[str, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        # As a command plans it: without tools that this machine may have.
        self.plan = build_plan(configure([]).settings, self.plan.layout, "3.9.2", None, {})
        self.programs = {name: self.programs[name] for name in self.plan.names}
        self.context = replace(self.context, plan=self.plan)
        self.kafka = ScalingKafka(self)

    def check_life(self):
        if self.is_killed:
            raise Killed

    @contextlib.contextmanager
    def noting(self, step):
        self.check_life()
        yield
        self.took(step)

    def start(self, supervised_name):
        with self.noting(f"start {supervised_name.partition(':')[2]}"):
            super().start(supervised_name)

    def update(self):
        with self.noting("update"):
            super().update()

    def send_signal(self, process, number):
        if number is not signal.SIGTERM:
            return super().send_signal(process, number)
        with self.noting(f"SIGTERM {self.name_of(process)}"):
            return super().send_signal(process, number)

    def took(self, step):
        self.steps.append(step)
        self.journals[step] = self.journal
        self.throttles[step] = any(self.kafka.throttles)
        self.meanwhile.pop(step, lambda: None)()
        if step == self.killed_after:
            self.is_killed = True
            raise Killed

    def choose(self, brokers):
        asked = () if brokers is None else (f"cluster.brokers={brokers}",)
        return ChosenCluster(configure([assignments_layer((*self.assigned, *asked))]), "kraftd.toml", self.plan.layout)

    @property
    def scale_doors(self):
        return ScaleDoors(
            open_kafka=lambda access, timeout_s: contextlib.nullcontext(self.kafka),
            start=self.start_doors(),
            cluster=self.context.doors,
        )

    def scaling(self, brokers=None, **options):
        return Scale(self.choose, ScaleOptions(brokers, **options), self.context.command_context, self.scale_doors)

    def reassigning(self, **options):
        return Reassign(self.context.following(self.store.plan()), ReassignOptions(**options), self.scale_doors)

    def scale(self, brokers=None, **options):
        return self.scaling(brokers, **options).run()

    @property
    def journal(self):
        return JournalFile(self.plan.layout.scale_journal).read()

    def of_scale(self, wanted):
        """Return the steps that were taken of the wanted ones."""
        return tuple(step for step in self.steps if step in wanted)

    def killed_at(self, step, command):
        """Run a command that is killed right after a step; what is killed has no time to clear up."""
        self.killed_after = step
        with pytest.raises(Killed):
            command.run()
        self.is_killed, self.killed_after = False, ""
        self.forget()

    def forget(self):
        self.clock.advance(60.0)
        for seen in (self.did, self.steps, self.journals, self.throttles):
            seen.clear()

    @property
    def events(self):
        return [(event.kind, event.text) for event in read_events(self.plan.layout.events)]

    @property
    def running_brokers(self):
        return tuple(name for name in self.process_table().processes if name.startswith("broker"))


def running(tmp_path):
    """Return a cluster of two brokers that runs."""
    made = ScalingCluster(tmp_path)
    lock_and_start(made.starting())
    made.forget()
    return made
