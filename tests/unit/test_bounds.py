"""The bounds that keep the code readable, and what must not be in a public repository."""

import ast
import configparser
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for room in ("kraftd", "apps/kraftd_apps") for path in (ROOT / room).rglob("*.py"))
TEST_MODULES = sorted((ROOT / "tests").rglob("test_*.py"))

MOST_LINES_OF_A_MODULE = 500
MOST_LINES_OF_A_FUNCTION = 40
MOST_CHARACTERS_OF_A_TEST = 80
MOST_MODULES_OF_A_FOLDER = 13
# Written in parts, so that this file does not hold what it looks for.
FOREIGN = re.compile(
    "|".join(
        [
            r"(?<![\w.$/])/" + r"(?:root|work)/",
            r"/" + r"tmp/k\b",
            r"\b(?:artifactory|nexus|jfrog|devpi)" + r"[\w.-]*\.[a-z]{2,}",
            r"//[\w.-]+" + r"\.(?:internal|corp|intranet|lan)\b",
            r"\b(?:index-url|extra-index-url|find-links)" + r"\s*[=:]",
            r"-----BEGIN " + r"[A-Z ]*PRIVATE KEY",
        ]
    )
)


def tracked_files():
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_and_its_functions_fit_the_eye(path):
    text = path.read_text(encoding="utf-8")
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = [node.name for node in functions if node.end_lineno - node.lineno + 1 > MOST_LINES_OF_A_FUNCTION]

    assert len(text.splitlines()) <= MOST_LINES_OF_A_MODULE
    assert long == []


def test_every_package_is_shipped():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    packages = [
        path.parent.relative_to(ROOT if path.is_relative_to(ROOT / "kraftd") else ROOT / "apps")
        for path in MODULES
        if path.name == "__init__.py"
    ]

    assert config["options"]["packages"].split() == sorted(".".join(path.parts) for path in packages)


def test_what_says_that_it_is_pure_is_under_the_contract_for_that():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = config["importlinter:contract:pure"]["source_modules"].split()
    packages = [each for each in listed if (ROOT / each.replace(".", "/")).is_dir()]
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in MODULES}
    said = {
        name
        for path, name in names.items()
        if name.startswith("kraftd.")
        and re.search(r"\bPure\.", ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
        and not any(name.startswith(f"{package}.") for package in packages)
    }

    assert said == set(listed) - set(packages)


def test_a_folder_can_be_read_at_a_glance():
    folders = Counter(
        str(path.parent.relative_to(ROOT)) for path in MODULES if path.name not in ("__init__.py", "__main__.py")
    )

    assert {folder: count for folder, count in folders.items() if count > MOST_MODULES_OF_A_FOLDER} == {}


@pytest.mark.parametrize("path", TEST_MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_test_has_a_short_name_and_takes_nothing_from_another_module_of_tests(path):
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    sources = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]

    assert [name for name in names if len(name) > MOST_CHARACTERS_OF_A_TEST] == []
    assert [source for source in sources if source.rpartition(".")[2].startswith("test_")] == []


def test_no_tracked_file_holds_a_registry_host_a_machine_path_or_a_key():
    found = []
    for path in tracked_files():
        text = path.read_bytes().decode("utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in FOREIGN.finditer(text)]

    assert found == []


def test_the_address_that_kraftd_binds_is_written_in_one_place():
    found = [path.relative_to(ROOT) for path in (ROOT / "kraftd").rglob("*.py") if "127.0.0.1" in path.read_text()]

    assert [str(path) for path in found] == ["kraftd/plan/program.py"]


def test_every_file_that_the_architecture_names_exists():
    pages = (ROOT / "ARCHITECTURE.md", ROOT / "docs" / "decisions.md")
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    # A paragraph names the folder once, and further files of it without.
    named = re.findall(r"`([\w./-]+\.(?:py|j2|toml))`", text)
    places = [
        *ROOT.glob("*"),
        *(path for room in ("kraftd", "apps", "tests", "tools") for path in (ROOT / room).rglob("*.*")),
    ]
    known = {str(path.relative_to(ROOT)) for path in places}

    assert named
    assert [name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in known)] == []
