"""One real cluster for the whole session, and what to do about programs that this machine lacks."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from tests.harness import cluster_in

_PACKAGES = {
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "wrk": "wrk",
}
"""What a test may need beyond Python and make, and the Debian package that has it."""

_absent = pytest.StashKey[dict[str, int]]()


def pytest_configure():
    """Undo what a shell does to its background jobs: programs would start deaf to Ctrl-C, and some tests press it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config, items):
    """Deselect the long repetitions, and tests that need an absent program; under ALL=1 its absence is a failure."""
    absent: dict[str, int] = {}
    kept, deselected = [], []
    for item in items:
        if item.get_closest_marker("soak") and os.environ.get("SOAK") != "1":
            deselected.append(item)
            continue
        needed = [name for marker in item.iter_markers("needs") for name in marker.args]
        lacking = [name for name in needed if shutil.which(name) is None]
        for name in lacking:
            absent[name] = absent.get(name, 0) + 1
        (deselected if lacking else kept).append(item)
    if absent and os.environ.get("ALL") == "1":
        raise pytest.UsageError(f"ALL=1, but there is no {', '.join(absent)}: {_install(absent)}")
    config.stash[_absent] = absent
    if deselected:
        items[:] = kept
        config.hook.pytest_deselected(items=deselected)


def pytest_terminal_summary(terminalreporter, config):
    """Say loudly what was not tested."""
    absent = config.stash.get(_absent, {})
    if absent:
        what = ", ".join(f"{name} ({count} tests)" for name, count in absent.items())
        terminalreporter.write_line(f"NOT TESTED, for want of {what}. {_install(absent)}", red=True, bold=True)


def _install(absent):
    return f"Install: apt-get install {' '.join(sorted({_PACKAGES[name] for name in absent}))}"


@pytest.fixture(scope="session", autouse=True)
def own_user():
    """Keep kraftd's settings of the person who runs the tests out of them."""
    for name in [name for name in os.environ if name.startswith(("KRAFTD_", "KAFKA_"))]:
        del os.environ[name]


@pytest.fixture(scope="session")
def cluster():
    """Yield a running default cluster: two brokers, the tie-breaker, both apps."""
    # A short path: the control socket lies in it.
    with tempfile.TemporaryDirectory(prefix="kraftd-") as directory, cluster_in(Path(directory)) as running:
        running.start()
        yield running
        assert running.stop().status == 0
        assert running.processes() == []


@pytest.fixture
def fresh():
    """Yield a cluster of the test's own, not started."""
    with tempfile.TemporaryDirectory(prefix="kraftd-") as directory, cluster_in(Path(directory)) as own:
        yield own
        own.run("stop", "--timeout", "60s")
        assert own.processes() == []
