"""Asking programs whether they serve, over real sockets."""

import contextlib
import http.server
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from kraftd.health.programs.ladder import SERVES
from kraftd.observe.probes import ask, ask_all
from tests.harness import serving
from tests.plans import plan_of

pytestmark = pytest.mark.integration


@contextlib.contextmanager
def http_server(answers):
    """Serve (status, body) by path on a free port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = answers.get(self.path, (404, b""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format, *args):  # noqa: A002 the name is the base class's
            pass

    with serving(Handler) as port:
        yield port


@contextlib.contextmanager
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port():
    with listener() as port:
        return port


def test_an_app_serves_when_its_readyz_says_so():
    with http_server({"/readyz": (200, b"{}")}) as port:
        assert ask(plan_of(f"[producer]\nport = {port}").program("producer"), timeout_s=5.0) == SERVES


@pytest.mark.parametrize(("tool", "path"), [("prometheus", "/-/ready"), ("grafana", "/api/health")])
def test_a_tool_serves_when_its_own_health_check_says_so(tool, path):
    answers = {path: (200, b"{}")}
    with http_server(answers) as port:
        plan = plan_of(f"[{tool}]\nenabled = true\nport = {port}")
        assert ask(plan.program(tool), timeout_s=5.0) == SERVES

        answers[path] = (503, b"Service Unavailable")
        answer = ask(plan.program(tool), timeout_s=5.0)

    assert (answer.ready, answer.reason) == (False, f"{path}: HTTP 503")


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (503, b'{"reasons": ["no broker answers", "slow"]}', "/readyz: no broker answers; slow"),
        (503, b"", "/readyz: HTTP 503"),
        (500, b"[]", "/readyz: HTTP 500"),
        (503, b'{"reasons": null}', "/readyz: HTTP 503"),
        (404, b"<html>", "/readyz: HTTP 404"),
    ],
)
def test_an_app_that_does_not_serve_says_why(status, body, reason):
    with http_server({"/readyz": (status, body)}) as port:
        answer = ask(plan_of(f"[consumer]\nport = {port}").program("consumer"), timeout_s=5.0)

    assert (answer.ready, answer.reason) == (False, reason)


def test_the_daemon_is_asked_whether_its_loop_is_alive():
    with http_server({"/livez": (200, b"{}"), "/readyz": (503, b"{}")}) as port:
        assert ask(plan_of(f"[daemon]\nport = {port}").program("kraftd"), timeout_s=5.0) == SERVES


def test_an_app_that_does_not_listen_says_so():
    answer = ask(plan_of(f"[producer]\nport = {free_port()}").program("producer"), timeout_s=5.0)

    assert (answer.ready, answer.reason) == (False, "/readyz: connection refused")


def test_a_controller_serves_when_its_port_listens():
    with listener() as port:
        assert (
            ask(plan_of(f"[cluster]\nport_offset = {port - 10192}").program("controller-101"), timeout_s=5.0) == SERVES
        )

    answer = ask(plan_of(f"[cluster]\nport_offset = {port - 10192}").program("controller-101"), timeout_s=5.0)
    assert (answer.ready, answer.reason) == (False, "its port does not listen")


def test_a_broker_that_only_listens_does_not_serve_yet():
    with listener() as port:
        answer = ask(plan_of(f"[cluster]\nport_offset = {port - 9092}").program("broker-1"), timeout_s=0.2)

    assert not answer.ready
    assert "within 0.2 s" in answer.reason


@pytest.mark.perf
def test_several_programs_are_asked_side_by_side():
    with listener() as one, listener() as other, ThreadPoolExecutor(max_workers=2) as pool:
        plan = plan_of(f"[producer]\nport = {one}\n[consumer]\nport = {other}")
        began_s = time.monotonic()
        answers = ask_all(plan, ("producer", "consumer"), pool, timeout_s=1.0)

    assert {name: answer.reason for name, answer in answers.items()} == {
        "producer": "/readyz: no answer within 1 s",
        "consumer": "/readyz: no answer within 1 s",
    }
    assert time.monotonic() - began_s < 1.9


def test_nobody_is_asked_where_there_is_nobody():
    with ThreadPoolExecutor(max_workers=1) as pool:
        assert ask_all(plan_of(), (), pool, timeout_s=1.0) == {}
