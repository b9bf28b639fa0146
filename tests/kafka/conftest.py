"""One real cluster for the whole session; tests that break things bring their own."""

import os
import tempfile
from pathlib import Path

import pytest

from tests.harness import cluster_in


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
