"""Training a start-up archive: a scratch broker under the load of the apps, recorded by the JVM."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from kraftd.clock import Clock
from kraftd.errors import KraftdError
from kraftd.host import lock
from kraftd.host.jvm import enable_jmx, write_management_files
from kraftd.plan.plan import Access
from kraftd.render.java_command import JvmLaunch, node_command
from kraftd.runtime.archive import OLDEST_JAVA, archive_for, archive_path, archives_dir, prune_archives, record
from kraftd.runtime.java import Java
from kraftd.runtime.runtime import Runtime
from kraftd.runtime.scratch_node import (
    ScratchProcess,
    end_abandoned,
    free_ports,
    has_abandoned,
    scratch_directory,
    scratch_plan,
    write_scratch,
)

_START_TIMEOUT_S = 90.0
_EXIT_TIMEOUT_S = 120.0
_OTHER_TRAINING_TIMEOUT_S = 300.0
_LOCK = "lock"
_KEPT = 4
"""The number of archives to keep, of 60 to 75 MB each: enough for a few Kafka versions or sets of java.options."""

_WITHOUT_PROFILES = ("-XX:+UnlockDiagnosticVMOptions", "-XX:-AOTRecordTraining")
"""With profiles in the archive the JIT compiles at once what the training run called often: two brokers and a
controller then took 6.5-7.1 s of CPU until all were up, instead of 5.4-5.6 s, and were up 0.5 s later (2 cores)."""


def train_archive(
    runtime: Runtime,
    cache_dir: Path,
    java_options: tuple[str, ...],
    clock: Clock,
    *,
    note: Callable[[str], None],
    workload: Callable[[Access], None] | None = None,
) -> Path:
    """Return the archive of a runtime; making an absent one takes 10 to 15 s and a JVM of 256 MB.

    Args:
        runtime: The runtime of the nodes.
        cache_dir: kraftd's cache.
        java_options: The user's options for nodes.
        clock: Time.
        note: Called with the reason for a wait.
        workload: Uses the scratch broker, given the access to it; None for the apps' workload.

    Raises:
        KraftdError: The archive could not be made; nodes can start without it.
        TimedOutError: Another process was training for the whole time limit.
    """
    _refuse_old(runtime.java)
    facts = (runtime.kafka_version, runtime.java, runtime.classpath, java_options)
    with _training_lock(cache_dir, clock, note):
        if (present := archive_for(cache_dir, *facts)) is not None:
            return present
        path = archive_path(cache_dir, *facts)
        with scratch_directory(archives_dir(cache_dir)) as directory:
            written = _train(directory, runtime, java_options, clock, workload or _default_workload())
            written.replace(path)
        record(path)
        prune_archives(_KEPT, cache_dir)
        return path


def end_abandoned_training(cache_dir: Path) -> None:
    """End the scratch node of a training whose kraftd was killed; a training in progress is not touched.

    Raises:
        FileAccessError: The cache cannot be written.
    """
    directory = archives_dir(cache_dir)
    if has_abandoned(directory):
        with lock.try_acquire(directory / _LOCK, command="setup") as is_held:
            if is_held:
                end_abandoned(directory)


def _training_lock(cache_dir: Path, clock: Clock, note: Callable[[str], None]) -> AbstractContextManager[None]:
    return lock.acquire(
        archives_dir(cache_dir) / _LOCK,
        command="setup",
        clock=clock,
        timeout_s=_OTHER_TRAINING_TIMEOUT_S,
        on_wait=lambda holder: note(f"waiting for {holder}, which is making a start-up archive"),
    )


def _refuse_old(java: Java) -> None:
    if java.major < OLDEST_JAVA:
        raise KraftdError(
            f"cannot make a start-up archive with Java {java.version}: it needs Java {OLDEST_JAVA} or newer",
            hint="Remove java.home from the configuration. Nodes also start without an archive, in twice the time.",
            code="archive_unsupported",
        )


def _train(
    directory: Path,
    runtime: Runtime,
    java_options: tuple[str, ...],
    clock: Clock,
    workload: Callable[[Access], None],
) -> Path:
    ports = free_ports()
    plan = scratch_plan(directory, runtime.kafka_version, java_options, ports)
    write_scratch(plan, runtime.bootstrap_checkpoint)
    launch = JvmLaunch(runtime.java.executable, runtime.java.major, runtime.classpath)
    output = directory / "archive"
    options = (f"-XX:AOTCacheOutput={output}", *_WITHOUT_PROFILES)
    command = node_command(plan, plan.nodes[0], launch, archive_options=options)
    with ScratchProcess(command, directory, clock) as process:
        process.wait_for_port(ports[0], _START_TIMEOUT_S)
        if plan.nodes[0].jmx is not None:
            write_management_files(directory)
            enable_jmx(process.identity, plan.nodes[0].jmx, directory, clock)
        workload(plan.access)
        process.terminate()
        process.wait_for_exit(_EXIT_TIMEOUT_S)
        if not output.is_file():
            raise process.failure("it wrote no archive")
    return output


def _default_workload() -> Callable[[Access], None]:
    from kraftd.runtime.workload import run_workload  # noqa: PLC0415 every start would import the client

    return run_workload
