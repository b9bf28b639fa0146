"""Tests with real processes and no JVM; the settings of the person who runs them stay out."""

import os

import pytest

from tests.harness import Cluster


@pytest.fixture(autouse=True)
def own_user(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("KRAFTD_", "KAFKA_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def cluster(tmp_path):
    """A cluster that was never started, in a directory of its own."""
    return Cluster(tmp_path / "s")
