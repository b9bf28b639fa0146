"""Real clusters for tests, driven as a user drives them: through the command line.

Each has a state directory and a port offset of its own, so that it runs beside a user's cluster.
"""

import contextlib
import fcntl
import functools
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from kraftd.host import logs
from tests import forked

OFFSETS = range(11000, 22500, 150)
"""Far from the default ports, and below the range from which Linux takes ports for outgoing connections.

With this step no two of them share a port.
"""
SLICES = 11
"""How many test processes may run at the same time."""

PORTS = (3000, 8000, 8001, 8002, 9090, *range(9092, 9097), *range(9999, 10004), *range(10092, 10097), 10192)
"""Where a cluster of up to five brokers may listen."""


@dataclass(frozen=True)
class Done:
    """One finished command."""

    status: int
    stdout: str
    stderr: str
    took_s: float

    @property
    def document(self) -> Any:
        return json.loads(self.stdout)

    @property
    def error(self) -> Any:
        return self.document["error"]


def free_port_offset() -> int:
    """Return an offset whose ports are all free now, out of those that no other test process takes."""
    for offset in OFFSETS[_own_slice() :: SLICES]:
        if ports_are_free(offset):
            return offset
    raise RuntimeError("no free ports")


def brokers_alone(count: int, topic: str = "test-topic") -> str:
    """Return a kraftd.toml of brokers without apps, with one topic; more may be appended."""
    apps = "".join(f"[{app}]\nenabled = false\n" for app in ("producer", "consumer"))
    return f'[cluster]\nbrokers = {count}\n{apps}[[topic]]\nname = "{topic}"\n'


@functools.cache
def _own_slice() -> int:
    """Return the number of the slice that this process has until it ends."""
    directory = Path(tempfile.gettempdir()) / f"kraftd-tests-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    for number in range(SLICES):
        claim = os.open(directory / str(number), os.O_CREAT | os.O_RDWR, 0o600)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return number
        os.close(claim)
    raise RuntimeError(f"{SLICES} test processes run already")


def ports_are_free(offset: int) -> bool:
    """Return whether nothing listens where a cluster with this offset would."""
    return all(_is_free(port + offset) for port in PORTS)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


SMALL = {"cluster.heap": "256m", "java.options": '["-XX:TieredStopAtLevel=1"]'}
"""What makes brokers cheap: the second compiler takes a quarter of the CPU of a start, and helps no short run."""

NO_APPS = {"producer.enabled": "false", "consumer.enabled": "false"}
"""For a cluster whose test is not about the apps: each takes more than a second of CPU to start."""
KRAFTD = ("-m", "kraftd")


@dataclass
class Cluster:
    """One cluster in a directory of its own; nothing runs until ``start``.

    Attributes:
        settings: ``--set`` assignments of every command.
        environ: Further variables of every command.
        python: What runs every command, and with it the daemon and the apps.
    """

    state_dir: Path
    offset: int = field(default_factory=free_port_offset)
    settings: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    config: Path | None = None
    python: str = sys.executable

    def arguments(self, *arguments: str) -> list[str]:
        """Return the argv of a command."""
        settings = {"cluster.port_offset": self.offset, **SMALL, **self.settings}
        assignments = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        config = ["--config", str(self.config)] if self.config else []
        return [self.python, *KRAFTD, "--state-dir", str(self.state_dir), *config, *assignments, *arguments]

    def run(self, *arguments: str, timeout_s: float = 240, check: bool = False) -> Done:
        """Run a command to its end.

        It is forked (tests/forked.py), but for a start, whose process hands on to its programs what a user's does, and
        for one with variables of the interpreter.
        """
        began_s = time.monotonic()
        in_a_process = "start" in arguments or any(name.startswith("PYTHON") for name in self.environ)
        run = self._in_a_process if in_a_process else self._forked
        status, stdout, stderr = run(arguments, timeout_s)
        result = Done(status, stdout, stderr, time.monotonic() - began_s)
        if check and result.status != 0:
            raise AssertionError(f"{' '.join(arguments)}: {result.status}\n{result.stdout}\n{result.stderr}")
        return result

    def _in_a_process(self, arguments: Sequence[str], timeout_s: float) -> tuple[int, str, str]:
        done = subprocess.run(
            self.arguments(*arguments),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env={**os.environ, **self.environ},
            cwd=self.state_dir.parent,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def _forked(self, arguments: Sequence[str], timeout_s: float) -> tuple[int, str, str]:
        environ, cwd = {**os.environ, **self.environ}, self.state_dir.parent
        status, stdout, stderr = forked.run(self.arguments(*arguments), cwd=cwd, environ=environ, timeout_s=timeout_s)
        return status, stdout.decode(), stderr.decode()

    def spawn(self, *arguments: str) -> "subprocess.Popen[str]":
        """Begin a command."""
        return subprocess.Popen(
            self.arguments(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.environ},
            cwd=self.state_dir.parent,
            stdin=subprocess.DEVNULL,
        )

    def start(self, *arguments: str) -> Done:
        return self.run("start", *arguments, check=True)

    def stop(self, *arguments: str) -> Done:
        return self.run("stop", *arguments, check=True)

    def status(self) -> Any:
        return self.run("status", "--json").document

    def program(self, name: str) -> Any:
        return next(node for node in self.status()["nodes"] if node["name"] == name)

    def pid(self, name: str) -> int:
        """Return a program's pid from its process, not from kraftd."""
        for process in self.processes():
            # One that was killed may end, or be a zombie, between the two looks.
            with contextlib.suppress(psutil.Error):
                if any(argument.endswith(f"{self.state_dir}/{name}") for argument in process.cmdline()):
                    return process.pid
        raise LookupError(f"{name} does not run")

    def command(self, name: str) -> list[str]:
        """Return the command line of a running program."""
        return psutil.Process(self.pid(name)).cmdline()

    def console(self, name: str) -> str:
        """Return what a program wrote to its console, also before the daemon began a new file for a new day."""
        return "\n".join(logs.tail(self.state_dir / "logs" / name / "console.log", sys.maxsize, most_bytes=None))

    def supervisord(self) -> psutil.Process:
        conf = str(self.state_dir / "supervisord.conf")
        return next(process for process in self.processes() if conf in process.cmdline())

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Signal a program by its pid, which is returned."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    @contextlib.contextmanager
    def frozen(self, *names: str) -> Iterator[None]:
        """Stop programs as a debugger does; afterwards the cluster is ready again."""
        pids = [self.kill(name, signal.SIGSTOP) for name in names]
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            eventually(lambda: self.get("kraftd", "/readyz")[0] == 200, within_s=60, what="the cluster is ready again")

    def processes(self) -> list[psutil.Process]:
        """Return every live process that carries this state directory in its command line."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                    words = process.cmdline()
                    mine = any(str(self.state_dir) in word for word in words)
                    if mine and "kraftd" not in words:
                        found.append(process)
        return found

    def clean_up(self) -> None:
        """End what a failed test left behind, by pid."""
        self.run("stop", "--timeout", "20s")
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()

    def metadata(self) -> list[Any]:
        """Return the cluster as each of the first two brokers knows it.

        A broker learns of a change up to a second after the controller took it, and another one may be asked next.

        Raises:
            LookupError: One does not answer.
        """
        return [_metadata_of(server) for server in self.bootstrap_servers.split(",")]

    def in_sync(self) -> bool:
        """Return whether both brokers know every replica of every partition to be in sync."""
        partitions = [
            partition
            for metadata in self.metadata()
            for topic in metadata.topics.values()
            for partition in topic.partitions.values()
        ]
        return bool(partitions) and all(len(each.isrs) == len(each.replicas) for each in partitions)

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(f"127.0.0.1:{port + self.offset}" for port in (9092, 9093))

    @property
    def topic(self) -> str:
        return "test-topic"

    def url(self, program: str, path: str) -> str:
        port = {"kraftd": 8000, "producer": 8001, "consumer": 8002}[program] + self.offset
        return f"http://127.0.0.1:{port}{path}"

    def get(self, program: str, path: str) -> tuple[int, str]:
        """Return the status and body of a GET."""
        return fetch(self.url(program, path))

    def send(self, value: object) -> Any:
        """Post a JSON value to the producer; returns its answer."""
        request = urllib.request.Request(
            self.url("producer", "/send"), json.dumps(value).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)


def _metadata_of(server: str) -> Any:
    admin = AdminClient({"bootstrap.servers": server, "log_level": 0})
    try:
        return admin.list_topics(timeout=2)
    except KafkaException as error:
        raise LookupError(f"{server} does not answer") from error


def free_port() -> int:
    """Return a port that nothing listens on, for one that takes no offset."""
    return next(free_ports(1))


def free_ports(count: int) -> Iterator[int]:
    """Return different ports that nothing listens on: all are held until the last one is found."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return iter([int(probe.getsockname()[1]) for probe in probes])


def fetch(url: str) -> tuple[int, str]:
    """Return the status and body of a GET."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.5


@contextlib.contextmanager
def serving(handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> Iterator[int]:
    """Serve HTTP by a handler on a free port of 127.0.0.1, which is yielded."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def eventually(condition: Callable[[], Any], *, within_s: float = 60.0, what: str = "") -> Any:
    """Return the first truthy value of a condition; one that raises LookupError or OSError is not met yet.

    It pauses as long as a look took: a look that is a command would take a processor from what is waited for.
    """
    deadline_s = time.monotonic() + within_s
    while True:
        began_s = time.monotonic()
        with contextlib.suppress(LookupError, OSError):
            value = condition()
            if value:
                return value
        now_s = time.monotonic()
        if now_s > deadline_s:
            raise AssertionError(f"not within {within_s:g} s: {what or condition}")
        time.sleep(min(max(_PAUSE_S, now_s - began_s), _LONGEST_PAUSE_S))


@contextlib.contextmanager
def cluster_in(directory: Path, **arguments: Any) -> Iterator[Cluster]:
    """Yield a cluster in a directory; nothing of it is left running."""
    cluster = Cluster(directory / "s", **arguments)
    try:
        yield cluster
    finally:
        cluster.clean_up()
