"""Prometheus and Grafana beside a real cluster: a real Prometheus, a small program in the place of Grafana."""

import json
import os
import signal
import subprocess

import pytest

from tests.grafana import grafana_in
from tests.harness import NO_APPS, eventually, fetch

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


def targets(cluster):
    """Return the health of what Prometheus scrapes, by program."""
    _, body = fetch(f"http://127.0.0.1:{9090 + cluster.offset}/api/v1/targets")
    return {each["labels"]["program"]: each["health"] for each in json.loads(body)["data"]["activeTargets"]}


def alerts(cluster):
    """Return what fires in Prometheus, as the daemon has heard it."""
    _, body = fetch(f"http://127.0.0.1:{8000 + cluster.offset}/health")
    return (json.loads(body)["alerts"] or {}).get("firing")


@pytest.mark.needs("prometheus", "promtool")
def test_prometheus_scrapes_the_cluster_survives_a_kill_and_leaves_nothing_behind(fresh):
    fresh.config = fresh.state_dir.parent / "kraftd.toml"
    # One app asks for a token, the other does not.
    fresh.config.write_text('[prometheus]\nenabled = true\n[producer]\nenv = { APP_API_TOKEN = "hunter2" }\n')
    fresh.start()
    nodes = ("broker-1", "broker-2", "controller-101")
    scraped = dict.fromkeys(("kraftd", *nodes, "producer", "consumer", "prometheus"), "up")

    eventually(lambda: fresh.status()["status"] == "ok", what="a cluster that is well")
    rendered = fresh.state_dir / "config" / "prometheus" / "prometheus.yml"
    assert (rendered.parents[1] / "producer" / "producer.token").stat().st_mode & 0o777 == 0o600
    subprocess.run(["promtool", "check", "config", str(rendered)], check=True, capture_output=True, timeout=30)
    eventually(lambda: targets(fresh) == scraped, within_s=30, what="every target is up")
    eventually(lambda: alerts(fresh) == [], within_s=30, what="the daemon has asked for alerts")

    pid = fresh.program("prometheus")["pid"]
    os.kill(pid, signal.SIGKILL)
    again = eventually(
        lambda: (each := fresh.program("prometheus"))["ready"] and each["pid"] != pid and each, within_s=60
    )
    assert again["restarts"] == 1

    stopped = fresh.stop("--json").document
    assert stopped["unclean"] == []
    assert [each["killed"] for each in stopped["stopped"] if each["name"] == "prometheus"] == [None]
    assert fresh.processes() == []


def test_a_tool_that_is_absent_or_does_not_work_keeps_nothing_from_the_cluster(fresh, tmp_path):
    fresh.settings |= {"grafana.enabled": "true", **NO_APPS}
    absent = fresh.run("start", "grafana", "--json")
    assert (absent.status, "grafana is not on the PATH" in absent.error["message"]) == (4, True)

    directory = grafana_in(tmp_path)
    (directory / "broken").write_text("the cupboard is bare")
    fresh.environ["PATH"] = f"{directory}:{os.environ['PATH']}"
    started = fresh.start("--json").document

    assert any("grafana does not serve" in note and "the cupboard is bare" in note for note in started["notes"])
    status = fresh.run("status", "--json")
    assert (status.status, status.document["status"], status.document["ready"]) == (1, "degraded", True)
    assert fresh.run("wait", "--for", "ready", "--timeout", "30s").status == 0

    (directory / "broken").unlink()
    assert fresh.start("grafana", "--json").document["notes"] == []
    eventually(lambda: fresh.run("status", "--json").status == 0, what="a cluster that is well")
