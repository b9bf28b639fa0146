"""The wheel that users install: complete, and working without the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (
    "kraftd",
    "apps",
    "docs",
    "monitoring",
    "supervisord.conf.j2",
    "setup.cfg",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)


def run(*command, cwd):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build from a copy: setuptools leaves its work beside the sources."""
    directory = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, directory / "tree" / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy(source, directory / "tree")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(directory), cwd=directory / "tree")
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """Return the Python of a fresh environment with the wheel, its dependencies borrowed from this one."""
    home = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", str(home), cwd=home)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(home / "bin" / "python"))
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel), cwd=home)
    site_packages = next(home.glob("lib/python*/site-packages"))
    # A line of a .pth file adds a directory, and does not read the .pth files of editable installations in it.
    (site_packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return home / "bin" / "python"


def names_in(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def on_disk(directory, below, pattern="*"):
    files = [path for path in (ROOT / directory).rglob(pattern) if path.is_file() and "__pycache__" not in path.parts]
    assert files
    return {str(path.relative_to(ROOT / below)) for path in files}


def test_no_module_and_no_file_of_a_package_is_forgotten(wheel):
    assert on_disk("kraftd", ".") | on_disk("apps/kraftd_apps", "apps") <= names_in(wheel)


def test_the_template_and_the_monitoring_files_are_inside(wheel):
    data = {name.split(".data/data/", 1)[1] for name in names_in(wheel) if ".data/data/" in name}

    assert data == {"share/kraftd/supervisord.conf.j2", "share/kraftd/docs/runbooks.md"} | {
        f"share/kraftd/{name}" for name in on_disk("monitoring", ".")
    }


def test_the_apps_install_under_a_name_of_their_own_and_nothing_else_comes_along(wheel):
    assert {name.split("/")[0].split("-")[0] for name in names_in(wheel)} == {"kraftd", "kraftd_apps"}


def test_the_installed_package_finds_its_files_without_the_checkout(python, tmp_path):
    script = (
        "import kraftd, kraftd_apps\n"
        "from kraftd.host.install import monitoring_dir, template_text\n"
        "print(kraftd.__file__, kraftd_apps.__file__, monitoring_dir(), sep='\\n')\n"
        "print(template_text(), end='')\n"
    )

    package, apps, monitoring, template = run(str(python), "-I", "-c", script, cwd=tmp_path).split("\n", 3)

    assert Path(package).is_relative_to(python.parents[1])
    assert Path(apps).is_relative_to(python.parents[1])
    assert Path(monitoring) == python.parents[1] / "share" / "kraftd" / "monitoring"
    assert template == (ROOT / "supervisord.conf.j2").read_text(encoding="utf-8")


def test_the_installed_command_runs(python, tmp_path):
    assert "kraftd" in run(str(python.parent / "kraftd"), "version", cwd=tmp_path)


def test_the_installed_command_plans_a_cluster(python, tmp_path):
    state_dir = tmp_path / "state"

    plan = run(str(python.parent / "kraftd"), "--state-dir", str(state_dir), "plan", "--json", cwd=tmp_path)

    assert str(state_dir) in plan
    assert not state_dir.exists()
