"""A real broker in the foreground, as a container runs it: process 1, with a service manager that watches."""

import os
import signal
import socket
import subprocess

import psutil
import pytest

from kraftd.host.events import read_events
from tests.harness import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]


def test_process_1_of_a_container_tells_when_it_is_ready_and_stops_clean(fresh):
    fresh.settings["cluster.brokers"] = 1
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(fresh.state_dir.parent / "notify"))
        manager.settimeout(60)
        environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "2000000"}
        unshare = subprocess.Popen(
            ["unshare", *own, "--pid", "--fork", "--mount-proc", *fresh.arguments("start", "--foreground", "--json")],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environ},
        )
        try:
            (first,) = eventually(lambda: psutil.Process(unshare.pid).children(), within_s=30)
            said = ""
            while "READY=1" not in said or "STATUS=ok: " not in said or "WATCHDOG=1" not in said:
                said += manager.recv(4096).decode() + "\n"
            assert fresh.send("x")["status"] == "sent"
            first.send_signal(signal.SIGTERM)
            output, _ = unshare.communicate(timeout=60)
        finally:
            unshare.kill()
            unshare.wait()

    assert unshare.returncode == 0
    assert "MAINPID=1\n" in said
    assert '"kind": "cluster_started"' in output
    stopped = {
        event.program: event.facts["clean"]
        for event in read_events(fresh.state_dir / "events")
        if event.kind == "stopped"
    }
    assert stopped["broker-1"] is True
    assert fresh.processes() == []
