"""A state directory that is a directory of the user's too: what is theirs stays, and what is ours goes."""

import json
import os

import pytest

from tests.integration.formatted import format_cluster
from tests.integration.refusals import files_below, refused

pytestmark = pytest.mark.integration


@pytest.fixture
def project(cluster):
    """Make a project whose directories have the names that kraftd uses, and a web application's manifest."""
    for name in ("config/app.toml", "data/input.csv", "logs/app.log", "run/app.pid", "lock", "README.md"):
        path = cluster.state_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("theirs")
    (cluster.state_dir / "manifest.json").write_text('{"name": "app"}')
    return cluster.state_dir


def test_a_directory_without_a_cluster_is_not_destroyed(cluster, project):
    refused(cluster, "destroy", "--yes", status=3, code="never_started")


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_a_first_start_among_foreign_files_is_refused_before_it_writes(cluster, project, verb):
    before = files_below(project)

    error = refused(cluster, verb, status=8, code="foreign_content")

    names = ("config", "data", "logs", "run", "manifest.json", "lock")
    assert error["details"]["paths"] == [str(project / name) for name in names]
    assert files_below(project) == before


def test_a_stop_among_foreign_files_has_nothing_to_do(cluster, project):
    (project / "manifest.json").unlink()
    before = files_below(project)

    done = cluster.run("stop", "--json")

    assert (done.status, done.document["stopped"]) == (0, [])
    assert files_below(project) == before


def test_other_files_beside_a_cluster_are_kept_and_named(cluster):
    plan = format_cluster(cluster)
    odd = os.fsdecode(b"\x1b[31m\xff\n")
    theirs = [cluster.state_dir / "README.md", cluster.state_dir / "data" / odd]
    for path in theirs:
        path.write_text("theirs")

    listed = cluster.run("destroy")
    done = cluster.run("destroy", "--yes", "--json")

    assert listed.status == 2
    assert "\x1b" not in listed.stderr
    assert str(plan.layout.data("broker-1")) in listed.stderr
    assert done.status == 0
    assert sorted(os.fsencode(path) for path in json.loads(done.stdout)["kept"]) == sorted(map(os.fsencode, theirs))
    assert sorted(path for path in cluster.state_dir.rglob("*") if path.is_file()) == sorted(theirs)


def test_a_program_that_is_no_longer_planned_goes_with_its_cluster(cluster):
    cluster.settings["consumer.instances"] = 2
    grown = format_cluster(cluster)
    left = grown.layout.logs("consumer-2") / "console.log"
    left.parent.mkdir(parents=True)
    left.write_text("a line\n")
    del cluster.settings["consumer.instances"]
    format_cluster(cluster)

    assert cluster.run("destroy", "--yes").status == 0
    assert not cluster.state_dir.exists()
