"""`kraftd apply`: a running cluster follows its changed configuration, program by program."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

from kraftd.errors import KraftdError, NeedsRunningClusterError, RefusedError
from kraftd.host.files import read_text, write_changed
from kraftd.kafka.administration.settings import BrokerSetting, same_value
from kraftd.kafka.model import Failure, KafkaAccessError
from kraftd.operate.apply.differences import (
    Action,
    Differences,
    ProgramChange,
    Side,
    compare,
    is_of_a_value,
    refused_while_running,
    settled,
)
from kraftd.operate.apply.join import adopt, check_joining, complete, following_configuration
from kraftd.operate.apply.overrides import remember_overrides
from kraftd.operate.configuring import Configured, plan_for
from kraftd.operate.context import ClusterContext, CommandContext, cluster_context
from kraftd.operate.doors import KafkaDoor
from kraftd.operate.ownership import refuse_foreign
from kraftd.operate.render import damage_to, files_of
from kraftd.operate.restart import begin, refuse_interruption, require_running
from kraftd.operate.rolling.journal import read_journal, write_journal
from kraftd.operate.rolling.roll import Restarted, Roll
from kraftd.operate.selection import ChosenCluster
from kraftd.operate.setup import PreparedRuntime
from kraftd.operate.start.sequence import Deadline
from kraftd.operate.start.start import Start, StartOptions, as_recorded
from kraftd.operate.stop.execute import StopExecution
from kraftd.operate.store import Store
from kraftd.plan.desired import DesiredProgram
from kraftd.plan.kinds import Node
from kraftd.plan.manifest import differences as contradictions_of
from kraftd.plan.manifest import remedy
from kraftd.plan.plan import Plan
from kraftd.plan.program import StopStage
from kraftd.units import timestamp

COMMAND = "apply"
_ADMIN_TIMEOUT_S = 3.0
_SETTINGS_LIMIT_S = 10.0
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """How to apply.

    Attributes:
        dry_run: Change nothing.
        force: Restart the only broker too, although nothing serves meanwhile.
        timeout_s: How long the whole command may take.
    """

    dry_run: bool = False
    force: bool = False
    timeout_s: float = 600.0


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """Answer to ``kraftd apply``.

    Attributes:
        changes: What differed, and what it meant for each program.
        topics: The declared topics that were new.
        pending: The programs that an earlier call had left to be restarted.
        restarted: The programs that this call restarted.
        is_changed: Whether there was anything to do.
    """

    cluster: str
    changes: tuple[ProgramChange, ...]
    topics: tuple[str, ...]
    pending: tuple[str, ...]
    restarted: tuple[Restarted, ...]
    notes: tuple[str, ...]
    is_changed: bool
    dry_run: bool
    took_s: float


def apply(chosen: ChosenCluster, options: ApplyOptions, command_context: CommandContext) -> ApplyResult:
    """Make a running cluster follow its configuration; idempotent, and finishes what an earlier call began.

    Raises:
        ConfigurationError: The configuration is wrong, or too much for this machine.
        NeedsRunningClusterError: The cluster does not run.
        RefusedError: What changed would change the quorum or its ports, lose data, or interrupt the only broker.
        StartFailedError: A program ended before it served.
        TimedOutError: Time was up; the next call does the rest.
    """
    refuse_foreign(chosen.layout)
    deadline = Deadline.from_now(Store(chosen.layout), command_context.clock, options.timeout_s)
    configured = plan_for(chosen, command_context)
    start_options = StartOptions(timeout_s=options.timeout_s, command=COMMAND)
    start = Start(configured, cluster_context(configured.plan, command_context), start_options, deadline)
    return applied(start, options)


def applied(start: Start, options: ApplyOptions) -> ApplyResult:
    """Do what ``apply`` does, for a start of the configured plan."""
    running = start.cluster.store.plan_if_started()
    if running is None:
        raise NeedsRunningClusterError(
            f"cannot apply the configuration to the cluster {start.cluster.plan.cluster}: it was never started",
            hint="'kraftd start' starts it with this configuration.",
            code="not_running",
        )
    store, cluster = start.cluster.store, start.cluster.following(running)
    with ExitStack() as stack:
        with cluster.lock(COMMAND, timeout_s=options.timeout_s):
            # What held the lock may have written other ones.
            running, start = store.plan() or running, as_recorded(start)
            cluster = cluster.following(running)
            require_running(cluster)
            application = _Application(following_configuration(start, running), running, options)
            application.prepare()
            if not options.dry_run and application.has_work:
                application.track(stack.enter_context(cluster.operating(COMMAND, application.what)))
                application.change()
        restarted = application.restart() if not options.dry_run else ()
        return application.result(restarted)


class _Application:
    """One application of a configuration, in the steps that hold the lock and the one that mostly does not."""

    def __init__(self, start: Start, running: Plan, options: ApplyOptions) -> None:
        self._start = start
        self._running = running
        self._options = options
        self._cluster = start.cluster
        self._old = start.cluster.following(running)
        self._notes: list[str] = list(start.configured.absent.values())

    def prepare(self) -> None:
        """Find what differs, and refuse what cannot be done; nothing is changed.

        Raises:
            RefusedError: Naming every difference that is refused.
        """
        start, plan = self._start, self._cluster.plan
        find = start.doors.locate if self._options.dry_run else start.doors.prepare_runtime
        self._prepared: PreparedRuntime = find(plan, self._cluster.command_context)
        self._files = files_of(plan, self._prepared.launch, self._cluster.command_context)
        found = compare(self._on_disk(), Side(plan, self._files), start.configured.manifest)
        _refuse(found, start.configured)
        known = self._settings(found)
        self._differences = self._without_refused(found, known)
        left = read_journal(self._old.layout)
        self._is_unfinished = left is not None and left.command == COMMAND
        self._journal = begin(self._old, COMMAND, self._differences.named(Action.RESTART))
        self._pending = tuple(
            name for name in self._journal.replaced if name not in self._differences.named(Action.RESTART)
        )
        if self.has_work:
            check_joining(start)
        if not self._options.force:
            refuse_interruption(self._running, tuple(self._journal.replaced))

    @property
    def has_work(self) -> bool:
        """Whether there is anything to do, or an earlier call did not come to its end."""
        return bool(self._damage) or self._has_changes

    @property
    def _has_changes(self) -> bool:
        return self._is_unfinished or not self._differences.is_empty or bool(self._journal.replaced)

    @property
    def what(self) -> str:
        """What is done, in a line."""
        changes = [f"{each.action} {each.name}" for each in self._differences.programs]
        changes += [f"write {path} again" for path in self._damage]
        return ", ".join(changes) or "what an earlier call left"

    def track(self, tracked: ClusterContext) -> None:
        """Report through the context of an operation that is tracked."""
        self._cluster = replace(self._cluster, command_context=tracked.command_context)

    def change(self) -> None:
        """Do everything but the restarts: settings, what is removed, files, what is new, topics."""
        if not self._has_changes:
            # Only the next start of a program reads them.
            write_changed({path: self._files[path] for path in self._damage})
            return
        self._change_settings()
        self._stop_removed()
        write_journal(self._cluster.layout, self._journal)
        adopt(self._start, self._prepared, self._files)
        self._notes += complete(self._start)

    def restart(self) -> tuple[Restarted, ...]:
        """Restart what must be, one after the other."""
        if not self.has_work:
            return ()
        roll = Roll(self._cluster, self._start.doors, self._start.deadline, self._notes)
        return roll.run(self._journal)

    def result(self, restarted: tuple[Restarted, ...]) -> ApplyResult:
        """Return the answer, and put it on record."""
        cluster, found = self._cluster, self._differences
        took_s = round(cluster.clock.monotonic_s() - self._start.deadline.began_s, 3)
        if self.has_work and not self._options.dry_run:
            what = ", ".join(f"{each.name}: {each.action}" for each in found.programs)
            cluster.record("applied", f"applied the configuration in {took_s:.1f} s: {what or 'no program changed'}")
        return ApplyResult(
            cluster.plan.cluster,
            found.programs,
            found.topics,
            self._pending,
            restarted,
            tuple(self._notes),
            self.has_work,
            self._options.dry_run,
            took_s,
        )

    def _on_disk(self) -> Side:
        """Return what runs: its plan, and the files on disk; in place of a damaged one what its plan renders."""
        command_context = self._cluster.command_context
        try:
            launch = self._start.doors.locate(self._running, command_context).launch
            rendered = files_of(self._running, launch, command_context)
        except KraftdError:
            # The Java of its start is gone: what the files were is not known.
            rendered = {}
        self._damage = damage_to(rendered)
        self._notes += [f"{path} {damage}: it is written again" for path, damage in self._damage.items()]
        texts = {path: rendered[path] if path in self._damage else read_text(path) for path in self._files}
        return Side(self._running, {path: text for path, text in texts.items() if text is not None})

    def _settings(self, found: Differences) -> dict[str, dict[str, BrokerSetting]]:
        """Return what brokers say of the settings that are to change; one that does not answer is restarted."""
        changes = [each for each in found.programs if each.settings]
        known: dict[str, dict[str, BrokerSetting]] = {}
        if not changes:
            return known
        with self._old.doors.open_kafka(self._running.access, _ADMIN_TIMEOUT_S) as kafka:
            for change in changes:
                try:
                    kafka.metadata(())
                    known[change.name] = kafka.broker_settings(self._node(change.name).node_id, change.settings)
                except KafkaAccessError as error:
                    self._notes.append(f"{change.name} is restarted for its settings: {error}")
        return known

    def _without_refused(self, found: Differences, known: Mapping[str, Mapping[str, BrokerSetting]]) -> Differences:
        """Return the differences with a restart for each broker that refuses its values while it runs; none is set.

        Raises:
            RefusedError: Kafka does not take a value at all, so that no broker would start with it.
        """
        refused: dict[str, str] = {}
        if not known:
            return settled(found, known)
        with self._old.doors.open_kafka(self._running.access, _ADMIN_TIMEOUT_S) as kafka:
            kafka.metadata(())
            for change in [each for each in found.programs if each.name in known]:
                before = known[change.name]
                dynamic = {
                    key: value for key, value in change.settings.items() if key in before and before[key].is_dynamic
                }
                failure = self._alter(kafka, change.name, dynamic, before, validate_only=True)
                if failure is None:
                    continue
                if is_of_a_value(failure.text, dynamic):
                    raise _invalid(change.name, failure, self._start.configured.chosen.origin)
                refused[change.name] = failure.text
        return refused_while_running(settled(found, known), refused, known)

    def _change_settings(self) -> None:
        """Change what brokers take while they run; one that refuses is restarted instead."""
        changes = [each for each in self._differences.programs if each.settings]
        if not changes:
            return
        refused: dict[str, str] = {}
        with self._old.doors.open_kafka(self._running.access, _ADMIN_TIMEOUT_S) as kafka:
            kafka.metadata(())
            for change in changes:
                self._cluster.reporter.step(f"Changing {', '.join(change.settings)} of {change.name} while it runs")
                if why := self._set(kafka, change):
                    refused[change.name] = why
        if refused:
            self._notes += [f"{name} is restarted for its settings: {why}" for name, why in refused.items()]
            self._differences = refused_while_running(self._differences, refused)
            self._journal = begin(self._old, COMMAND, self._differences.named(Action.RESTART))
            if not self._options.force:
                refuse_interruption(self._running, tuple(self._journal.replaced))

    def _set(self, kafka: KafkaDoor, change: ProgramChange) -> str:
        """Set a broker's values and wait until it has them; return why not, or nothing."""
        node_id = self._node(change.name).node_id
        before = kafka.broker_settings(node_id, change.settings)
        own = [key for key in change.settings if key not in before or not before[key].is_of_all_brokers]
        if own:
            remember_overrides(self._old, change.name, own)
        if failure := self._alter(kafka, change.name, change.settings, before):
            return failure.text
        deadline_s = self._cluster.clock.monotonic_s() + _SETTINGS_LIMIT_S
        while late := _not_taken(change.settings, kafka.broker_settings(node_id, change.settings)):
            if self._cluster.clock.monotonic_s() > deadline_s:
                return f"it does not take {', '.join(late)}"
            self._cluster.clock.sleep(_POLL_S)
        return ""

    def _alter(
        self,
        kafka: KafkaDoor,
        name: str,
        settings: Mapping[str, str],
        before: Mapping[str, BrokerSetting],
        *,
        validate_only: bool = False,
    ) -> Failure | None:
        """Set a broker's values, or only check them; return why Kafka refuses."""
        of_all = {key: value for key, value in settings.items() if key in before and before[key].is_of_all_brokers}
        own = {key: value for key, value in settings.items() if key not in of_all}
        for values, is_of_all in ((own, False), (of_all, True)):
            if values and (
                failure := kafka.alter_broker(
                    self._node(name).node_id, values, of_all_brokers=is_of_all, validate_only=validate_only
                )
            ):
                return failure
        return None

    def _stop_removed(self) -> None:
        """Stop what is not configured any more: apps and tools, which hold no data."""
        names = self._differences.named(Action.STOP)
        if not names:
            return
        now = timestamp(self._cluster.clock.now_s())
        desired = DesiredProgram(running=False, since=now, by=COMMAND, why="it is not configured any more")
        self._old.store.set_desired(names, desired)
        execution = StopExecution(self._old, self._old.find_processes().processes)
        execution.stop_clients(self._running.stopping(StopStage.CLIENTS, names))
        execution.check_ended()

    def _node(self, name: str) -> Node:
        return next(node for node in self._cluster.plan.nodes if node.name == name)


def _not_taken(wanted: Mapping[str, str], found: Mapping[str, BrokerSetting]) -> list[str]:
    """Return the keys that a broker has not taken yet; of a value that it does not show, nothing is known."""
    shown = {key: each.value for key, each in found.items() if each.value is not None}
    return [key for key, value in wanted.items() if key in shown and not same_value(shown[key], value)]


def _invalid(name: str, failure: Failure, origin: str) -> RefusedError:
    return RefusedError(
        f"cannot apply {origin}: {name} would not start: {failure.text}",
        hint="Correct the value; nothing was changed.",
        code="invalid_setting",
        details={"program": name, "error": failure.text},
    )


def _refuse(found: Differences, configured: Configured) -> None:
    if not found.refused:
        return
    plan, manifest = configured.plan, configured.manifest
    contradictions = contradictions_of(plan, manifest) if manifest else []
    hints = [
        "A broker with data leaves by 'kraftd scale', another Kafka version comes by 'kraftd upgrade'; voters and "
        "their ports stay as they were formatted."
    ]
    if manifest and contradictions:
        hints.append(remedy(plan, manifest))
    if len(found.refused) > len(contradictions):
        hints.append("What else differs takes 'kraftd restart', or is set back.")
    raise RefusedError(
        f"cannot apply {configured.chosen.origin} to the cluster while it runs:\n"
        + "\n".join(f"  {line}" for line in found.refused),
        hint=" ".join(hints),
        code="refused",
        details={"differences": list(found.refused)},
    )
