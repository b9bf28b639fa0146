"""An open status page over a real HTTP server, whose end it must not delay."""

import socket
import threading

import pytest

from kraftd.clock import SystemClock
from kraftd.daemon.service import HttpServer, Service
from kraftd.serve.app import create_app
from kraftd.serve.front import Problem
from kraftd.web.server import server_config
from tests.harness import eventually
from tests.plans import plan_of

pytestmark = pytest.mark.integration

END_OF_CHUNKS = b"0\r\n\r\n"


def test_an_open_page_is_let_go_in_whole_when_the_server_shuts_down():
    service = Service(plan_of(), loop=None, collector=None, admin=None)
    config = server_config(
        create_app(plan_of(), service, SystemClock()),
        lambda fault, _under_way: Problem("malformed_request", fault).answer(),
        drain_s=2,
        log_level="critical",
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = HttpServer(config, on_shutdown=service.end_streams)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        eventually(lambda: server.started, within_s=20)
        with socket.create_connection(listener.getsockname(), timeout=20) as page:
            page.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            received = b""
            while b"event: snapshot" not in received:
                received += page.recv(65536)
            server.should_exit = True
            while piece := page.recv(65536):
                received += piece
        thread.join(20)

    assert received.endswith(END_OF_CHUNKS)
    assert not thread.is_alive()
