import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs

import pytest

from tests.harness import serving
from tools.dashboard_pictures.__main__ import main
from tools.dashboard_pictures.evaluation import PrometheusApi, QueryError, Window, evaluated

pytestmark = pytest.mark.integration
PANEL = {"targets": [{"expr": 'up{a="$cluster"}', "legendFormat": "{{program}}", "refId": "A"}]}


@contextmanager
def api(status, answer):
    bodies = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append((self.path, parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())))
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with serving(Handler) as port:
        yield f"http://127.0.0.1:{port}", bodies


def test_a_query_goes_to_prometheus_and_its_series_come_back():
    result = [{"metric": {"program": "broker-1"}, "values": [[1000, "1"], [1015, "NaN"]]}]

    with api(200, {"status": "success", "data": {"result": result}}) as (url, bodies):
        (series,) = evaluated(PANEL, PrometheusApi(url), {"cluster": "c"}, Window(1000, 1060, 15))

    assert (series.name, series.points) == ("broker-1", ((1000, 1.0),))
    assert bodies == [
        ("/api/v1/query_range", {"query": ['up{a="c"}'], "start": ["1000"], "end": ["1060"], "step": ["15"]})
    ]


def test_a_refused_query_is_told_with_prometheus_reason(tmp_path, capsys):
    with api(400, {"status": "error", "error": "parse error: oops"}) as (url, _):
        with pytest.raises(QueryError, match="oops"):
            PrometheusApi(url).at("up{", 1)
        code = main(["--prometheus", url, "--cluster", "c", "--out", str(tmp_path)])

    assert code == 1
    assert "cannot draw the dashboards: parse error: oops" in capsys.readouterr().err


def test_two_clusters_in_one_prometheus_need_a_choice(tmp_path, capsys):
    clusters = [{"metric": {"kafka_cluster": name}, "value": [1, "1"]} for name in ("a", "b")]

    with api(200, {"status": "success", "data": {"result": clusters}}) as (url, _):
        code = main(["--prometheus", url, "--out", str(tmp_path)])

    assert code == 1
    assert "--cluster" in capsys.readouterr().err
