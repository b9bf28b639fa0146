import os
import socket

import psutil
import pytest

from kraftd.host.machine import PortHolder, holder_of, is_free, total_bytes


def test_without_a_limit_it_is_the_machines_memory(tmp_path):
    assert total_bytes((tmp_path / "absent",)) == psutil.virtual_memory().total


def test_the_lowest_limit_counts(tmp_path):
    (tmp_path / "low").write_text("4096\n")
    (tmp_path / "lower").write_text("1024\n")

    assert total_bytes((tmp_path / "low", tmp_path / "lower")) == 1024


def test_a_limit_above_the_machine_and_no_limit_at_all_change_nothing(tmp_path):
    (tmp_path / "max").write_text("max\n")
    (tmp_path / "huge").write_text("9223372036854771712\n")

    assert total_bytes((tmp_path / "max", tmp_path / "huge")) == psutil.virtual_memory().total


@pytest.fixture
def listener():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server


def test_a_port_that_someone_listens_on_is_not_free(listener):
    port = listener.getsockname()[1]

    assert not is_free("127.0.0.1", port)
    listener.close()
    assert is_free("127.0.0.1", port)


def test_the_holder_of_a_port_is_told_with_its_command(listener):
    holder = holder_of(listener.getsockname()[1])

    assert holder.pid == os.getpid()
    assert str(holder).startswith(f"pid {os.getpid()} (")
    assert len(holder.command) <= 120


def test_a_holder_that_may_not_be_seen_is_another_users():
    assert str(PortHolder(None)) == "a process of another user"


def test_a_host_that_is_not_this_machine_is_no_question_of_ports():
    with pytest.raises(OSError, match=r"[Aa]ssign|address"):
        is_free("192.0.2.1", 9)


def test_a_holder_that_belongs_to_a_cluster_is_named_as_such():
    java = PortHolder(4711, "/opt/java -Dkraftd.program=/srv/my state/local/broker-1 -Xms4g")
    python = PortHolder(4712, "/venv/python -X kraftd=/srv/local/consumer-2 -m kraftd_apps.consumer")

    assert str(java) == "pid 4711 (broker-1 of the kraftd cluster in /srv/my state/local)"
    assert str(python) == "pid 4712 (consumer-2 of the kraftd cluster in /srv/local)"
