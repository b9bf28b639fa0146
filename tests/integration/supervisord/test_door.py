"""The door to a real supervisord, and to sockets that are none."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time

import psutil
import pytest

from kraftd.host.files import tail
from kraftd.supervisord.door import Supervisor, SupervisorRefusedError, SupervisorUnreachableError
from kraftd.supervisord.exits import last_exits

pytestmark = pytest.mark.integration

PROGRAMS = {
    "sleeper": f"{sys.executable} -c 'import time; time.sleep(60)'",
    "quitter": f"{sys.executable} -c 'raise SystemExit(7)'",
    "ghost": "/nonexistent/program",
}


def configuration(directory):
    sections = [
        f"""
        [unix_http_server]
        file={directory}/s.sock
        chmod=0700
        [supervisord]
        nodaemon=true
        logfile={directory}/supervisord.log
        pidfile={directory}/supervisord.pid
        [rpcinterface:supervisor]
        supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
        """
    ]
    sections += [
        f"""
        [program:{name}]
        command={command}
        autostart=false
        autorestart=false
        startsecs=0
        startretries=0
        stdout_logfile=NONE
        redirect_stderr=true
        """
        for name, command in PROGRAMS.items()
    ]
    return "\n".join(textwrap.dedent(section) for section in sections)


def until(condition, timeout_s=10.0):
    deadline_s = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline_s, "it did not come to pass"
        time.sleep(0.02)


def answers(door):
    with contextlib.suppress(SupervisorUnreachableError):
        return door.pid()
    return None


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("d")


@pytest.fixture(scope="module")
def door(directory):
    (directory / "conf").write_text(configuration(directory), encoding="utf-8")
    command = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(directory / "conf")]
    server = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    door = Supervisor(directory / "s.sock")
    try:
        until(lambda: answers(door))
        yield door
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)


def state_of(door, name):
    return door.processes()[name].state


def test_supervisord_tells_its_pid_and_its_programs(door):
    assert psutil.Process(door.pid()).is_running()
    assert set(door.processes()) == set(PROGRAMS)
    assert door.processes()["ghost"].pid is None
    assert door.processes()["ghost"].started_at_s is None


def test_a_program_starts_and_stops_without_the_call_waiting(door):
    door.start("sleeper:sleeper")
    process = until(lambda: door.processes()["sleeper"] if door.processes()["sleeper"].pid else None)

    # Between fork and exec the child still has supervisord's handler, which would swallow the TERM of a stop.
    until(lambda: "time.sleep(60)" in " ".join(psutil.Process(process.pid).cmdline()))
    assert process.state == "RUNNING"
    assert abs(process.started_at_s - time.time()) < 10
    door.start("sleeper:sleeper")
    door.stop("sleeper:sleeper")
    until(lambda: state_of(door, "sleeper") == "STOPPED")
    door.stop("sleeper:sleeper")
    assert door.processes()["sleeper"].pid is None


def test_the_log_tells_the_true_end_of_a_killed_program(door, directory):
    door.start("sleeper:sleeper")
    until(lambda: state_of(door, "sleeper") == "RUNNING")

    os.kill(door.processes()["sleeper"].pid, signal.SIGKILL)

    until(lambda: state_of(door, "sleeper") == "EXITED")
    assert last_exits(tail(directory / "supervisord.log", 50))["sleeper"].signal == "SIGKILL"


def test_an_early_exit_is_no_spawn_error(door, directory):
    door.start("quitter:quitter")

    until(lambda: state_of(door, "quitter") in ("EXITED", "FATAL", "BACKOFF"))
    assert door.processes()["quitter"].spawn_error == ""
    assert until(lambda: last_exits(tail(directory / "supervisord.log", 50)).get("quitter")).status == 7


def test_a_program_that_is_not_there_is_refused(door):
    with pytest.raises(SupervisorRefusedError, match="cannot carry out startProcess ghost:ghost"):
        door.start("ghost:ghost")


def test_a_name_that_supervisord_does_not_know_is_refused(door):
    with pytest.raises(SupervisorRefusedError, match="cannot carry out stopProcess nobody:nobody"):
        door.stop("nobody:nobody")


def test_calls_leak_no_descriptor(door):
    door.processes()
    before = psutil.Process().num_fds()

    for _ in range(20):
        door.processes()

    assert psutil.Process().num_fds() == before


def test_no_socket_is_unreachable(tmp_path):
    with pytest.raises(SupervisorUnreachableError, match="cannot reach supervisord at") as caught:
        Supervisor(tmp_path / "s").pid()

    assert "kraftd status" in caught.value.hint


@contextlib.contextmanager
def server(path, serve):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def test_a_server_that_never_answers_is_unreachable_in_time(tmp_path):
    def silent(listener):
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                listener.accept()

    with server(tmp_path / "s", silent):
        begun_s = time.monotonic()
        with pytest.raises(SupervisorUnreachableError, match="timed out"):
            Supervisor(tmp_path / "s", timeout_s=0.2).pid()

        assert time.monotonic() - begun_s < 5


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<x>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<x>",
    ],
)
def test_a_server_that_speaks_another_language_is_unreachable(tmp_path, answer):
    def babble(listener):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

    with server(tmp_path / "s", babble), pytest.raises(SupervisorUnreachableError):
        Supervisor(tmp_path / "s", timeout_s=2.0).pid()
