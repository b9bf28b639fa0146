"""Tests with real processes and no JVM; the settings of the person who runs them stay out."""

import contextlib
import os
import re
from pathlib import Path

import psutil
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


@pytest.fixture
def clock_that_is_set(tmp_path, monkeypatch):
    """Return a context in which the system says it booted an hour before it will say so afterwards."""

    @contextlib.contextmanager
    def earlier():
        proc = tmp_path / "proc"
        proc.mkdir()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                (proc / entry.name).symlink_to(entry)
        stat = Path("/proc/stat").read_text()
        (proc / "stat").write_text(
            re.sub(r"^btime (\d+)", lambda match: f"btime {int(match[1]) - 3600}", stat, flags=re.M)
        )
        with monkeypatch.context() as patch:
            patch.setattr(psutil, "PROCFS_PATH", str(proc))
            yield

    return earlier
