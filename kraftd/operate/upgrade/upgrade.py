"""`kraftd upgrade --to V`: another version of Kafka, node by node, while the cluster serves; and the downgrade.

Nothing says how far an upgrade is but the processes: each node runs the version whose jars its command line names. So
the next call goes on wherever one was killed, and a downgrade restarts only what has come over.
"""

import contextlib
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from kraftd.errors import RefusedError, UnknownNameError, known_names
from kraftd.host.lock import acquire
from kraftd.host.processes import Process, known_process
from kraftd.kafka.administration.administrator import Administrator
from kraftd.kafka.model import ClusterMetadata, Failure, KafkaAccessError
from kraftd.kafka.quorum import Features
from kraftd.operate.apply.join import adopt, check_joining, following_configuration
from kraftd.operate.configuring import VERSION_SETTING, plan_for, refuse_changed, refuse_replanned
from kraftd.operate.context import ClusterContext, CommandContext
from kraftd.operate.doors import KafkaDoor
from kraftd.operate.render import files_of
from kraftd.operate.restart import refuse_interruption, require_running
from kraftd.operate.rolling.gates import ClosedGate, Gate, restart_order
from kraftd.operate.rolling.journal import Journal, read_journal, refuse_other_owner, write_journal
from kraftd.operate.rolling.roll import Restarted, Roll
from kraftd.operate.scale.doors import JournalFile
from kraftd.operate.scale.refuse import refuse_unfinished
from kraftd.operate.selection import ChosenCluster
from kraftd.operate.setup import set_up
from kraftd.operate.start.doors import StartDoors, start_doors
from kraftd.operate.start.sequence import Deadline, StartFailedError
from kraftd.operate.start.start import Start, StartOptions
from kraftd.operate.upgrade import checks
from kraftd.plan.manifest import Manifest
from kraftd.plan.plan import Access, Plan
from kraftd.plan.versions import is_of_line, line_of, numbers, resolve_kafka_version
from kraftd.render.java_command import ARCHIVE_OPTION
from kraftd.runtime.jars import locked_versions

COMMAND = "upgrade"
_ADMIN_TIMEOUT_S = 5.0
_SETTLES_WITHIN_S = 20.0
"""A replica that was behind because of a restart is in sync again by then; one that is not has another cause."""
_POLL_S = 0.5


class UpgradingDoor(KafkaDoor, Protocol):
    """The part of ``Administrator`` that an upgrade asks."""

    # ruff: noqa: D102 the methods are those that the class describes

    def own_settings(self, names: tuple[str, ...]) -> dict[str, dict[str, str | None]]: ...

    def features(self, node_id: int) -> Features: ...

    def finalize_features(self, node_id: int, levels: Mapping[str, int], *, validate_only: bool) -> Failure | None: ...


@dataclass(frozen=True, slots=True)
class UpgradeDoors:
    """The functions through which an upgrade reaches outside; tests give others.

    Attributes:
        open_kafka: Kafka by the way to it, with a time limit for each request in seconds; opened by entering it.
        set_up: Fetches what a plan's nodes need, and makes their start-up archive; returns notes.
        start: The doors of a start.
    """

    open_kafka: Callable[[Access, float], AbstractContextManager[UpgradingDoor]] = field(
        default=lambda access, timeout_s: Administrator(access, timeout_s=timeout_s)
    )
    set_up: Callable[[Plan, CommandContext], tuple[str, ...]] = field(
        default=lambda plan, command_context: set_up(plan, command_context).notes
    )
    start: StartDoors = field(default_factory=start_doors)


@dataclass(frozen=True, slots=True)
class UpgradeOptions:
    """How to upgrade.

    Attributes:
        to: The version: an exact one, or the first two numbers of one.
        force: Restart the only broker too, although nothing serves meanwhile.
        timeout_s: How long the whole command may take.
    """

    to: str
    force: bool = False
    timeout_s: float = 900.0


@dataclass(frozen=True, slots=True)
class PlannedUpgrade:
    """What an upgrade would do.

    Attributes:
        before: The version that the cluster ran before this upgrade began.
        after: The version that it is to run.
        order: The nodes that are restarted, in the order that is known now.
        done_before: The nodes that run the version already.
        changes: What changes for those who use the cluster, a clause each.
        finalized: The finalized levels, which stay as they are.
        is_back: Whether this is a downgrade, to an older version.
    """

    cluster: str
    before: str
    after: str
    order: tuple[str, ...]
    done_before: tuple[str, ...]
    changes: tuple[str, ...]
    finalized: Mapping[str, int]
    notes: tuple[str, ...]
    is_back: bool

    @property
    def is_empty(self) -> bool:
        """Whether every node runs that version already."""
        return self.before == self.after and not self.order


@dataclass(frozen=True, slots=True)
class UpgradeResult:
    """Answer to ``kraftd upgrade --to``.

    Attributes:
        restarted: The nodes that this call restarted.
        can_finalize: Whether the version knows levels that are not finalized yet.
        is_changed: Whether there was anything to do.
    """

    cluster: str
    before: str
    after: str
    restarted: tuple[Restarted, ...]
    done_before: tuple[str, ...]
    can_finalize: bool
    is_changed: bool
    notes: tuple[str, ...]
    took_s: float


class Upgrade:
    """One upgrade of a running cluster."""

    def __init__(
        self,
        chosen: ChosenCluster,
        cluster: ClusterContext,
        options: UpgradeOptions,
        doors: UpgradeDoors | None = None,
    ) -> None:
        """Resolve the version.

        Args:
            chosen: The cluster with its configuration.
            cluster: The context of the plan that was last started.
            options: How to upgrade.
            doors: The doors of an upgrade.

        Raises:
            UnknownNameError: kraftd does not have that version.
        """
        self._chosen = chosen
        self._cluster = cluster
        self._options = options
        self._doors = doors or UpgradeDoors()
        self._to = _known_version(options.to, cluster.plan)
        self._command = f"{COMMAND} --to {self._to}"
        self._deadline = Deadline.from_now(cluster.store, cluster.clock, options.timeout_s)

    def plan(self) -> PlannedUpgrade:
        """Return what this upgrade would do, changing nothing.

        Raises:
            NeedsRunningClusterError: The cluster does not run.
            RefusedError: The version cannot read what is finalized, a setting keeps its brokers from starting, a node
                is down, or another command is at work.
        """
        require_running(self._cluster)
        left = refuse_other_owner(self._cluster, known_process(os.getpid()))
        return self._planned(left)

    def run(self) -> UpgradeResult:
        """Upgrade, go on where an earlier call ended, or downgrade.

        Raises:
            RuntimeMissingError: The version could not be fetched.
            StartFailedError: A node ended before it served; the downgrade is the same command with the old version.
            TimedOutError: Another upgrade or scale is at work, or time was up; the text names the gate.
            KraftdError: As ``plan`` raises.
        """
        began_s = self._cluster.clock.monotonic_s()
        # The time that a question took is not that of the upgrade.
        self._deadline = Deadline.from_now(self._cluster.store, self._cluster.clock, self._options.timeout_s)
        with acquire(self._cluster.layout.scale_lock, command=self._command, clock=self._cluster.clock, timeout_s=0.0):
            self._refuse_replanned()
            planned = self.plan()
            restarted: tuple[Restarted, ...] = ()
            notes: list[str] = [*planned.notes, *self._note_on_configuration()]
            if not planned.is_empty or self._is_unfinished():
                with self._cluster.operating(COMMAND, f"Kafka {planned.before} to {self._to}") as tracked:
                    self._cluster = tracked
                    notes += self._fetched()
                    restarted = self._replace(planned, notes)
            took_s = round(self._cluster.clock.monotonic_s() - began_s, 3)
            if not planned.is_empty:
                self._record(f"runs Kafka {self._to} instead of {planned.before}, after {took_s:.1f} s")
            return UpgradeResult(
                planned.cluster,
                planned.before,
                planned.after,
                restarted,
                planned.done_before,
                self._can_finalize(),
                not planned.is_empty,
                tuple(notes),
                took_s,
            )

    # The plan.

    def _planned(self, left: Journal | None) -> PlannedUpgrade:
        plan = self._cluster.plan
        self._refuse_changed()
        self._refuse_scale()
        roll = Roll(self._cluster, self._doors.start, self._deadline)
        with self._doors.open_kafka(plan.access, _ADMIN_TIMEOUT_S) as kafka:
            running = self._versions()
            pending = tuple(name for name, version in running.items() if version != self._to)
            is_resumed = left is not None and left.command.startswith(COMMAND)
            if pending and not is_resumed:
                checks.refuse_closed(self._settled(roll, kafka))
            metadata = kafka.metadata()
            features = self._features(kafka)
            before = self._manifest().kafka_version
            if before == self._to:
                before = next((each for each in running.values() if each not in (None, self._to)), self._to) or self._to
            topics = kafka.own_settings(tuple(metadata.topics.values))
            if pending:
                checks.refuse_path(before, self._to, features.finalized)
                checks.refuse_settings(self._to, self._limited(kafka, metadata), topics)
                if not self._options.force:
                    refuse_interruption(plan, pending)
            order = restart_order(plan, pending, roll.look(kafka).active_controller)
        return PlannedUpgrade(
            plan.cluster,
            before,
            self._to,
            order,
            tuple(name for name in running if name not in pending) if pending else (),
            checks.what_changes(before, self._to),
            features.finalized,
            tuple(checks.removed_settings(before, self._to, plan, topics)),
            numbers(self._to) < numbers(before),
        )

    def _settled(self, roll: Roll, kafka: UpgradingDoor) -> tuple[ClosedGate, ...]:
        """Return the gates that stay closed, other than that of preferred leaders, which the upgrade elects."""
        limit_s = self._cluster.clock.monotonic_s() + _SETTLES_WITHIN_S
        while True:
            closed = tuple(each for each in roll.look(kafka).closed if each.gate is not Gate.PREFERRED)
            is_down = {Gate.SERVING, Gate.KAFKA} & {each.gate for each in closed}
            if not closed or is_down or self._cluster.clock.monotonic_s() > limit_s:
                return closed
            self._cluster.clock.sleep(_POLL_S)

    def _features(self, kafka: UpgradingDoor) -> Features:
        """Return the features of the first broker that answers: one just killed counts as alive for some seconds."""
        brokers = kafka.metadata(()).brokers
        for broker in brokers[:-1]:
            with contextlib.suppress(KafkaAccessError):
                return kafka.features(broker.node_id)
        return kafka.features(brokers[-1].node_id)

    def _limited(self, kafka: UpgradingDoor, metadata: ClusterMetadata) -> dict[str, dict[str, str | None]]:
        """Return each broker's values of the settings whose lowest value differs between versions."""
        keys = tuple(limit.key for limit in checks.LIMITS)
        names = {broker.node_id: broker.name for broker in self._cluster.plan.brokers}
        found: dict[str, dict[str, str | None]] = {}
        for broker in metadata.brokers:
            name = names.get(broker.node_id, f"broker-{broker.node_id}")
            # One that does not answer was ended by an earlier call, which had checked it.
            with contextlib.suppress(KafkaAccessError):
                found[name] = {key: each.value for key, each in kafka.broker_settings(broker.node_id, keys).items()}
        return found

    def _versions(self) -> dict[str, str | None]:
        return running_versions(self._cluster)

    def _refuse_changed(self) -> None:
        running = self._cluster.plan
        configured = plan_for(self._chosen, self._cluster.command_context, running.kafka_version).plan
        refuse_changed(COMMAND, running, configured, self._chosen.origin, "the Kafka version")

    def _refuse_replanned(self) -> None:
        refuse_replanned(COMMAND, self._cluster.plan, self._cluster.store.plan())

    def _refuse_scale(self) -> None:
        journal = JournalFile(self._cluster.layout.scale_journal).read()
        if journal is not None:
            refuse_unfinished(journal, "upgrade now")

    # What changes the cluster.

    def _replace(self, planned: PlannedUpgrade, notes: list[str]) -> tuple[Restarted, ...]:
        """Let files, supervisord and records follow the version, and restart what does not run it yet."""
        cluster = self._cluster
        if planned.before != self._to:
            self._record(f"goes from Kafka {planned.before} to {self._to}: {', '.join(planned.order)}")
        start = self._start()
        with cluster.lock(self._command, timeout_s=self._options.timeout_s):
            # The fetch and the training take minutes, in which an apply may have come.
            self._refuse_replanned()
            require_running(cluster)
            journal = self._journal()
            check_joining(start)
            prepared = self._doors.start.prepare_runtime(start.cluster.plan, cluster.command_context)
            files = files_of(start.cluster.plan, prepared.launch, cluster.command_context)
            write_journal(cluster.layout, journal)
            # Before anything follows it: from here on a start of the stopped cluster is one of this version.
            cluster.store.write_manifest(self._manifest().upgraded(self._to))
            adopt(start, prepared, files)
        try:
            return Roll(start.cluster, self._doors.start, self._deadline, notes).run(journal)
        except StartFailedError as error:
            if not planned.is_back and planned.before != self._to:
                error.hint = f"{error.hint or ''} 'kraftd upgrade --to {planned.before}' downgrades it.".strip()
            raise

    def _journal(self) -> Journal:
        """Return the processes that are to be replaced, and what an earlier command had left.

        That is what it had ended when it was killed, and other programs than nodes that it had still to restart.
        """
        owner = known_process(os.getpid())
        left = refuse_other_owner(self._cluster, owner)
        processes = self._cluster.find_processes().processes
        versions = self._versions()
        pending = [name for name in left.pending(processes) if name not in versions] if left else []
        kept: dict[str, Process] = (
            {name: old for name, old in left.replaced.items() if name not in processes or name in pending}
            if left
            else {}
        )
        old = {name: processes[name] for name, version in versions.items() if version != self._to and name in processes}
        return Journal(self._command, owner, self._cluster.clock.now_s(), {**kept, **old})

    def _start(self) -> Start:
        configured = plan_for(self._chosen, self._cluster.command_context, self._to)
        options = StartOptions(timeout_s=self._options.timeout_s, command=self._command)
        start = Start(configured, self._cluster, options, self._deadline, self._doors.start)
        return following_configuration(start, self._cluster.plan)

    def _fetched(self) -> tuple[str, ...]:
        """Fetch all that the version needs, and make its start-up archive where the nodes that run have theirs."""
        target, command_context = self._start().cluster.plan, self._cluster.command_context
        self._doors.start.prepare_runtime(target, command_context)
        processes = self._cluster.find_processes().processes.values()
        has_archive = any(argument.startswith(ARCHIVE_OPTION) for each in processes for argument in each.command)
        return self._doors.set_up(target, command_context) if has_archive else ()

    def _is_unfinished(self) -> bool:
        """Whether every node runs the version, but an earlier call did not come to its end."""
        left = read_journal(self._cluster.layout)
        is_left = left is not None and left.command == self._command
        return is_left or self._cluster.plan.kafka_version != self._to or self._manifest().kafka_version != self._to

    # The records.

    def _manifest(self) -> Manifest:
        manifest = self._cluster.store.manifest()
        if manifest is None:
            raise RefusedError(
                f"cannot upgrade: the manifest {self._cluster.layout.manifest} is missing",
                hint="Restore the file from a backup.",
                code="manifest_missing",
            )
        return manifest

    def _note_on_configuration(self) -> tuple[str, ...]:
        stated = stated_version(self._chosen)
        if stated is None or is_of_line(self._to, stated):
            return ()
        return (
            f'set kafka_version = "{line_of(self._to)}" under [cluster] in {self._chosen.origin}, where it is '
            f'"{stated}"; or remove it: a start keeps the version that the cluster has',
        )

    def _can_finalize(self) -> bool:
        with self._doors.open_kafka(self._cluster.plan.access, _ADMIN_TIMEOUT_S) as kafka:
            return bool(unfinalized(self._features(kafka)))

    def _record(self, text: str) -> None:
        self._cluster.record("upgrade", text, command=self._command)


def running_versions(cluster: ClusterContext) -> dict[str, str | None]:
    """Return the Kafka version that each node runs, by its name; None for one that does not run."""
    processes = cluster.find_processes().processes
    return {
        node.name: checks.version_of(processes[node.name].command) if node.name in processes else None
        for node in cluster.plan.nodes
    }


def unfinalized(features: Features) -> dict[str, int]:
    """Return the levels that a broker knows beyond the finalized ones, by feature; without kraft.version."""
    return {
        name: level
        for name, level in features.supported.items()
        if name != checks.KRAFT_VERSION and level > features.finalized.get(name, 0)
    }


def stated_version(chosen: ChosenCluster) -> str | None:
    """Return the Kafka version that the settings state; None where they leave it to the data."""
    is_stated = VERSION_SETTING in chosen.configuration.origins
    return chosen.configuration.settings.cluster.kafka_version if is_stated else None


def _known_version(asked: str, plan: Plan) -> str:
    """Return the exact version for a requested one; that of an unpacked release is known by its own jars."""
    known = locked_versions()
    if plan.kafka_home is not None:
        return asked
    if "." not in asked or not any(is_of_line(version, asked) for version in known):
        raise UnknownNameError(
            f"cannot upgrade to Kafka {asked}: kraftd has no such version",
            hint=known_names(asked, known),
            code="unknown_kafka_version",
            details={"unknown": [asked], "known": list(known)},
        )
    return resolve_kafka_version(asked, known)
