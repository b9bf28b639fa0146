"""Long repetitions, for `make soak`."""

import random

import pytest

from tests.harness import eventually
from tests.kafka.writers import Writer, read_log

NODES = ("broker-1", "broker-2", "controller-101")

pytestmark = [pytest.mark.kafka, pytest.mark.soak, pytest.mark.timeout(1800)]


def test_ten_clusters_in_a_row_start_and_stop_cleanly(fresh):
    for _ in range(10):
        fresh.start()
        stopped = fresh.stop("--json").document

        assert stopped["unclean"] == []
        assert fresh.processes() == []


def test_thirty_kills_in_random_order_lose_nothing(fresh):
    chosen = random.Random(20261122)
    fresh.start()
    with Writer(fresh.bootstrap_servers, "test-topic") as writer:
        for number in range(10):
            if number == 5:
                # The pauses between restarts have grown; a cluster that is started anew begins without one.
                fresh.run("restart", check=True)
            for name in chosen.sample(NODES, len(NODES)):
                old = fresh.kill(name)
                eventually(lambda name=name, old=old: fresh.pid(name) != old, within_s=30, what=f"a new {name}")
                eventually(fresh.in_sync, within_s=60, what=f"all in sync after {name}")

    log = read_log(fresh.bootstrap_servers, "test-topic")
    assert writer.lost(log) == {}
