"""Attaching to what is no JVM, or no longer runs; a real one is attached to by each start of a cluster."""

import os
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from kraftd.daemon.doors import load_metrics_agent
from kraftd.host.jvm import AttachError, diagnostic_command, enable_jmx, remove_sockets, temporary_directory
from kraftd.host.processes import Process, describe
from kraftd.plan.kinds import kafka_listener
from kraftd.plan.program import Purpose
from tests.clocks import ManualClock
from tests.harness import free_port

pytestmark = pytest.mark.integration

_LISTENER = """
import signal, sys
signal.signal(signal.SIGQUIT, signal.SIG_IGN)
print("ready", flush=True)
sys.stdin.read()
"""


_LATE = """
import os, socket, sys

server, agent = socket.socket(socket.AF_UNIX), socket.socket()
path = f"{sys.argv[1]}/.java_pid{os.getpid()}"
if os.path.exists(path):
    os.unlink(path)
server.bind(path)
os.chmod(path, 0o600)
server.listen()
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    with connection:
        command = connection.recv(4096).split(b"\\0")[1].decode()
        if command == "jcmd":
            agent.bind(("127.0.0.1", int(sys.argv[2])))
            agent.listen()
        print(command, flush=True)
        connection.sendall(b"0\\nreturn code: 0\\n")
"""
"""A JVM that has not loaded an agent yet when it is asked for something else, which it does after that."""


@pytest.fixture
def deaf(tmp_path):
    """Yield a process that ignores SIGQUIT, and the path of a JVM's socket for its pid."""
    child = subprocess.Popen(
        [sys.executable, "-c", _LISTENER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path, text=True
    )
    assert child.stdout.readline() == "ready\n"
    path = Path("/tmp" if sys.platform == "linux" else tempfile.gettempdir()) / f".java_pid{child.pid}"
    # That of a JVM that was killed, and had this pid before.
    path.unlink(missing_ok=True)
    yield describe(child.pid), path
    path.unlink(missing_ok=True)
    child.kill()
    child.communicate()


def listening(path, mode=0o600):
    """Listen on a path, as a JVM does once it was asked to."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    path.chmod(mode)
    server.listen()
    return server


def test_an_agent_is_not_loaded_again_where_a_load_without_an_answer_was_under_way(tmp_path):
    jar, rules, rendered, port = tmp_path / "agent.jar", tmp_path / "rules.yml", tmp_path / "argument", free_port()
    jar.touch()
    rules.touch()
    rendered.write_text(f"{jar}=127.0.0.1:{port}:{rules}")
    listener = kafka_listener(Purpose.METRICS, port)
    command = [sys.executable, "-c", _LATE, str(temporary_directory()), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as jvm:
        try:
            assert jvm.stdout.readline() == "ready\n"

            assert load_metrics_agent(rendered, listener, describe(jvm.pid), ManualClock()) is None
        finally:
            jvm.kill()
            (temporary_directory() / f".java_pid{jvm.pid}").unlink(missing_ok=True)
        assert jvm.stdout.read() == "jcmd\n"


def attach(process):
    return diagnostic_command(process, "VM.version", ManualClock())


def answering(path, text):
    """Listen as a JVM that answers a command with a text."""
    server = listening(path)

    def answer():
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(text.encode())

    threading.Thread(target=answer).start()
    return server


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("1\nExportException: in use; nested is:\n\tjava.net.BindException: Address already in use\n", "java.net.Bind"),
        ("1\nno such command\n", "no such command"),
        ("1\n", "1"),
    ],
)
def test_a_jvm_that_refuses_jmx_is_told_with_address_and_innermost_cause(deaf, tmp_path, answer, why):
    process, path = deaf

    with answering(path, answer), pytest.raises(AttachError) as caught:
        enable_jmx(process, kafka_listener(Purpose.JMX, 9999), tmp_path, ManualClock())

    assert str(caught.value).startswith("cannot open JMX on 127.0.0.1:9999: ")
    assert why in str(caught.value).partition("9999: ")[2]
    assert "\n" not in str(caught.value)


def test_a_jvm_that_serves_jmx_already_is_no_failure(deaf, tmp_path):
    process, path = deaf

    with answering(path, "1\nJMX agent already started\n"):
        enable_jmx(process, kafka_listener(Purpose.JMX, 9999), tmp_path, ManualClock())


def test_a_process_that_ended_before_it_was_attached_to_is_told():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()

    with pytest.raises(AttachError):
        attach(Process(child.pid, 1.0, 1.0))


def test_a_working_directory_that_is_gone_is_told(deaf, tmp_path):
    process, _ = deaf
    tmp_path.rmdir()

    with pytest.raises(AttachError):
        attach(process)


def test_a_process_that_makes_no_socket_is_told_and_nothing_is_left_behind(deaf, tmp_path):
    process, _ = deaf

    with pytest.raises(AttachError, match="no answer within"):
        attach(process)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o666, 0o620, 0o604])
def test_a_socket_that_others_may_use_is_not_trusted(deaf, mode):
    process, path = deaf

    with listening(path, mode), pytest.raises(AttachError, match="belongs to this user alone"):
        attach(process)


def test_a_file_in_the_sockets_place_is_not_trusted(deaf):
    process, path = deaf
    path.touch(mode=0o600)

    with pytest.raises(AttachError, match="belongs to this user alone"):
        attach(process)


def test_a_link_to_a_socket_is_not_trusted(deaf, tmp_path):
    process, path = deaf
    with listening(tmp_path / "own"):
        path.symlink_to(tmp_path / "own")

        with pytest.raises(AttachError, match="belongs to this user alone"):
            attach(process)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_socket_of_another_user_is_not_trusted(deaf):
    process, path = deaf
    with listening(path):
        os.chown(path, 65534, 65534)

        with pytest.raises(AttachError, match="belongs to this user alone"):
            attach(process)


@pytest.fixture
def ended():
    """Yield the pid of a process that ended, and the path of a JVM's socket for it."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    path = temporary_directory() / f".java_pid{child.pid}"
    yield child.pid, path
    path.unlink(missing_ok=True)


def test_the_socket_of_a_jvm_that_was_killed_is_removed(ended):
    pid, path = ended
    listening(path).close()

    remove_sockets([pid])

    assert not path.exists()


def test_what_is_no_socket_of_this_user_alone_is_left(ended):
    pid, path = ended
    path.write_text("someone's")

    remove_sockets([pid])

    assert path.exists()


def test_the_socket_of_a_process_that_lives_is_left(deaf):
    process, path = deaf
    with listening(path):
        remove_sockets([process.pid])

        assert path.exists()
