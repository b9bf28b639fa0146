"""One real cluster for each test process, which tests share a process, and what is done about absent programs."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from tests.guard import Guard
from tests.harness import cluster_in

_TESTS = Path(__file__).parent

_PACKAGES = {
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "promtool": "prometheus",
    "systemd-analyze": "systemd",
}
"""What a test may need beyond Python and make, and the Debian package that has it."""

_absent = pytest.StashKey[dict[str, int]]()
_guard = pytest.StashKey[Guard]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Undo what a shell does to its background jobs, and refuse to run without a program under ALL=1.

    Programs would start deaf to Ctrl-C, and some tests press it.
    """
    if hasattr(config, "workerinput"):
        # Control sockets lie in it: pytest-xdist's own paths are too long for some.
        config.option.basetemp = tempfile.mkdtemp(prefix="kraftd-")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[_absent] = {}
    lacking = [name for name in _PACKAGES if shutil.which(name) is None]
    if lacking and os.environ.get("ALL") == "1":
        raise pytest.UsageError(f"ALL=1, but there is no {', '.join(lacking)}: {_install(lacking)}")


def pytest_itemcollected(item):
    """Mark what uses the cluster that the tests of a process share: -m can then leave all of it to one process."""
    if "cluster" in getattr(item, "fixturenames", ()) and item.get_closest_marker("kafka"):
        item.add_marker("shared")


def pytest_collection_modifyitems(config, items):
    """Deselect the long repetitions and the tests that need an absent program; order what is left."""
    absent = config.stash[_absent]
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
    if deselected:
        config.hook.pytest_deselected(items=deselected)
    # The modules that may take longest begin first, so that no process is left with one of them at the end.
    limits_s: dict[Path, float] = {}
    for item in kept:
        limit = item.get_closest_marker("timeout")
        limits_s[item.path] = max(limits_s.get(item.path, 0), limit.args[0] if limit else 0)
    items[:] = sorted(kept, key=lambda item: (*_class_of(item), -limits_s[item.path]))


def _class_of(item):
    return [item.get_closest_marker(name) is None for name in ("kafka", "integration")]


def pytest_collection_finish(session):
    """Guard a process that is about to run tests that start processes."""
    if not all(item.path.is_relative_to(_TESTS / "unit") for item in session.items):
        session.config.stash[_guard] = Guard()


def pytest_unconfigure(config):
    """End what tests left behind."""
    if _guard in config.stash:
        config.stash[_guard].close()


def pytest_sessionfinish(session, exitstatus):
    """Let the process that sums up know what this one did not test; keep its files where a test failed."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["absent"] = session.config.stash[_absent]
        if exitstatus == pytest.ExitCode.OK:
            shutil.rmtree(session.config.option.basetemp, ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Take over what a process did not test; all of them collected the same."""
    node.config.stash[_absent] = getattr(node, "workeroutput", {}).get("absent", {})


def pytest_terminal_summary(terminalreporter, config):
    """Say loudly what was not tested."""
    absent = config.stash[_absent]
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
