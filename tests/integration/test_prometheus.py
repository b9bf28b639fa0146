"""A Prometheus of one's own with the configuration that ships: two clusters, one of which goes away, and bad files."""

import contextlib
import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from kraftd.health.programs.causes import diagnose
from kraftd.render.prometheus import standalone
from tests.harness import eventually, fetch, free_port
from tests.plans import plan_of

pytestmark = [pytest.mark.integration, pytest.mark.needs("prometheus")]

ROOT = Path(__file__).resolve().parents[2]
RULES = sorted((ROOT / "monitoring" / "rules").glob("*.yml"))


class StandInDaemon(BaseHTTPRequestHandler):
    """The part of a daemon that Prometheus asks, of a cluster with one broker."""

    def do_GET(self):
        address = f"127.0.0.1:{self.server.server_port}"
        labels = {"job": "kraftd", "program": "kraftd", "kafka_cluster": self.server.cluster}
        is_discovery = self.path == "/sd/prometheus"
        text = json.dumps([{"targets": [address], "labels": labels}]) if is_discovery else self.server.metrics
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if is_discovery else "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_arguments):
        pass


@contextlib.contextmanager
def daemon_of(cluster, broker_up):
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandInDaemon)
    server.cluster, server.metrics = cluster, f'kraftd_broker_up{{broker_id="1"}} {broker_up}\n'
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def prometheus_with(text, directory):
    (directory / "prometheus.yml").write_text(text, encoding="utf-8")
    port = free_port()
    arguments = [f"--storage.tsdb.path={directory / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={directory / 'prometheus.yml'}", "--log.level=warn", *arguments],
            stdout=log,
            stderr=log,
        )
    try:
        yield process, f"http://127.0.0.1:{port}/api/v1"
    finally:
        process.terminate()
        process.wait(30)


def configuration(*daemons):
    """Return what kraftd renders, faster, with a URL for each cluster as the head of the file says."""
    rendered = yaml.safe_load(standalone(plan_of(), RULES))
    rendered["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    urls = [f"http://127.0.0.1:{daemon.server_port}/sd/prometheus" for daemon in daemons]
    for job in rendered["scrape_configs"]:
        if "http_sd_configs" in job:
            job["http_sd_configs"] = [{"url": url, "refresh_interval": "1s"} for url in urls]
    return yaml.safe_dump(rendered)


def alerts(api):
    """Return the alerts whose condition holds, with their clusters; none while Prometheus comes up."""
    status, body = fetch(f"{api}/alerts")
    labels = [each["labels"] for each in json.loads(body)["data"]["alerts"]] if status == 200 else []
    return {(each["alertname"], each.get("kafka_cluster")) for each in labels}


def test_two_clusters_stay_apart_and_one_that_goes_away_stays_a_target(tmp_path):
    with daemon_of("größe 1", broker_up=0) as ill, contextlib.ExitStack() as stack:
        well = stack.enter_context(daemon_of("well", broker_up=1))
        with prometheus_with(configuration(ill, well), tmp_path) as (_, api):
            found = eventually(lambda: (now := alerts(api)) and ("BrokerDown", "größe 1") in now and now, within_s=30)
            assert ("BrokerDown", "well") not in found
            assert ("DaemonDown", "well") not in found

            stack.close()

            found = eventually(lambda: (now := alerts(api)) and ("DaemonDown", "well") in now and now, within_s=30)
            assert ("DaemonDown", "größe 1") not in found
            assert ("DaemonAbsent", None) not in found


@pytest.mark.parametrize(
    ("replaced", "by", "remedy"),
    [
        ("scrape_configs:", "rule_files: [broken.yml]\nscrape_configs:", "promtool check rules"),
        ("http_sd_configs", "http_sd_configs_of_tomorrow", "Read its log."),
    ],
    ids=["damaged rules", "unknown key"],
)
def test_a_prometheus_that_does_not_take_its_files_names_them(tmp_path, replaced, by, remedy):
    (tmp_path / "broken.yml").write_text("groups: [{name: a, rules: [{alert: A, expr: sum(}]}]")
    with prometheus_with(standalone(plan_of(), []).replace(replaced, by), tmp_path) as (process, _):
        assert process.wait(20) != 0

    cause = diagnose("exit status 1", (tmp_path / "log").read_text().splitlines())

    assert remedy in cause.remedy
    assert "broken.yml" in cause.text or "prometheus.yml" in cause.text
