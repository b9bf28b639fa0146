"""The unit that `kraftd render --systemd` prints, as systemd reads it."""

import subprocess

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.needs("systemd-analyze"), pytest.mark.timeout(120)]


@pytest.mark.parametrize("place", ["spa ce 100% %s", "it's $HOME; \\back"])
@pytest.mark.parametrize("manager", [[], ["--user"]], ids=["system", "user"])
def test_systemd_finds_no_fault_with_a_unit(cluster, tmp_path, monkeypatch, place, manager):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    unit = tmp_path / "kraftd-local.service"
    state_dir = str(tmp_path / place)
    unit.write_text(cluster.run("render", "--systemd", *manager, "--state-dir", state_dir, check=True).stdout)

    done = subprocess.run(
        ["systemd-analyze", *manager, "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )

    # It ends with 0 where it ignores a line.
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_finds_a_fault_where_there_is_one(cluster, tmp_path):
    unit = tmp_path / "kraftd-local.service"
    text = cluster.run("render", "--systemd", check=True).stdout
    unit.write_text(text.replace("OOMPolicy=continue", "OOMPolicy=go-on"))

    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )

    assert "go-on" in done.stderr


@pytest.mark.parametrize("manager", [[], ["--user"]], ids=["system", "user"])
def test_a_unit_without_a_configuration_reads_none_at_home_either(cluster, manager):
    done = cluster.run("render", "--systemd", *manager, check=True)

    assert "--config" not in done.stdout
    assert "\nWorkingDirectory=/\n" in done.stdout


def test_a_unit_names_the_cluster_by_absolute_paths(cluster):
    cluster.config = cluster.state_dir.parent / "kraftd.toml"
    cluster.config.write_text('[cluster]\nname = "c"\n')

    done = cluster.run("render", "--systemd", "--json", check=True)

    (command,) = [line for line in done.document["text"].splitlines() if line.startswith("ExecStart=")]
    assert f'"--cluster" "c" "--state-dir" "{cluster.state_dir}" "--config" "{cluster.config}"' in command
    assert '"--set" "cluster.heap=256m"' in command
    assert command.endswith('"start" "--foreground"')
    assert "WorkingDirectory=" not in done.document["text"]
    assert cluster.run("render", "--user").status == 2
