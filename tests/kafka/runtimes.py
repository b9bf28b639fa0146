"""Kafka's jars and Java for tests that start nodes by themselves; whoever runs the tests has them already."""

import os
from pathlib import Path

from kraftd.clock import SystemClock
from kraftd.plan.layout import cache_dir
from kraftd.runtime.jars import JarSet
from kraftd.runtime.runtime import Runtime, RuntimeSpec, fetch_runtime

CACHE = cache_dir(os.environ, Path.home())


class Silent:
    """Shows nothing of a download."""

    def begin(self, total_bytes: int) -> None:
        pass

    def advance(self, byte_count: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass


def runtime_of(kafka_version: str, jar_set: JarSet = JarSet.BROKER) -> Runtime:
    """Return what runs a node, or Kafka's tools, of a version."""
    return fetch_runtime(RuntimeSpec(kafka_version), CACHE, SystemClock(), Silent(), jar_set)
