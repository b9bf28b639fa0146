"""Every import contract holds, and each is broken once on a copy of the tree: one that cannot fail proves nothing."""

import configparser
import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]

VIOLATIONS = {
    "imports point downwards": ("kraftd/plan/plan.py", "import kraftd.render.files"),
    "what is planned, rendered and judged reaches no I/O": ("kraftd/health/programs/restarts.py", "import time"),
    "what runs a node knows neither Kafka's protocol nor supervisord": (
        "kraftd/runtime/java.py",
        "import kraftd.kafka.probe",
    ),
    "only the doors know what is behind them": ("kraftd/operate/status.py", "import psutil"),
    "the apps know of kraftd only what every HTTP side shares, and damage": (
        "apps/kraftd_apps/common/settings.py",
        "import kraftd.errors",
    ),
    "kraftd does not know the apps": ("kraftd/cli/main.py", "import kraftd_apps.producer.service"),
    "the daemon answers its probes without a framework": ("kraftd/web/guard.py", "import fastapi"),
}
"""Contract to the file and the line that break it."""

LAYERS = (
    ("cli/main.py",),
    ("daemon/loop.py", "operate/status.py"),
    ("serve/app.py",),
    ("observe/probes.py",),
    ("health/programs/state.py",),
    ("runtime/java.py",),
    ("supervisord/rpc.py", "kafka/probe.py", "host/files.py"),
    ("render/files.py",),
    ("plan/plan.py",),
    ("errors.py", "clock.py", "units.py", "web/asgi.py"),
)
"""A module of each room, from the top down."""

UPWARDS = [(lower[0], upper[0]) for upper, lower in itertools.pairwise(LAYERS)]
SIDEWAYS = [(one, other) for rooms in LAYERS for one in rooms for other in rooms if one != other]


def lint(tree):
    """Return the exit status and the output of import-linter over a tree."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": f"{tree}:{tree / 'apps'}", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def module(path):
    return "kraftd." + path.removesuffix(".py").replace("/", ".")


@pytest.fixture
def copied_tree(tmp_path):
    tree = tmp_path / "tree"
    for package in ("kraftd", "apps/kraftd_apps"):
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__", "locks", "static"))
    shutil.copy(ROOT / "setup.cfg", tree)
    return tree


def add_line(tree, path, line):
    with (tree / path).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")


def test_every_contract_holds():
    status, output = lint(ROOT)

    assert status == 0, output


def test_an_untouched_copy_breaks_nothing(copied_tree):
    status, output = lint(copied_tree)

    assert status == 0, output


def test_every_contract_is_broken_below():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    contracts = {
        parser[section]["name"] for section in parser.sections() if section.startswith("importlinter:contract")
    }

    assert contracts == set(VIOLATIONS)


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_a_contract_bites(copied_tree, contract):
    add_line(copied_tree, *VIOLATIONS[contract])

    status, output = lint(copied_tree)

    broken = {line.partition(" BROKEN")[0] for line in output.splitlines() if " BROKEN" in line}
    assert (status, contract in broken) == (1, True), output


@pytest.mark.parametrize(("importer", "imported"), [*UPWARDS, *SIDEWAYS])
def test_no_room_knows_the_one_above_or_beside_it(copied_tree, importer, imported):
    add_line(copied_tree, f"kraftd/{importer}", f"import {module(imported)}")

    status, output = lint(copied_tree)

    assert status == 1
    assert "imports point downwards BROKEN" in output


def test_a_room_without_a_place_in_the_layers_is_refused(copied_tree):
    (copied_tree / "kraftd" / "attic.py").write_text('"""A room that no one planned."""\n', encoding="utf-8")

    status, output = lint(copied_tree)

    assert status == 1
    assert "attic" in output


def test_the_apps_may_import_the_shared_web(copied_tree):
    add_line(copied_tree, "apps/kraftd_apps/common/settings.py", "import kraftd.web.asgi")

    status, output = lint(copied_tree)

    assert status == 0, output
