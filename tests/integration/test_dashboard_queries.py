"""The queries of the dashboards in Prometheus' own eyes."""

import json
import subprocess

import pytest

from tools.dashboard_pictures.evaluation import Window, expression, panels, variables
from tools.dashboards.__main__ import DASHBOARDS

pytestmark = [pytest.mark.integration, pytest.mark.needs("promtool")]


def queries_of(dashboard):
    window, values = Window(0, 1800, 15), variables(dashboard, "local")
    targets = [target for panel in panels(dashboard) for target in panel["targets"]]
    for each in (*targets, *dashboard["annotations"]["list"]):
        yield expression(each["expr"], values, window)


def test_prometheus_understands_every_query(tmp_path):
    found = {each for path in DASHBOARDS.glob("*.json") for each in queries_of(json.loads(path.read_text()))}
    rules = [{"record": f"query{place}", "expr": expr} for place, expr in enumerate(sorted(found))]
    file = tmp_path / "queries.yml"
    # JSON is YAML.
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}), encoding="utf-8")

    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout + done.stderr
    assert len(rules) > 100
