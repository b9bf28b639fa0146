import re
from dataclasses import replace

import pytest

from kraftd.errors import IdentityMismatchError
from kraftd.operate.start.formatting import format_nodes, unformatted
from kraftd.operate.store import Store
from kraftd.plan.manifest import manifest_of
from tests.plans import plan_of


@pytest.fixture
def plan(tmp_path):
    return plan_of(state_dir=tmp_path / "s")


def meta(plan, name):
    return plan.layout.data(name) / "meta.properties"


def fields(plan, name):
    return dict(line.split("=", 1) for line in meta(plan, name).read_text().splitlines())


def formatted(plan):
    return format_nodes(plan, unformatted(plan, Store(plan.layout).manifest()), None)


def files_below(plan):
    return {path: path.read_bytes() for path in plan.layout.state_dir.rglob("*") if path.is_file()}


def test_every_empty_directory_is_formatted_with_one_cluster_id(plan):
    manifest = formatted(plan)

    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", manifest.cluster_id)
    assert {fields(plan, node.name)["cluster.id"] for node in plan.nodes} == {manifest.cluster_id}
    assert [fields(plan, node.name)["node.id"] for node in plan.nodes] == ["1", "2", "101"]
    assert len({fields(plan, node.name)["directory.id"] for node in plan.nodes}) == 3
    assert fields(plan, "broker-1")["version"] == "1"
    assert Store(plan.layout).manifest() == manifest


def test_nothing_is_left_to_format_afterwards(plan):
    manifest = formatted(plan)

    assert unformatted(plan, manifest) == ()


def test_a_second_format_changes_no_byte(plan):
    formatted(plan)
    before = files_below(plan)

    formatted(plan)

    assert files_below(plan) == before


def test_a_node_that_is_added_joins_the_same_cluster(plan, tmp_path):
    manifest = formatted(plan)
    grown = plan_of("[cluster]\nbrokers = 3", state_dir=tmp_path / "s", manifest=manifest)

    assert [node.name for node in unformatted(grown, manifest)] == ["broker-3"]
    assert formatted(grown).cluster_id == manifest.cluster_id == fields(grown, "broker-3")["cluster.id"]
    assert [node.name for node in Store(grown.layout).manifest().nodes] == [node.name for node in grown.nodes]


def test_a_checkpoint_is_copied_beside_each_identity(plan, tmp_path):
    (tmp_path / "checkpoint").write_bytes(b"\x00\xff")

    format_nodes(plan, unformatted(plan, None), tmp_path / "checkpoint")

    assert (plan.layout.data("broker-2") / "bootstrap.checkpoint").read_bytes() == b"\x00\xff"


def refused(plan, manifest):
    before = files_below(plan)
    with pytest.raises(IdentityMismatchError) as caught:
        unformatted(plan, manifest)
    assert caught.value.exit_code == 6
    assert caught.value.hint
    assert files_below(plan) == before
    return caught.value


def test_data_of_another_cluster_is_refused_with_both_values_and_both_paths(plan):
    manifest = replace(formatted(plan), cluster_id="MkU3OEVBNTcwNTJENDM2Qk")

    text = str(refused(plan, manifest))

    assert "cannot use the data of broker-1: cluster.id is " in text
    assert str(meta(plan, "broker-1")) in text
    assert "MkU3OEVBNTcwNTJENDM2Qk in " + str(plan.layout.manifest) in text


def test_data_of_another_node_is_refused(plan):
    manifest = formatted(plan)
    meta(plan, "broker-2").write_text(meta(plan, "broker-1").read_text())

    assert "node.id is 1 in" in str(refused(plan, manifest))


def test_formatted_data_without_a_manifest_is_refused(plan):
    formatted(plan)
    plan.layout.manifest.unlink()

    assert refused(plan, None).code == "manifest_missing"


def test_data_without_an_identity_is_refused(plan):
    directory = plan.layout.data("broker-1")
    directory.mkdir(parents=True)
    (directory / "test-topic-0").mkdir()

    assert refused(plan, None).code == "identity_missing"


def test_data_that_has_vanished_is_refused(plan):
    manifest = formatted(plan)
    meta(plan, "broker-2").unlink()

    error = refused(plan, manifest)

    assert (error.code, error.details["paths"]) == ("data_vanished", [str(plan.layout.data("broker-2"))])


def test_data_that_has_vanished_with_all_of_its_disk_is_refused(plan, tmp_path):
    manifest = formatted(plan)
    (plan.layout.state_dir / "data").rename(tmp_path / "unmounted")

    error = refused(plan, manifest)

    assert error.code == "data_vanished"
    assert error.details["paths"] == [str(plan.layout.data(node.name)) for node in plan.nodes]
    assert not (plan.layout.state_dir / "data").exists()


def test_the_empty_disk_of_a_finished_format_is_refused(plan):
    manifest = formatted(plan)
    for node in plan.nodes:
        meta(plan, node.name).unlink()

    assert refused(plan, manifest).code == "data_vanished"


def unfinished(plan):
    """Record a format that was interrupted before the first identity."""
    manifest = manifest_of(plan, "MkU3OEVBNTcwNTJENDM2Qk")
    interrupted = replace(manifest, unfinished=tuple(node.name for node in plan.nodes))
    Store(plan.layout).write_manifest(interrupted)
    return interrupted


def test_a_format_that_was_cut_after_the_manifest_is_taken_up_again(plan):
    unfinished(plan)

    assert formatted(plan).cluster_id == "MkU3OEVBNTcwNTJENDM2Qk"
    assert fields(plan, "broker-1")["cluster.id"] == "MkU3OEVBNTcwNTJENDM2Qk"


def test_a_format_that_was_cut_before_the_first_identity_is_taken_up_again(plan):
    interrupted = unfinished(plan)
    for node in plan.nodes:
        plan.layout.data(node.name).mkdir(parents=True)

    assert unformatted(plan, interrupted) == plan.nodes
    assert formatted(plan) == replace(interrupted, unfinished=()) == Store(plan.layout).manifest()


def test_a_format_that_was_cut_between_two_identities_is_taken_up_again(plan):
    manifest = formatted(plan)
    unfinished = replace(manifest, unfinished=tuple(node.name for node in plan.nodes))
    Store(plan.layout).write_manifest(unfinished)
    meta(plan, "broker-2").unlink()

    assert [node.name for node in unformatted(plan, unfinished)] == ["broker-2"]
    assert formatted(plan) == Store(plan.layout).manifest() == manifest
    assert fields(plan, "broker-2")["cluster.id"] == manifest.cluster_id


def test_what_a_format_that_was_cut_leaves_in_a_directory_is_no_data(plan, tmp_path):
    directory = plan.layout.data("broker-1")
    directory.mkdir(parents=True)
    (directory / "bootstrap.checkpoint").write_bytes(b"half")
    (directory / ".meta.properties.4711").write_text("version=1\nclus")
    (directory / ".bootstrap.checkpoint.4711").write_bytes(b"ha")
    (tmp_path / "checkpoint").write_bytes(b"whole")

    format_nodes(plan, unformatted(plan, None), tmp_path / "checkpoint")

    assert {path.name: path.stat().st_size > 0 for path in directory.iterdir()} == {
        "bootstrap.checkpoint": True,
        "meta.properties": True,
    }
    assert (directory / "bootstrap.checkpoint").read_bytes() == b"whole"


def test_while_a_node_is_added_the_others_can_still_vanish(plan, tmp_path):
    manifest = replace(formatted(plan), unfinished=("broker-3",))
    meta(plan, "broker-2").unlink()

    assert refused(plan, manifest).code == "data_vanished"


def test_an_identity_that_kafka_has_written_again_is_still_the_same(plan):
    manifest = formatted(plan)
    path = meta(plan, "broker-1")
    path.write_text(f"#\n#Sun Nov 22 16:00:00 UTC 2026\n# cluster.id=another\n\n{path.read_text()}")

    assert unformatted(plan, manifest) == ()
