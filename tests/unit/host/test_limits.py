import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from kraftd.host.limits import (
    MOST_OPEN_FILES,
    highest_open_files,
    open_files_of,
    raise_open_files,
    raised_limits,
)

pytestmark = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="prlimit(2) is Linux'")


def may_raise_hard_limits():
    """Return whether this user has CAP_SYS_RESOURCE, which root of a container need not have."""
    status = Path("/proc/self/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> 24 & 1)


def limit_of(pid=0):
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)


@pytest.fixture
def child():
    """A process whose soft limit is below its hard one."""
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200)); print(); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", limited], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process.pid
        process.stdin.close()


def test_what_is_started_inherits_the_highest_limit_and_this_process_keeps_its_own():
    before = limit_of()

    with raised_limits():
        inherited = limit_of()

    assert inherited == (highest_open_files(), before[1])
    assert highest_open_files() <= MOST_OPEN_FILES
    assert limit_of() == before


def test_a_process_gets_this_ones_limit_or_its_own_hard_limit(child):
    told = raise_open_files(child)

    assert told == limit_of(child)[0] == (highest_open_files() if may_raise_hard_limits() else 200)


def test_a_higher_limit_is_never_lowered():
    before = limit_of(os.getpid())
    with raised_limits():
        assert raise_open_files(os.getpid()) == highest_open_files()
        assert limit_of()[0] == highest_open_files()
    assert limit_of() == before


def test_of_a_process_that_is_gone_nothing_is_told():
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)

    assert raise_open_files(int(done.stdout)) is None


def test_the_limit_of_a_process_is_told_and_not_changed():
    before = limit_of()

    assert open_files_of(os.getpid()) == min(before[0], MOST_OPEN_FILES)
    assert (limit_of(), open_files_of(2**22 + 1)) == (before, None)
