"""What formats nodes: the identity of a data directory, and a throw-away node that writes the bootstrap checkpoint.

That node has a directory of its own, and is never run on the user's data.
"""

import base64
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from kraftd.clock import Clock
from kraftd.errors import KraftdError
from kraftd.host import lock
from kraftd.host.environment import inherited_environment
from kraftd.host.files import make_private_directory, write_atomically
from kraftd.host.jvm import remove_sockets
from kraftd.host.logs import tail
from kraftd.host.processes import ExitWatch, Process, describe, find_by_marker, send_signal
from kraftd.plan import kinds
from kraftd.plan.kinds import kafka_listener
from kraftd.plan.layout import Layout
from kraftd.plan.plan import Plan, Voter, access_to
from kraftd.plan.program import LOOPBACK, Purpose, java_marker
from kraftd.render.java_command import PROPERTIES
from kraftd.render.logging_config import logging_config, logging_file
from kraftd.render.server_properties import server_properties
from kraftd.runtime.java import Java

NODE = "broker-1"
_HEAP_BYTES = 256 * 1024**2
_PREFIX = "scratch-"
_POLL_S = 0.05
_TIMEOUT_S = 60.0
_KILLED_S = 2.0
"""How long a killed JVM may take to give back its memory."""


def random_id() -> str:
    """Return a random id in Kafka's form, 16 bytes in URL-safe base64; never with "-" first, as options have it."""
    while True:
        text = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def meta_properties(cluster_id: str, node_id: int) -> str:
    """Return the text of a new ``meta.properties``, with a directory id of its own."""
    fields = {"version": 1, "cluster.id": cluster_id, "node.id": node_id, "directory.id": random_id()}
    return "".join(f"{key}={value}\n" for key, value in fields.items())


def scratch_plan(
    directory: Path, kafka_version: str, java_options: Sequence[str], ports: tuple[int, int, int] = (1, 2, 3)
) -> Plan:
    """Return the plan of a cluster with one broker that is its own quorum.

    Args:
        directory: The directory of all its files.
        kafka_version: The exact version.
        java_options: The user's options, which the archive depends on.
        ports: The ports for clients, for the quorum, and for JMX.
    """
    purposes = (Purpose.CLIENT, Purpose.CONTROLLER, Purpose.JMX)
    client, controller, jmx = (kafka_listener(purpose, port) for purpose, port in zip(purposes, ports, strict=True))
    return Plan(
        cluster="scratch",
        kafka_version=kafka_version,
        layout=Layout(directory, directory / "unused.sock"),
        access=access_to([client]),
        nodes=(kinds.broker(1, (client, controller, jmx), _HEAP_BYTES),),
        voters=(Voter(1, controller.host, controller.port),),
        topics=(),
        apps=(),
        daemon=kinds.daemon(0, interval_s=1.0, lag_interval_s=10.0),
        java_options=tuple(java_options),
    )


def write_scratch(plan: Plan, bootstrap_checkpoint: Path | None) -> None:
    """Write the files of a scratch plan and format its data directories."""
    cluster_id = random_id()
    for node in plan.nodes:
        config, data, logs = (place(node.name) for place in (plan.layout.config, plan.layout.data, plan.layout.logs))
        for directory in (config, data, logs, plan.layout.temporary(node.name)):
            directory.mkdir(parents=True)
        (config / PROPERTIES).write_text(server_properties(plan, node), encoding="utf-8")
        logging = logging_config(plan.kafka_version, plan.log_rotation.max_bytes)
        (config / logging_file(plan.kafka_version)).write_text(logging, encoding="utf-8")
        if bootstrap_checkpoint is not None:
            shutil.copyfile(bootstrap_checkpoint, data / "bootstrap.checkpoint")
        (data / "meta.properties").write_text(meta_properties(cluster_id, node.node_id), encoding="utf-8")


@contextlib.contextmanager
def scratch_directory(parent: Path) -> Iterator[Path]:
    """Make a directory and remove it afterwards, with the leftovers of killed kraftds; call it under a lock."""
    end_abandoned(parent)
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def has_abandoned(parent: Path) -> bool:
    """Return whether there are scratch directories, of a killed or a running kraftd."""
    return any(parent.glob(f"{_PREFIX}*"))


def end_abandoned(parent: Path) -> None:
    """Remove the leftovers of killed kraftds; call it under a lock.

    A JVM that outlived its kraftd is identified by the directory in its command line, and ended.
    """
    for leftover in parent.glob(f"{_PREFIX}*"):
        _kill(find_by_marker([java_marker(f"{leftover}/{NODE}")]).values())
        shutil.rmtree(leftover, ignore_errors=True)


def _kill(processes: Collection[Process]) -> None:
    """Kill JVMs of others, and remove the sockets through which commands were sent to them, once they have ended."""
    left = {process.pid for process in processes}
    with contextlib.closing(ExitWatch()) as watch:
        watch.watch(left)
        for process in processes:
            send_signal(process, signal.SIGKILL)
        while left and (ended := watch.wait(_KILLED_S)):
            left.difference_update(ended)
    remove_sockets(process.pid for process in processes)


def free_ports() -> tuple[int, int, int]:
    """Return three ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        client, controller, jmx = (each.getsockname()[1] for each in sockets)
    return client, controller, jmx


class ScratchProcess:
    """A JVM with its child processes, which ends together with this process unless that is killed."""

    def __init__(self, command: Sequence[str], directory: Path, clock: Clock) -> None:
        self._command = command
        self._directory = directory
        self._clock = clock
        self._console = directory / "console.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._asked_to_end: int | None = None

    def __enter__(self) -> "ScratchProcess":
        self._catch_signals()
        try:
            self._process = self._spawn()
        except OSError:
            self._release_signals()
            raise
        if self._asked_to_end is not None:
            self.__exit__()
            raise SystemExit(128 + self._asked_to_end)
        return self

    def __exit__(self, *_exception: object) -> None:
        # Signals go to the group, because the JVM writes the archive in a child process.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._running.pid, signal.SIGKILL)
        self._running.wait()
        remove_sockets([self._running.pid])
        self._release_signals()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        with self._console.open("wb") as console:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                cwd=self._directory,
                env=inherited_environment(os.environ),
                start_new_session=True,
            )

    def _catch_signals(self) -> None:
        """Raise an exception on signals that by default end Python at once, which would leave the JVM running."""
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._end) for number in (signal.SIGTERM, signal.SIGHUP)}

    def _release_signals(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _end(self, number: int, _frame: object) -> None:
        self._asked_to_end = number
        if self._process is not None:
            raise SystemExit(128 + number)

    @property
    def identity(self) -> Process:
        """The JVM.

        Raises:
            KraftdError: It has ended.
        """
        process = describe(self._running.pid)
        if process is None:
            raise KraftdError("cannot use the scratch node: its JVM ended", code="scratch_node_ended")
        return process

    def wait_for_port(self, port: int, timeout_s: float) -> None:
        """Wait until the port listens.

        Raises:
            KraftdError: The process ended, or the port does not listen in time.
        """
        deadline_s = self._clock.monotonic_s() + timeout_s
        while not _listens(port):
            if self._running.poll() is not None or self._clock.monotonic_s() > deadline_s:
                raise self.failure(f"it did not open its port within {timeout_s:g} s")
            self._clock.sleep(_POLL_S)

    def wait_for_exit(self, timeout_s: float) -> int:
        """Return the exit status, negative for a signal.

        Raises:
            KraftdError: It still runs after that time.
        """
        try:
            return self._running.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise self.failure(f"it did not end within {timeout_s:g} s") from error

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._running.send_signal(signal.SIGTERM)

    def failure(self, reason: str) -> KraftdError:
        """Return an error with the last errors that the process logged."""
        status = self._running.poll()
        ended = reason if status is None else f"it ended with status {status}"
        said = "\n".join(f"  {line}" for line in self._complaints()) or "  (it wrote nothing)"
        return KraftdError(f"cannot finish a scratch run of Kafka: {ended}; its output ends with\n{said}")

    def _complaints(self) -> list[str]:
        logged = [line for log in sorted(self._directory.glob("logs/*/server.log")) for line in tail(log, 200)]
        return [line for line in logged if "Exception" in line or " ERROR " in line][-3:] + tail(self._console, 5)

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError("not started")
        return self._process


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


def needs_checkpoint(kafka_version: str) -> bool:
    """Return whether formatting for this Kafka version needs a checkpoint."""
    return not kafka_version.startswith("3.")


def checkpoint_path(cache_dir: Path, kafka_version: str) -> Path:
    """Return the path of a Kafka version's checkpoint, present or not."""
    return cache_dir / "bootstrap" / f"kafka-{kafka_version}.checkpoint"


def has_checkpoint(cache_dir: Path, kafka_version: str) -> bool:
    """Return whether the cache has a Kafka version's checkpoint; not an empty one, as a lost power supply left it."""
    path = checkpoint_path(cache_dir, kafka_version)
    return path.is_file() and path.stat().st_size > 0


def make_checkpoint(cache_dir: Path, kafka_version: str, java: Java, classpath: Sequence[Path], clock: Clock) -> Path:
    """Return the checkpoint of a Kafka version; making an absent one takes a JVM one to two seconds.

    Raises:
        KraftdError: StorageTool failed.
        TimedOutError: Another process was making it for the whole time limit.
    """
    path = checkpoint_path(cache_dir, kafka_version)
    if has_checkpoint(cache_dir, kafka_version):
        return path
    make_private_directory(path.parent)
    with (
        lock.acquire(path.parent / "lock", command="setup", clock=clock, timeout_s=_TIMEOUT_S),
        scratch_directory(path.parent) as directory,
    ):
        plan = scratch_plan(directory, kafka_version, ())
        data = plan.layout.data(plan.nodes[0].name)
        properties = directory / PROPERTIES
        properties.write_text(server_properties(plan, plan.nodes[0]), encoding="utf-8")
        command = format_command(java, classpath, properties)
        with ScratchProcess(command, directory, clock) as process:
            if process.wait_for_exit(_TIMEOUT_S) or not (data / "bootstrap.checkpoint").is_file():
                raise process.failure("it wrote no bootstrap.checkpoint")
        write_atomically(path, (data / "bootstrap.checkpoint").read_bytes())
    return path


def format_command(java: Java, classpath: Sequence[Path], properties: Path) -> tuple[str, ...]:
    """Return the argv that formats the directories of a server.properties with a new cluster id."""
    return (
        str(java.executable),
        "-Xmx128m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        ":".join(str(jar) for jar in classpath),
        "kafka.tools.StorageTool",
        "format",
        # As one argument, because an id may begin with "-" (KAFKA-15754).
        f"--cluster-id={random_id()}",
        f"--config={properties}",
    )
