"""Programs that run and give no answer, under a real supervisord: continued, or ended and restarted."""

import os
import signal
import socket
import sys
import threading

import psutil
import pytest

from kraftd.daemon.service import HttpServer
from kraftd.daemon.watchdog import Heartbeat
from kraftd.host.events import read_events
from kraftd.plan.program import python_marker
from kraftd.web.server import server_config
from tests.harness import eventually, free_port
from tests.integration.stand_ins import healing, stand_ins, view_of
from tests.plans import plan_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

SERVER = """
import faulthandler, http.server, pathlib, signal, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        while pathlib.Path("hang").exists():
            time.sleep(0.1)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments):
        pass

faulthandler.register(signal.SIGQUIT, file=2)
pathlib.Path("hang").unlink(missing_ok=True)
pathlib.Path("runs").open("a").write("run\\n")
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
"""Answers 200, until there is a file ``hang`` in its directory; a new run removes that."""


@pytest.fixture
def serving(cluster, tmp_path):
    """Yield a supervised cluster whose producer is an HTTP server that serves."""
    cluster.settings = {"watchdog.app_silent_s": 1, "daemon.interval_s": 0.2}
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    marker = python_marker(f"{cluster.state_dir}/producer")
    command = (sys.executable, *marker.arguments, str(script), str(8001 + cluster.offset))
    with stand_ins(cluster, commands={"producer": command}) as made:
        made.set_desired(True, "producer")
        made.start("producer")
        yield made


def told(made):
    return [(event.kind, event.program) for event in read_events(made.plan.layout.events)]


def serves(service):
    view = view_of(service, "producer")
    return view is not None and view.ready


def test_a_frozen_app_is_continued_and_keeps_its_process(serving):
    pid = serving.process("producer").pid
    with healing(serving) as service:
        eventually(lambda: serves(service), within_s=20)
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: not serves(service), within_s=20)

        eventually(lambda: ("recovered", "producer") in told(serving), within_s=40)

    assert serving.process("producer").pid == pid
    # More than once where the machine was too busy for it.
    assert set(told(serving)) == {("hung", "producer"), ("recovered", "producer")}


def test_an_app_that_hangs_is_ended_with_its_threads_in_its_log_and_restarted(serving):
    pid = serving.process("producer").pid
    with healing(serving) as service:
        eventually(lambda: serves(service), within_s=20)
        (serving.plan.layout.config("producer") / "hang").touch()

        eventually(lambda: ("hung", "producer") in told(serving), within_s=40)
        shown = eventually(lambda: view_of(service, "producer").notes, within_s=20)
        eventually(lambda: serving.runs("producer") == 2 and serves(service), within_s=60)

    assert "the watchdog" in shown[0]
    assert serving.process("producer").pid != pid
    assert told(serving)[-2:] == [("exited", "producer"), ("restarted", "producer")]
    assert "do_GET" in serving.plan.layout.console("producer").read_text()
    restarted = next(event for event in read_events(serving.plan.layout.events) if event.kind == "restarted")
    assert "the watchdog ended it" in restarted.text


DAEMON = """
import faulthandler, os, pathlib, signal, sys, time
faulthandler.register(signal.SIGQUIT, file=2)
heartbeat = pathlib.Path(sys.argv[1])
heartbeat.write_text("1.5")
pathlib.Path("hang").unlink(missing_ok=True)
pathlib.Path("runs").open("a").write("run\\n")
while True:
    time.sleep(0.1)
    if not pathlib.Path("hang").exists():
        os.utime(heartbeat)
"""
"""Beats as the daemon does, until there is a file ``hang`` in its directory."""


@pytest.fixture
def beating(cluster, tmp_path):
    """Yield a supervised cluster with a stand-in of the daemon that beats."""
    script = tmp_path / "daemon.py"
    script.write_text(DAEMON)
    marker = python_marker(f"{cluster.state_dir}/kraftd")
    command = (sys.executable, *marker.arguments, str(script), str(cluster.state_dir / "run" / "heartbeat"))
    with stand_ins(cluster, is_daemon_started=True, commands={"kraftd": command}) as made:
        eventually(lambda: made.runs("kraftd") == 1, within_s=20)
        yield made


def supervisord_says(made, text):
    return lambda: text in made.plan.layout.supervisord_log.read_text()


def test_a_frozen_daemon_is_continued_by_supervisord(beating):
    pid = beating.process("kraftd").pid
    heartbeat = beating.plan.layout.heartbeat
    os.kill(pid, signal.SIGSTOP)

    eventually(supervisord_says(beating, f"kraftd ({pid}) gives no heartbeat; woken"), within_s=20)
    woken_ns = heartbeat.stat().st_mtime_ns
    eventually(lambda: heartbeat.stat().st_mtime_ns != woken_ns, within_s=20)

    assert beating.process("kraftd").pid == pid


def test_a_daemon_that_hangs_is_ended_by_supervisord_and_starts_again(beating):
    pid = beating.process("kraftd").pid
    (beating.plan.layout.config("kraftd") / "hang").touch()

    eventually(supervisord_says(beating, f"kraftd ({pid}) gives no heartbeat; killed"), within_s=30)
    eventually(lambda: beating.runs("kraftd") == 2, within_s=20)

    assert beating.process("kraftd").pid != pid
    assert "Current thread" in beating.plan.layout.console("kraftd").read_text()


def test_a_daemon_that_looks_and_answers_nobody_does_not_beat(tmp_path):
    heartbeat = Heartbeat(tmp_path / "heartbeat", plan_of().daemon)
    heartbeat.begin()
    hangs, goes_on = threading.Event(), threading.Event()

    async def blocking(scope, receive, send):
        hangs.set()
        goes_on.wait(60)

    def beats():
        os.utime(tmp_path / "heartbeat", ns=(0, 0))
        heartbeat.beat()
        return (tmp_path / "heartbeat").stat().st_mtime_ns != 0

    port = free_port()
    config = server_config(blocking, lambda *_: None, drain_s=1, host="127.0.0.1", port=port, log_level="critical")
    server = HttpServer(config, on_shutdown=lambda: None, on_turn=heartbeat.note_http)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(beats, within_s=20, what="it serves")
        with eventually(lambda: socket.create_connection(("127.0.0.1", port)), within_s=20) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert hangs.wait(20)
            # What it noted before the request may be one beat.
            beats()
            assert [beats() for _ in range(3)] == [False] * 3
            goes_on.set()
            eventually(beats, within_s=20, what="it serves again")
    finally:
        goes_on.set()
        server.should_exit = True
        thread.join(30)


def test_a_start_continues_a_frozen_daemon(beating):
    pid = beating.process("kraftd").pid
    # So that supervisord does not do it first.
    beating.plan.layout.heartbeat.write_text("3600")
    os.kill(pid, signal.SIGSTOP)

    beating.cluster.run("start", "kraftd", "--timeout", "8s")

    assert psutil.Process(pid).status() != psutil.STATUS_STOPPED
