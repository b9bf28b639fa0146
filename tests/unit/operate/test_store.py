import os
import tempfile
from pathlib import Path

import pytest

from kraftd.errors import KraftdError, NotRunningError
from kraftd.host.processes import Process
from kraftd.operate.store import Store
from kraftd.plan.desired import NOTHING_DESIRED, DesiredProgram
from kraftd.plan.manifest import manifest_of
from kraftd.plan.program import java_marker, python_marker
from tests.plans import layout_at, plan_of

START = DesiredProgram(running=True, since="2026-01-01T00:00:00Z", by="start", why="asked")


@pytest.fixture
def store(tmp_path):
    return Store(layout_at(tmp_path / "s"))


def test_a_cluster_that_never_was_has_no_records(store):
    assert (store.manifest(), store.plan(), store.desired(), store.generation()) == (None, None, NOTHING_DESIRED, 0)
    assert not store.layout.state_dir.exists()


def test_a_cluster_that_never_was_cannot_be_commanded(store):
    with pytest.raises(NotRunningError, match="cannot find the cluster local") as caught:
        store.plan_of_record("local")

    assert (caught.value.exit_code, caught.value.code) == (3, "never_started")


@pytest.mark.parametrize("runs", ["supervisord", "kraftd", "broker-2"])
def test_a_plan_that_is_gone_while_something_runs_is_no_cluster_that_never_was(store, runs):
    plan = plan_of(state_dir=store.layout.state_dir)
    store.write_manifest(manifest_of(plan, "MkU3OEVBNTcwNTJENDM2Qk"))
    identity = store.layout.identity(runs)
    marker = java_marker(identity) if runs == "broker-2" else python_marker(identity)
    running = Store(store.layout, lambda markers: {each: Process(7, 1.0, 1.0) for each in markers if each == marker})

    with pytest.raises(KraftdError) as caught:
        running.plan_of_record("local")

    assert (caught.value.exit_code, caught.value.code) == (1, "plan_missing")
    assert runs in str(caught.value)
    assert "'kraftd start'" in caught.value.hint


def test_a_stopped_cluster_without_its_plan_is_no_cluster_that_never_was(store):
    plan = plan_of(state_dir=store.layout.state_dir)
    store.write_manifest(manifest_of(plan, "MkU3OEVBNTcwNTJENDM2Qk"))

    with pytest.raises(NotRunningError, match="its data is there") as caught:
        store.plan_of_record("local")

    assert (caught.value.exit_code, caught.value.code) == (3, "plan_missing")
    assert "'kraftd start' writes it again" in caught.value.hint


def test_records_read_back_as_they_were_written(store):
    plan = plan_of(state_dir=store.layout.state_dir)
    manifest = manifest_of(plan, "MkU3OEVBNTcwNTJENDM2Qk")

    store.write_plan(plan)
    store.write_manifest(manifest)

    assert (store.plan_of_record("local"), store.manifest()) == (plan, manifest)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_the_plan_of_a_copy_is_read_where_its_old_place_is_private():
    # Not in tmp_path, which is private.
    with tempfile.TemporaryDirectory() as directory:
        old, copy = (layout_at(Path(directory) / name / "s") for name in ("old", "copy"))
        Store(copy).write_plan(plan_of(state_dir=old.state_dir))
        old.state_dir.mkdir(parents=True)
        old.state_dir.parent.chmod(0o700)
        for path in (Path(directory), *Path(directory, "copy").rglob("*"), Path(directory, "copy")):
            os.chown(path, 1234, 1235)
        os.seteuid(1234)
        try:
            plan = Store(copy).plan()
        finally:
            os.seteuid(0)

    assert plan.layout == copy


def test_a_wish_carries_the_generation_under_which_it_was_made(store):
    store.raise_generation()
    store.raise_generation()

    store.set_desired(["broker-1"], START)

    assert (store.generation(), store.desired().generation) == (2, 2)
    assert store.desired().wants("broker-1")


def test_a_damaged_generation_counts_as_none(store):
    store.raise_generation()
    store.layout.generation.write_text("x\n")

    assert store.generation() == 0
    store.raise_generation()
    assert store.generation() == 1
