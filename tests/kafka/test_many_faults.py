"""Sixty faults in ten minutes, chosen by a seed, after which nothing needs a person; for `make soak`.

The cluster is kept up as its systemd unit does it: a service manager restarts `kraftd start --foreground`. SEED repeats
a run.
"""

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.harness import cluster_in, eventually
from tests.kafka.writers import Writer, read_log

pytestmark = [pytest.mark.kafka, pytest.mark.soak, pytest.mark.timeout(1500)]

SETTINGS = {
    "watchdog.node_silent_s": 10,
    "watchdog.app_silent_s": 8,
    "watchdog.daemon_silent_s": 12,
}
FAULTS = 60
WITHIN_S = 600.0
READY_WITHIN_S = 240.0
NODES = ("broker-1", "broker-2", "controller-101")
PROGRAMS = (*NODES, "producer", "consumer", "kraftd")
RESTART_AFTER_S = 1.0
FINAL_STATUSES = {2, 4, 6, 8}
"""The unit's: after these the same start would fail again, so that a person is needed."""


class ServiceManager:
    """Restarts the foreground command whenever it ends otherwise than asked for, as systemd does."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.ends = []
        self.process = None
        self._ending = threading.Event()
        self._log = (cluster.state_dir.parent / "foreground.log").open("a")
        self._thread = threading.Thread(target=self._keep_up)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ending.set()
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        self._thread.join(400)
        self._log.close()

    def _keep_up(self):
        while not self._ending.is_set():
            self.process = subprocess.Popen(
                self.cluster.arguments("start", "--foreground"),
                stdout=self._log,
                stderr=self._log,
                stdin=subprocess.DEVNULL,
                cwd=self.cluster.state_dir.parent,
            )
            self.ends.append(self.process.wait())
            self._ending.wait(RESTART_AFTER_S)


class Faults:
    """What happens to a cluster; each fault takes its time and leaves nothing of its own behind."""

    def __init__(self, cluster, manager, chosen):
        self.cluster = cluster
        self.manager = manager
        self.chosen = chosen
        self.told = []
        self.counts = Counter()
        self._began_s = time.monotonic()

    def next(self):
        """Let one fault happen."""
        weights = {
            self.killed: 8,
            self.two_killed: 3,
            self.all_killed: 1,
            self.supervisord_killed: 1,
            self.command_in_the_foreground_killed: 1,
            self.frozen: 5,
            self.frozen_for_good: 2,
            self.port_stolen: 3,
            self.socket_removed: 2,
            self.record_damaged: 5,
            self.log_directory_read_only: 2,
            self.command_killed: 4,
        }
        (fault,) = self.chosen.choices(list(weights), weights.values())
        # What the fault before ended may not run yet.
        with contextlib.suppress(LookupError, psutil.Error, ProcessLookupError, StopIteration):
            fault()
            self.counts[fault.__name__] += 1

    def tell(self, text):
        self.told.append(
            f"{time.monotonic() - self._began_s:6.1f} s  {time.strftime('%H:%M:%S', time.gmtime())}  {text}"
        )

    def killed(self, *, programs=1):
        for name in self.chosen.sample(PROGRAMS, programs):
            self.tell(f"kill -9 {name}")
            self.cluster.kill(name)

    def two_killed(self):
        self.killed(programs=2)

    def all_killed(self):
        self.tell("kill -9 everything")
        self.manager.process.kill()
        for process in self.cluster.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()

    def supervisord_killed(self):
        self.tell("kill -9 supervisord")
        self.cluster.supervisord().kill()

    def command_in_the_foreground_killed(self):
        self.tell("kill -9 of the command in the foreground")
        self.manager.process.kill()

    def frozen(self):
        name, for_s = self.chosen.choice((*PROGRAMS, "supervisord")), self.chosen.uniform(1, 12)
        process = self.cluster.supervisord() if name == "supervisord" else psutil.Process(self.cluster.pid(name))
        self.tell(f"SIGSTOP {name} for {for_s:.1f} s")
        process.suspend()
        time.sleep(for_s)
        process.resume()

    def frozen_for_good(self):
        name = self.chosen.choice((*PROGRAMS, "supervisord"))
        process = self.cluster.supervisord() if name == "supervisord" else psutil.Process(self.cluster.pid(name))
        self.tell(f"SIGSTOP {name}, not continued")
        process.suspend()

    def port_stolen(self):
        name, for_s = self.chosen.choice(("broker-1", "broker-2", "producer", "consumer")), self.chosen.uniform(2, 8)
        port = {"broker-1": 9092, "broker-2": 9093, "producer": 8001, "consumer": 8002}[name] + self.cluster.offset
        self.tell(f"kill -9 {name}, its port stolen for {for_s:.1f} s")
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.cluster.kill(name)
            deadline_s = time.monotonic() + 3
            while time.monotonic() < deadline_s:
                with contextlib.suppress(OSError):
                    thief.bind(("127.0.0.1", port))
                    thief.listen()
                    time.sleep(for_s)
                    return
                time.sleep(0.005)

    def socket_removed(self):
        self.tell("control socket removed")
        Path(self.cluster.state_dir, "run", "supervisor.sock").unlink(missing_ok=True)

    def record_damaged(self):
        files = ("desired.json", "restarts.json", "run/supervisord.pid", "events/daemon.jsonl", "events/commands.jsonl")
        path = self.cluster.state_dir / self.chosen.choice(files)
        share = self.chosen.choice((0, 0.5))
        self.tell(f"{path.name} cut to {share:.0%}")
        if path.exists():
            os.truncate(path, int(path.stat().st_size * share))

    def log_directory_read_only(self):
        """Have a broker's log directory refuse writes for a while: for root, only a mount does."""
        name, for_s = self.chosen.choice(("broker-1", "broker-2")), self.chosen.uniform(2, 8)
        path = self.cluster.state_dir / "data" / name
        with read_only(path):
            self.tell(f"the data of {name} read-only for {for_s:.1f} s, and kill -9")
            self.cluster.kill(name)
            time.sleep(for_s)

    def command_killed(self):
        words = self.chosen.choice((["start"], ["restart", "--rolling"], ["restart", "--rolling"]))
        after_s = self.chosen.uniform(0.2, 8)
        self.tell(f"kill -9 of {' '.join(words)} after {after_s:.1f} s")
        with self.cluster.spawn(*words) as command:
            with contextlib.suppress(subprocess.TimeoutExpired):
                command.communicate(timeout=after_s)
            command.kill()


@contextlib.contextmanager
def read_only(path):
    """Refuse writes into a directory; nothing where this user cannot have that."""
    if os.geteuid() != 0:
        path.chmod(0o500)
        try:
            yield
        finally:
            path.chmod(0o700)
        return
    bound = subprocess.run(["mount", "--bind", path, path], check=False, capture_output=True).returncode == 0
    try:
        if bound:
            subprocess.run(["mount", "-o", "remount,ro,bind", path], check=False, capture_output=True)
        yield
    finally:
        if bound:
            subprocess.run(["umount", "--lazy", path], check=True)


def is_ready(cluster):
    try:
        document = cluster.status()
    except json.JSONDecodeError:
        return False
    return document["ready"] and document["status"] == "ok" and all(node["ready"] for node in document["nodes"])


def say(capsys, *lines):
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines))
        sys.stdout.flush()


def keep_evidence(cluster, seed):
    """Copy what says what happened to build/, where it outlives the test."""
    kept = Path(__file__).parents[2] / "build" / f"faults-{seed}"
    kept.mkdir(parents=True, exist_ok=True)
    for name in ("logs", "events"):
        shutil.copytree(cluster.state_dir / name, kept / name, dirs_exist_ok=True)
    for path in (*cluster.state_dir.glob("*.json"), cluster.state_dir.parent / "foreground.log"):
        shutil.copy(path, kept)
    (kept / "status.txt").write_text(cluster.run("status", "-v").stdout)
    return kept


def test_after_sixty_mixed_faults_everything_is_ready_and_no_record_is_lost(capsys):
    seed = int(os.environ.get("SEED", time.time_ns() % 1_000_000))
    chosen = random.Random(seed)
    say(capsys, f"SEED={seed}")
    temporary = tempfile.TemporaryDirectory(prefix="kraftd-")
    with temporary as directory, cluster_in(Path(directory), settings=dict(SETTINGS)) as cluster:
        acknowledged = {}
        with ServiceManager(cluster) as manager:
            eventually(lambda: is_ready(cluster), within_s=120, what="a first start")
            faults = Faults(cluster, manager, chosen)
            began_s = time.monotonic()
            try:
                for number in range(0, FAULTS, 10):
                    with Writer(cluster.bootstrap_servers, cluster.topic) as writer:
                        for each in range(number, number + 10):
                            faults.next()
                            due_s = began_s + (each + 1) * WITHIN_S / FAULTS
                            time.sleep(max(0.0, due_s - time.monotonic()) * chosen.uniform(0.2, 1))
                    acknowledged |= writer.acknowledged
                eventually(lambda: is_ready(cluster), within_s=READY_WITHIN_S, what="everything ready")
                eventually(cluster.in_sync, within_s=READY_WITHIN_S, what="every replica in sync")
                log = read_log(cluster.bootstrap_servers, cluster.topic)
                lost = {place: value for place, value in acknowledged.items() if log.get(place) != value}
                assert lost == {}
                assert len(acknowledged) > 1000
                assert FINAL_STATUSES.isdisjoint(manager.ends)
                assert cluster.send("x")["status"] == "sent"
            except BaseException:
                kept = keep_evidence(cluster, seed)
                say(capsys, f"SEED={seed}: {kept}", *faults.told, f"ends: {manager.ends}")
                raise
            minutes = (time.monotonic() - began_s) / 60
            counts = ", ".join(f"{name} {count}" for name, count in faults.counts.most_common())
            say(capsys, counts, f"{len(acknowledged)} records, {minutes:.1f} min, foreground ended with {manager.ends}")
    assert cluster.processes() == []
