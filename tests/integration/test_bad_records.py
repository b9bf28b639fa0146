"""Data that belongs to something else, and records that a crash or a person damaged: told, and never made worse."""

import json

import pytest

from kraftd.plan.program import Kind
from tests.integration.formatted import format_cluster
from tests.integration.refusals import refused

pytestmark = pytest.mark.integration


@pytest.fixture
def plan(cluster):
    return format_cluster(cluster)


def cut(path):
    """Leave the first half of a file."""
    text = path.read_bytes()
    path.write_bytes(text[: len(text) // 2])


def test_fewer_brokers_than_formatted_are_refused_with_both_values_and_places(cluster, plan):
    cluster.settings["cluster.brokers"] = 1

    error = refused(cluster, "start", status=6, code="identity_mismatch")

    assert str(plan.layout.manifest) in error["message"]
    voters = next(line for line in error["details"]["differences"] if line.startswith("voters: "))
    assert f"planned 1@127.0.0.1:{10092 + cluster.offset},101@" in voters
    assert f"formatted with 1@127.0.0.1:{10092 + cluster.offset},2@" in voters
    assert "broker-2: not in the plan, but formatted as node 2, with data" in error["details"]["differences"]
    assert "cluster.brokers" in error["hint"]


@pytest.mark.parametrize(
    ("setting", "value", "recorded"),
    [("cluster.port_offset", 7, "formatted with"), ("cluster.kafka_version", "4.3.1", "the data is of 3.9.2")],
)
def test_what_the_first_format_fixed_stays(cluster, plan, setting, value, recorded):
    cluster.settings[setting] = value

    error = refused(cluster, "start", status=6, code="identity_mismatch")

    assert recorded in error["message"]
    assert setting in error["hint"]


@pytest.mark.parametrize(
    ("key", "value"), [("cluster.id", "AAAAAAAAAAAAAAAAAAAAAA"), ("node.id", "7")], ids=["cluster", "node"]
)
def test_data_of_another_cluster_or_node_is_refused_with_both_ids_and_both_paths(cluster, plan, key, value):
    meta = plan.layout.data("broker-2") / "meta.properties"
    lines = [f"{key}={value}" if line.startswith(f"{key}=") else line for line in meta.read_text().splitlines()]
    meta.write_text("\n".join(lines) + "\n")

    error = refused(cluster, "start", status=6, code="identity_mismatch")

    assert f"{key} is {value} in {meta}, but " in error["message"]
    assert str(plan.layout.manifest) in error["message"]
    assert "never formats over data" in error["hint"]


def test_data_without_a_manifest_is_refused(cluster, plan):
    plan.layout.manifest.unlink()

    error = refused(cluster, "start", status=6, code="manifest_missing")

    assert str(plan.layout.manifest) in error["message"]


def test_data_without_an_identity_is_refused(cluster, plan):
    directory = plan.layout.data("broker-1")
    (directory / "meta.properties").unlink()
    (directory / "test-topic-0").mkdir()

    error = refused(cluster, "start", status=6, code="identity_missing")

    assert f"cannot format {directory} for broker-1: it holds files" in error["message"]


def test_an_emptied_voter_is_not_formatted_again(cluster, plan):
    (plan.layout.data("broker-2") / "meta.properties").unlink()

    error = refused(cluster, "start", status=6, code="data_vanished")

    assert str(plan.layout.data("broker-2")) in error["message"]


def test_a_disk_that_is_not_mounted_is_not_formatted_anew(cluster, plan, tmp_path):
    (plan.layout.state_dir / "data").rename(tmp_path / "unmounted")

    error = refused(cluster, "start", status=6, code="data_vanished")

    assert error["details"]["paths"] == [str(plan.layout.data(node.name)) for node in plan.nodes]
    assert "destroy'" in error["hint"]


@pytest.mark.parametrize(
    ("record", "names", "status", "code"),
    [
        ("manifest", (), 6, "manifest_damaged"),
        ("desired", ("producer",), 1, "desired_state_damaged"),
        ("plan", (), 1, "plan_damaged"),
    ],
)
def test_a_cut_record_is_named_with_the_way_out_and_nothing_starts(cluster, plan, record, names, status, code):
    path = getattr(plan.layout, record)
    cut(path)

    error = refused(cluster, "start", *names, status=status, code=code)

    assert f"{path}: it is damaged" in error["message"]
    assert error["hint"].startswith(("Remove that file", "Restore the file"))


def test_a_manifest_of_a_newer_kraftd_is_refused(cluster, plan):
    newer = {**json.loads(plan.layout.manifest.read_text()), "schema_version": 99}
    plan.layout.manifest.write_text(json.dumps(newer))

    error = refused(cluster, "start", status=6, code="manifest_too_new")

    assert "schema version 99" in error["message"]


@pytest.mark.parametrize("record", ["manifest", "desired", "plan", "generation", "restarts", "supervisord_pid"])
def test_stop_and_destroy_work_in_spite_of_a_cut_record(cluster, plan, record):
    path = getattr(plan.layout, record)
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"schema_ver')

    assert cluster.run("stop").status == 0
    assert cluster.run("destroy", "--yes").status == 0
    assert not cluster.state_dir.exists()


@pytest.mark.parametrize("record", ["generation", "restarts", "supervisord_pid", "desired"])
def test_the_status_of_a_stopped_cluster_needs_no_more_than_its_plan(cluster, plan, record):
    path = getattr(plan.layout, record)
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"schema_ver')

    done = cluster.run("status", "--json")

    assert done.status == 3
    assert {node["service_state"] for node in done.document["nodes"]} == {"STOPPED"}
    assert {node["name"] for node in done.document["nodes"] if node["kind"] == Kind.BROKER} == {"broker-1", "broker-2"}


def test_a_copied_state_directory_is_another_cluster(cluster, plan, tmp_path):
    plan.layout.state_dir.rename(tmp_path / "moved")
    cluster.state_dir = tmp_path / "moved"

    done = cluster.run("status", "--json")

    assert done.document["state_dir"] == str(cluster.state_dir)
    assert cluster.run("destroy", "--yes").status == 0
    assert not cluster.state_dir.exists()
