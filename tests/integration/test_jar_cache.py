"""The jar cache under what happens to real processes: two at once, and one that is killed."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kraftd.clock import SystemClock
from kraftd.runtime.jars import JarCache
from tests.harness import eventually
from tests.unit.runtime.jars import JARS, Heard, Source

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]

FETCH = """
import sys, time
from pathlib import Path
from kraftd.clock import SystemClock
from kraftd.runtime.jars import JarCache
from tests.unit.runtime.jars import JARS, Heard, Source

class Slow(Source):
    def fetch(self, jars, into, progress):
        for jar, path in super().fetch(jars, into, progress):
            yield jar, path
            with open(sys.argv[2], "a") as seen:
                print(jar.artifact, file=seen, flush=True)
            time.sleep(float(sys.argv[3]))

JarCache(Path(sys.argv[1]), Slow(), SystemClock()).fetch(JARS, Heard())
"""


def start_fetch(cache_dir, seen, *, pause_s) -> subprocess.Popen:
    command = [sys.executable, "-c", FETCH, str(cache_dir), str(seen), str(pause_s)]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_two_processes_at_once_fetch_every_jar_once(tmp_path):
    seen = tmp_path / "seen"
    fetches = [start_fetch(tmp_path / "cache", seen, pause_s=0.2) for _ in range(2)]

    assert [fetch.wait(30) for fetch in fetches] == [0, 0]
    assert sorted(seen.read_text().split()) == ["alpha", "beta", "gamma"]
    assert not JarCache(tmp_path / "cache", Source(), SystemClock()).shortfall(JARS)


def test_a_killed_fetch_leaves_whole_jars_and_the_next_one_the_rest(tmp_path):
    seen = tmp_path / "seen"
    fetch = start_fetch(tmp_path / "cache", seen, pause_s=60)
    eventually(seen.read_text)
    fetch.send_signal(signal.SIGKILL)
    assert fetch.wait(10) == -signal.SIGKILL
    cache = JarCache(tmp_path / "cache", source := Source(), SystemClock())

    before = cache.shortfall(JARS)
    cache.fetch(JARS, Heard())

    assert before.damaged == ()
    assert source.asked == [jar.artifact for jar in before.absent]
    assert 0 < len(source.asked) < len(JARS)
    assert not cache.shortfall(JARS)
    assert list(tmp_path.rglob("fetch-*")) == []


@pytest.mark.parametrize("command", [["setup"], ["start"], ["kafka", "topics", "--help"]], ids=" ".join)
def test_who_waits_for_another_fetch_gives_up_when_the_commands_time_is_up(cluster, tmp_path, command):
    lock = tmp_path / "cache" / "kraftd" / "staging" / "lock"
    lock.parent.mkdir(parents=True)
    cluster.environ = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        done = cluster.run("--json", "--timeout", "500ms", *command, timeout_s=30)

    assert (done.status, done.error["code"]) == (124, "locked")
