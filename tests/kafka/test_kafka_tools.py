"""The table of Kafka's tools against the jars that they are in."""

import os
import zipfile
from pathlib import Path

import pytest

from kraftd.clock import SystemClock
from kraftd.plan.layout import cache_dir
from kraftd.render.kafka_tools import tools
from kraftd.runtime.jars import JarSet, locked_versions
from kraftd.runtime.runtime import RuntimeSpec, fetch_runtime
from tests.harness import Cluster
from tests.unit.runtime.jars import Heard

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


@pytest.mark.parametrize("kafka_version", locked_versions())
def test_the_main_class_of_every_tool_is_in_the_jars_of_its_version(kafka_version):
    cache = cache_dir(os.environ, Path.home())
    runtime = fetch_runtime(RuntimeSpec(kafka_version), cache, SystemClock(), Heard(), JarSet.TOOLS)
    entries = {name for jar in runtime.classpath for name in zipfile.ZipFile(jar).namelist()}

    absent = [
        tool.name
        for tool in tools(kafka_version).values()
        if f"{tool.main_class.replace('.', '/')}.class" not in entries
    ]

    assert absent == []


def test_a_tool_for_a_cluster_that_was_never_started_makes_no_state_directory(tmp_path):
    cluster = Cluster(tmp_path / "s")

    done = cluster.run("kafka", "topics", "--version", check=True)

    assert done.stdout.startswith("3.9")
    assert not cluster.state_dir.exists()
