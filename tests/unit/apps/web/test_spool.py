from kraftd_apps.web.spool import Spool
from kraftd_apps.web.telemetry import HttpMetrics


def test_whichever_worker_is_asked_tells_the_metrics_of_all(tmp_path):
    first, second = (HttpMetrics(Spool(tmp_path, worker)) for worker in (0, 1))
    first.count({"method": "POST", "app_route": "/send"}, 200, 0.003)
    first.leave()
    for _ in range(2):
        second.count({"method": "POST", "app_route": "/send"}, 200, 0.003)
    lines = second.answer().body.decode().splitlines()
    for worker, requests in (("0", "1.0"), ("1", "2.0")):
        assert f'http_requests_total{{method="POST",route="/send",status="200",worker="{worker}"}} {requests}' in lines
        bucket = f'le="0.005",method="POST",route="/send",worker="{worker}"'
        assert f"http_request_duration_seconds_bucket{{{bucket}}} {requests}" in lines
    assert sum(line.startswith("# TYPE http_requests_total") for line in lines) == 1


def test_one_worker_needs_no_label():
    metrics = HttpMetrics()
    metrics.count({"method": "GET", "app_route": "/metrics"}, 200, 0.1)
    metrics.leave()
    assert "worker=" not in metrics.answer().body.decode()
