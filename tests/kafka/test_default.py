"""The cluster that a user gets who sets nothing: default ports, 4 GB heaps."""

import json
import os
import tempfile
from pathlib import Path

import pytest

from tests.harness import Cluster, ports_are_free

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


@pytest.fixture
def default():
    if not ports_are_free(0) and os.environ.get("ALL") != "1":
        pytest.skip("the default ports are in use, by a cluster of yours perhaps: 'kraftd list'")
    with tempfile.TemporaryDirectory(prefix="kraftd-") as directory:
        cluster = Cluster(Path(directory) / "s", offset=0, settings={"cluster.heap": "4g", "java.options": "[]"})
        yield cluster
        cluster.clean_up()


def test_the_default_cluster_runs_with_4_gb_heaps_and_carries_a_record(default):
    default.start()

    commands = [default.command(name) for name in ("broker-1", "broker-2")]
    assert all({"-Xms4g", "-Xmx4g"} <= set(command) for command in commands)
    assert default.send({"key": "Hello Kafka!"})["topic"] == "test-topic"
    stopped = json.loads(default.stop("--json").stdout)
    assert stopped["unclean"] == []
    assert default.processes() == []
