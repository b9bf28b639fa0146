"""`kraftd setup`: Java, Kafka's jars and the start-up archive of a plan."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kraftd.errors import FileAccessError, KraftdError, RuntimeMissingError
from kraftd.host.files import hint_names_setting
from kraftd.host.install import metrics_agent_rules
from kraftd.host.jvm import temporary_directory
from kraftd.host.machine import allows_execution
from kraftd.operate.context import CommandContext, Reporter
from kraftd.plan.layout import cache_dir
from kraftd.plan.plan import Plan
from kraftd.render.java_command import TEMPORARY_OPTION, JvmLaunch, MetricsAgent
from kraftd.runtime.archive import OLDEST_JAVA, mark_used
from kraftd.runtime.jars import OTHER_FETCH_TIMEOUT_S, JarSet
from kraftd.runtime.java import Java, lacking_modules
from kraftd.runtime.runtime import (
    Runtime,
    RuntimeSpec,
    fetch_metrics_agent,
    fetch_runtime,
    find_metrics_agent,
    find_runtime,
)
from kraftd.runtime.training import end_abandoned_training, train_archive

_AGENT_MODULES = ("java.instrument", "jdk.httpserver")
"""Without the second the metrics agent would end the JVM."""
_CACHE_SETTING = "XDG_CACHE_HOME in the environment"


@dataclass(frozen=True, slots=True)
class PreparedRuntime:
    """The prepared runtime of a plan's nodes.

    Attributes:
        bootstrap_checkpoint: The file that a format copies beside the identity; None where this Kafka needs none.
        notes: Notes for the user, one sentence each.
    """

    launch: JvmLaunch
    bootstrap_checkpoint: Path | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetupResult:
    """Answer to ``kraftd setup``.

    Attributes:
        archive: The start-up archive; None where this Java makes none.
    """

    kafka_version: str
    java: str
    jars: int
    cache: Path
    archive: Path | None
    notes: tuple[str, ...]


def prepare_runtime(plan: Plan, command_context: CommandContext, *, fetch: bool = True) -> PreparedRuntime:
    """Return the runtime of a plan's nodes, fetched where it is missing.

    Args:
        plan: The cluster.
        command_context: The caller of the command.
        fetch: Whether to fetch a missing runtime; otherwise it is an error.

    Raises:
        RuntimeMissingError: Java or Kafka is missing, and could not be fetched.
        TimedOutError: Another process was fetching until the command's time was up.
    """
    if fetch:
        end_scratch_nodes(command_context)
    runtime = runtime_of(plan, command_context, fetch=fetch)
    java = runtime.java
    agent, agent_notes = metrics_agent_of(plan, java, command_context, fetch=fetch)
    has_own_temporary = allows_execution(plan.layout.state_dir)
    launch = JvmLaunch(
        java.executable,
        java.major,
        runtime.classpath,
        runtime.archive,
        has_own_temporary=has_own_temporary,
        metrics_agent=agent,
    )
    own_notes = () if has_own_temporary else temporary_notes(plan, temporary_directory())
    notes = (*own_notes, *agent_notes)
    if runtime.archive is not None:
        mark_used(runtime.archive)
    elif java.major >= OLDEST_JAVA:
        notes += ("there is no start-up archive for this Java and Kafka yet: 'kraftd setup' makes one, once, in 15 s",)
    return PreparedRuntime(launch, runtime.bootstrap_checkpoint, notes)


def temporary_notes(
    plan: Plan, system: Path, allows_execution: Callable[[Path], bool] = allows_execution
) -> tuple[str, ...]:
    """Return a note where no directory is left from which a JVM can load what it unpacks.

    Args:
        plan: The cluster.
        system: The system's temporary directory, which serves where the state directory cannot.
        allows_execution: Whether programs in a directory can be executed.
    """
    is_chosen = any(option.startswith(TEMPORARY_OPTION) for option in plan.java_options)
    if is_chosen or allows_execution(plan.layout.state_dir) or allows_execution(system):
        return ()
    return (
        f"brokers refuse records compressed with Snappy or zstd: neither {plan.layout.state_dir} nor {system} allows "
        f'programs to be executed (noexec); java.options = ["{TEMPORARY_OPTION}DIRECTORY"] names a directory that does',
    )


def metrics_agent_of(
    plan: Plan, java: Java, command_context: CommandContext, *, fetch: bool
) -> tuple[MetricsAgent | None, tuple[str, ...]]:
    """Return the metrics agent where the plan's nodes have it, and why it is missing: nodes run without it."""
    if not any(node.metrics for node in plan.nodes):
        return None, ()
    if lacking := lacking_modules(java, _AGENT_MODULES):
        return None, (f"the nodes run without the metrics agent: {java.home} lacks the module {lacking[0]}",)
    cache = cache_dir(command_context.environ, command_context.home)
    progress = _Download(command_context.reporter, "the metrics agent")
    try:
        if fetch:
            wait_s = command_context.left_s(OTHER_FETCH_TIMEOUT_S)
            jar: Path | None = fetch_metrics_agent(cache, command_context.clock, progress, wait_s=wait_s)
        else:
            jar = find_metrics_agent(cache, command_context.clock)
    except KraftdError as error:
        return None, (f"the nodes run without the metrics agent: {error}",)
    finally:
        progress.end()
    if jar is None or "=" in str(jar):
        why = "it is not in the cache ('kraftd setup' fetches it)" if jar is None else f"the path {jar} has a '='"
        return None, (f"the nodes run without the metrics agent: {why}",)
    return MetricsAgent(jar, metrics_agent_rules()), ()


def runtime_of(
    plan: Plan, command_context: CommandContext, *, fetch: bool = True, jar_set: JarSet = JarSet.BROKER
) -> Runtime:
    """Return the Java and the jars of a plan.

    Raises:
        RuntimeMissingError: Java or Kafka is missing, and could not be fetched.
    """
    cache = cache_dir(command_context.environ, command_context.home)
    wanted = RuntimeSpec(plan.kafka_version, plan.kafka_home, plan.java_home, plan.java_options)
    with hint_names_setting(cache, _CACHE_SETTING):
        if not fetch:
            return find_runtime(wanted, cache, command_context.clock, jar_set)
        what = "Kafka" if jar_set is JarSet.BROKER else "the tools of Kafka"
        progress = _Download(command_context.reporter, f"{what} {plan.kafka_version}")
        try:
            wait_s = command_context.left_s(OTHER_FETCH_TIMEOUT_S)
            return fetch_runtime(wanted, cache, command_context.clock, progress, jar_set, wait_s=wait_s)
        finally:
            progress.end()


def set_up(plan: Plan, command_context: CommandContext) -> SetupResult:
    """Fetch and check everything that a start and Kafka's tools need, and make the start-up archive; idempotent.

    Raises:
        RuntimeMissingError: Java or Kafka is missing, and could not be fetched.
    """
    end_scratch_nodes(command_context)
    runtime = runtime_of(plan, command_context)
    cache = cache_dir(command_context.environ, command_context.home)
    archive, notes = runtime.archive, list(metrics_agent_of(plan, runtime.java, command_context, fetch=True)[1])
    notes += _fetch_tools(plan, command_context)
    if archive is None:
        command_context.reporter.step("Making the start-up archive on a scratch node: about 15 s, once")
        try:
            archive = train_archive(
                runtime, cache, plan.java_options, command_context.clock, note=command_context.reporter.step
            )
        except KraftdError as error:
            notes.append(f"{error}; nodes start without it, only slower")
    return SetupResult(plan.kafka_version, runtime.java.version, len(runtime.classpath), cache, archive, tuple(notes))


def _fetch_tools(plan: Plan, command_context: CommandContext) -> tuple[str, ...]:
    """Fetch the jars of Kafka's tools, and return why they are missing: the cluster runs without them."""
    try:
        runtime_of(plan, command_context, jar_set=JarSet.TOOLS)
    except RuntimeMissingError as error:
        return (f"'kraftd kafka' has no tools yet: {error}",)
    return ()


def end_scratch_nodes(command_context: CommandContext) -> None:
    """End the scratch node of a 'kraftd setup' that was killed; where that is refused, say so and go on."""
    try:
        end_abandoned_training(cache_dir(command_context.environ, command_context.home))
    except FileAccessError as error:
        command_context.reporter.step(f"Leaving a scratch node of an earlier setup: {error}")


class _Download:
    """A download's progress, as the command's reporter shows it."""

    def __init__(self, reporter: Reporter, what: str) -> None:
        self._reporter = reporter
        self._what = what
        self._began = False

    def begin(self, total_bytes: int) -> None:
        self._began = True
        self._reporter.download_begins(self._what, total_bytes)

    def advance(self, byte_count: int) -> None:
        self._reporter.advance(byte_count)

    def note(self, text: str) -> None:
        self._reporter.step(text)

    def end(self) -> None:
        if self._began:
            self._reporter.download_ends()
