from kraftd_apps.common.metrics import HttpMetrics


def text_after(*ended):
    metrics = HttpMetrics()
    for method, status, duration_s in ended:
        metrics.count({"method": method, "app_route": "/send"}, status, duration_s)
    return metrics.answer().body.decode().splitlines()


def test_requests_are_counted_by_status_and_timed_by_route():
    lines = text_after(("POST", 200, 0.003), ("POST", 200, 0.004), ("POST", 503, 30.0))
    assert 'http_requests_total{method="POST",route="/send",status="200"} 2.0' in lines
    assert 'http_requests_total{method="POST",route="/send",status="503"} 1.0' in lines
    prefix = 'http_request_duration_seconds_bucket{le="%s",method="POST",route="/send"} %s'
    wanted = (("0.0025", "0.0"), ("0.005", "2.0"), ("20.0", "2.0"), ("+Inf", "3.0"))
    assert [pair for pair in wanted if prefix % pair not in lines] == []
    assert 'http_request_duration_seconds_count{method="POST",route="/send"} 3.0' in lines
    assert 'http_request_duration_seconds_sum{method="POST",route="/send"} 30.007' in lines


def test_a_made_up_method_is_no_label_of_its_own():
    lines = text_after(("BREW", 405, 0.1), ("MELT", 405, 0.1))
    assert 'http_requests_total{method="other",route="/send",status="405"} 2.0' in lines
