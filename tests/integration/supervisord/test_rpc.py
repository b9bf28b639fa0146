"""The door to a real supervisord, and to sockets that are none."""

import contextlib
import os
import signal
import socket
import threading
import time

import psutil
import pytest

from kraftd.host.logs import tail
from kraftd.plan.program import DAEMON
from kraftd.supervisord.log import last_exits
from kraftd.supervisord.rpc import Supervisor, SupervisorRefusedError, SupervisorUnreachableError
from tests.harness import Cluster, eventually
from tests.integration.stand_ins import stand_ins

pytestmark = pytest.mark.integration

SLEEPER, QUITTER, GHOST = "producer", "broker-1", "consumer"


@pytest.fixture(scope="module")
def supervised(tmp_path_factory):
    """A program that sleeps, one that ends at once, and one that there is not."""
    cluster = Cluster(tmp_path_factory.mktemp("d") / "s")
    with stand_ins(cluster, commands={GHOST: ("/nonexistent/program",)}) as made:
        made.behave(QUITTER, after_s=0, status=7)
        yield made


@pytest.fixture
def door(supervised):
    return supervised.supervisor


def state_of(door, name):
    return door.processes()[name].state


def test_supervisord_tells_its_pid_and_its_programs(door, supervised):
    assert psutil.Process(door.pid()).is_running()
    assert set(door.processes()) == set(supervised.plan.names)
    assert door.processes()[GHOST].pid is None
    assert door.processes()[GHOST].started_at_s is None


def test_a_program_starts_and_stops_without_the_call_waiting(door, supervised):
    supervised.start(SLEEPER)
    eventually(lambda: state_of(door, SLEEPER) == "RUNNING", within_s=30)
    process = door.processes()[SLEEPER]

    assert abs(process.started_at_s - time.time()) < 10
    door.start(f"apps:{SLEEPER}")
    door.stop(f"apps:{SLEEPER}")
    eventually(lambda: state_of(door, SLEEPER) == "STOPPED", within_s=30)
    door.stop(f"apps:{SLEEPER}")
    assert door.processes()[SLEEPER].pid is None


def test_the_log_tells_the_true_end_of_a_killed_program(door, supervised):
    door.start(f"apps:{SLEEPER}")
    eventually(lambda: state_of(door, SLEEPER) == "RUNNING", within_s=30)

    os.kill(door.processes()[SLEEPER].pid, signal.SIGKILL)

    eventually(lambda: state_of(door, SLEEPER) == "EXITED", within_s=30)
    assert last_exits(tail(supervised.plan.layout.supervisord_log, 50))[SLEEPER].signal == "SIGKILL"


def test_an_early_exit_is_no_spawn_error(door, supervised):
    door.start(f"brokers:{QUITTER}")

    eventually(lambda: state_of(door, QUITTER) in ("EXITED", "FATAL", "BACKOFF"), within_s=30)
    assert door.processes()[QUITTER].spawn_error == ""
    log = supervised.plan.layout.supervisord_log
    assert eventually(lambda: last_exits(tail(log, 50)).get(QUITTER), within_s=30).status == 7


def test_what_waits_for_the_next_try_of_supervisord_is_started_at_once(door, supervised):
    supervised.behave(DAEMON, after_s=0, status=3)
    door.start(supervised.plan.daemon.supervised_name)
    # Each try comes a second later after the end before than the last one did.
    eventually(lambda: supervised.runs(DAEMON) >= 3 and state_of(door, DAEMON) == "BACKOFF", within_s=30)
    supervised.behave(DAEMON)

    door.start(supervised.plan.daemon.supervised_name)

    assert state_of(door, DAEMON) in ("STARTING", "RUNNING")


def test_a_program_whose_executable_is_gone_is_refused_with_its_path(door):
    with pytest.raises(SupervisorRefusedError, match=r"cannot start consumer: .*/nonexistent/program") as caught:
        door.start(f"apps:{GHOST}")

    assert caught.value.code == "executable_missing"
    assert "kraftd setup" in caught.value.hint


def test_a_program_whose_log_cannot_be_opened_is_not_started_and_leaves_no_pipe(door, supervised):
    log = supervised.plan.layout.console(QUITTER)
    log.unlink(missing_ok=True)
    log.mkdir()
    supervisord = psutil.Process(door.pid())
    before = supervisord.num_fds()
    try:
        for _ in range(3):
            assert "EISDIR" in door.start(f"brokers:{QUITTER}")
            eventually(lambda: state_of(door, QUITTER) == "FATAL", within_s=30)
    finally:
        log.rmdir()

    # The connection of the last question may not be closed yet.
    eventually(lambda: supervisord.num_fds() <= before, within_s=30, what="no descriptor is left open")
    assert door.start(f"brokers:{QUITTER}") == ""


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
        began_s = time.monotonic()
        with pytest.raises(SupervisorUnreachableError, match="timed out"):
            Supervisor(tmp_path / "s", timeout_s=0.2).pid()

        assert time.monotonic() - began_s < 5


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


def test_a_program_is_added_to_a_group_whose_others_run_on(cluster):
    with stand_ins(cluster) as made:
        made.start("producer", "broker-1")
        before = {name: made.process(name).pid for name in ("producer", "broker-1")}
        conf = made.plan.layout.supervisord_conf
        text = conf.read_text()
        section = text[text.index("[program:consumer]") : text.index("[program:", text.index("[program:consumer]") + 1)]
        grown = text.replace(section, section + section.replace("[program:consumer]", "[program:consumer-2]"))
        grown = grown.replace("programs=producer,consumer", "programs=producer,consumer,consumer-2")

        conf.write_text(grown)
        made.supervisor.update()
        made.supervisor.start("apps:consumer-2")
        eventually(lambda: made.supervisor.processes()["consumer-2"].pid, within_s=30)
        assert {name: made.process(name).pid for name in before} == before

        conf.write_text(grown.replace("stopwaitsecs=20", "stopwaitsecs=21"))
        made.supervisor.update()
        made.supervisor.stop("apps:consumer-2")
        eventually(lambda: made.supervisor.processes()["consumer-2"].pid is None, within_s=30)
        conf.write_text(text)
        made.supervisor.update()
        assert set(made.supervisor.processes()) == set(made.plan.names)
        assert {name: made.process(name).pid for name in before} == before
