"""Java, Kafka's jars and the start-up archive, as a plan wants them."""

from dataclasses import dataclass
from pathlib import Path

from kraftd.errors import KraftdError, PermissionDeniedError
from kraftd.host.files import movable
from kraftd.operate.context import Reporter, Workspace
from kraftd.plan.layout import cache_dir
from kraftd.plan.plan import Plan
from kraftd.render.java_command import Launch
from kraftd.runtime.archive import OLDEST_JAVA, mark_used
from kraftd.runtime.jars import JarSet
from kraftd.runtime.runtime import Runtime, Wanted, ensure, locate
from kraftd.runtime.training import end_abandoned_training, train_archive

_CACHE_SETTING = "XDG_CACHE_HOME in the environment"


@dataclass(frozen=True, slots=True)
class Provision:
    """What runs the nodes of a plan.

    Attributes:
        bootstrap_checkpoint: What a format puts beside the identity; None where this Kafka needs none.
        notes: What the user should know, one sentence each.
    """

    launch: Launch
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


def provision(plan: Plan, workspace: Workspace, *, fetch: bool = True) -> Provision:
    """Return what runs the nodes of a plan, fetched where it is missing.

    Args:
        plan: The cluster.
        workspace: The surroundings.
        fetch: Whether to fetch; otherwise what is missing is an error.

    Raises:
        RuntimeMissingError: Java or Kafka is missing, and could not be fetched.
    """
    if fetch:
        end_scratch_nodes(workspace)
    runtime = runtime_of(plan, workspace, fetch=fetch)
    launch = Launch(runtime.java.executable, runtime.java.major, runtime.classpath, runtime.archive)
    notes: tuple[str, ...] = ()
    if runtime.archive is not None:
        mark_used(runtime.archive)
    elif runtime.java.major >= OLDEST_JAVA:
        notes = ("there is no start-up archive for this Java and Kafka yet: 'kraftd setup' makes one, once, in 15 s",)
    return Provision(launch, runtime.bootstrap_checkpoint, notes)


def runtime_of(plan: Plan, workspace: Workspace, *, fetch: bool = True, jar_set: JarSet = JarSet.BROKER) -> Runtime:
    """Return the Java and the jars of a plan.

    Raises:
        RuntimeMissingError: Java or Kafka is missing, and could not be fetched.
    """
    cache = cache_dir(workspace.environ, workspace.home)
    wanted = Wanted(plan.kafka_version, plan.kafka_home, plan.java_home, plan.java_options)
    with movable(cache, _CACHE_SETTING):
        if not fetch:
            return locate(wanted, cache, workspace.clock, jar_set)
        progress = _Download(workspace.reporter, f"Kafka {plan.kafka_version}")
        try:
            return ensure(wanted, cache, workspace.clock, progress, jar_set)
        finally:
            progress.end()


def set_up(plan: Plan, workspace: Workspace) -> SetupResult:
    """Fetch and check everything that a start needs, and make the start-up archive; idempotent.

    Raises:
        RuntimeMissingError: Java or Kafka is missing, and could not be fetched.
    """
    end_scratch_nodes(workspace)
    runtime = runtime_of(plan, workspace)
    cache = cache_dir(workspace.environ, workspace.home)
    archive, notes = runtime.archive, []
    if archive is None:
        workspace.reporter.step("Making the start-up archive on a scratch node: about 15 s, once")
        try:
            archive = train_archive(runtime, cache, plan.java_options, workspace.clock, note=workspace.reporter.step)
        except KraftdError as error:
            notes.append(f"{error}; nodes start without it, only slower")
    return SetupResult(plan.kafka_version, runtime.java.version, len(runtime.classpath), cache, archive, tuple(notes))


def end_scratch_nodes(workspace: Workspace) -> None:
    """End the scratch node of a 'kraftd setup' that was killed; where that is refused, say so and go on."""
    try:
        end_abandoned_training(cache_dir(workspace.environ, workspace.home))
    except PermissionDeniedError as error:
        workspace.reporter.step(f"Leaving a scratch node of an earlier setup: {error}")


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
