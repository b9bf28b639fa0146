"""A real Alertmanager with the configuration that kraftd renders: an alert reaches the webhook."""

import json
import subprocess
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kraftd.plan.kinds import ALERTMANAGER
from kraftd.render import alertmanager
from kraftd.render.tools import MonitoringFiles
from tests.harness import eventually, fetch, free_port
from tests.plans import plan_of

pytestmark = [pytest.mark.integration, pytest.mark.needs("prometheus-alertmanager")]

ALERT = {"labels": {"alertname": "BrokerDown", "kafka_cluster": "größe 1", "broker": 'a "quoted" one'}}


class Webhook(BaseHTTPRequestHandler):
    """Keeps what is sent to it."""

    def do_POST(self):
        self.server.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def webhook():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    server.received = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_an_alert_reaches_the_webhook_that_the_settings_name(webhook, tmp_path):
    port = free_port()
    url = f"http://127.0.0.1:{webhook.server_port}/"
    toml = f'[alertmanager]\nenabled = true\nport = {port}\nwebhook_url = "{url}"\n'
    plan = plan_of(toml, state_dir=tmp_path)
    tool = next(program for program in plan.programs if program.name == ALERTMANAGER)
    ((path, text),) = alertmanager.files(plan, tool, MonitoringFiles()).items()
    path.parent.mkdir(parents=True)
    path.write_text(text.replace("group_wait: 15s", "group_wait: 0s"), encoding="utf-8")
    arguments = ["prometheus-alertmanager", *alertmanager.arguments(plan, tool)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log)
    try:
        base = f"http://127.0.0.1:{port}"
        eventually(lambda: fetch(f"{base}/-/ready")[0] == 200, within_s=30)
        request = urllib.request.Request(
            f"{base}/api/v2/alerts", json.dumps([ALERT]).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=10).close()
        message = eventually(lambda: webhook.received, within_s=30)[0]
    finally:
        process.terminate()
        process.wait(30)

    assert (message["status"], message["groupLabels"]) == ("firing", {"kafka_cluster": "größe 1"})
    assert message["alerts"][0]["labels"] == ALERT["labels"]
