"""The rules for Prometheus in Prometheus' own eyes: each alert fires when it must, and is silent when it must be."""

import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.needs("promtool")]

ROOT = Path(__file__).resolve().parents[2]
RULES = sorted((ROOT / "monitoring" / "rules").glob("*.yml"))


def promtool(*arguments, cwd=ROOT):
    return subprocess.run(["promtool", *arguments], cwd=cwd, capture_output=True, text=True, timeout=50, check=False)


def test_every_file_of_rules_is_valid():
    done = promtool("check", "rules", "--lint-fatal", *map(str, RULES))

    assert (done.returncode, done.stdout.count("SUCCESS")) == (0, len(RULES)), done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "alerts").glob("*.yml")), ids=lambda path: path.stem)
def test_alerts_fire_when_they_must_and_only_then(path):
    done = promtool("test", "rules", path.name, cwd=path.parent)

    assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_that_cannot_fire_fails_its_test(tmp_path):
    (tmp_path / "monitoring" / "rules").mkdir(parents=True)
    (tmp_path / "tests" / "alerts").mkdir(parents=True)
    for path in (*RULES, ROOT / "tests" / "alerts" / "cluster.yml"):
        text = path.read_text(encoding="utf-8").replace("expr: kraftd_canary_success == 0", "expr: absent(up) == 0")
        (tmp_path / path.relative_to(ROOT)).write_text(text, encoding="utf-8")

    done = promtool("test", "rules", "cluster.yml", cwd=tmp_path / "tests" / "alerts")

    assert (done.returncode, "CanaryFailing" in done.stderr) == (1, True)
