"""Who has a port, where that is not a listener; and a file system that is mounted noexec."""

import os
import socket
import subprocess
import sys

import pytest

from kraftd.host.machine import holder_of, is_free

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

MOUNT = 'mount -t tmpfs -o noexec none "$1" && exec "$2" -c "$3" "$1"'
ASK = """
import sys
from pathlib import Path
from kraftd.host.machine import allows_execution
mounted = Path(sys.argv[1])
(mounted.parent / "link").symlink_to(mounted / "absent")
asked = (mounted, mounted / "a" / "b", mounted.parent, mounted.parent / "c", mounted.parent / "link")
print([allows_execution(each) for each in asked])
"""


def test_a_connection_that_goes_out_from_a_port_holds_it():
    # Bound before it connects, as the kernel may give a port that it chooses itself to another connection too.
    unshared = ("127.0.0.1", 0)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), source_address=unshared) as outgoing,
    ):
        port = outgoing.getsockname()[1]

        assert not is_free("127.0.0.1", port)
        assert holder_of(port).pid == os.getpid()
        assert holder_of(server.getsockname()[1]).pid == os.getpid()


def test_a_directory_allows_execution_unless_it_or_its_next_parent_is_noexec(tmp_path):
    mounted = tmp_path / "noexec"
    mounted.mkdir()
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh", mounted, sys.executable, ASK]

    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if "unshare" in done.stderr or "mount" in done.stderr.split(":", maxsplit=1)[0]:
        pytest.skip(f"no mount namespace here: {done.stderr.strip()}")

    assert (done.stdout.strip(), done.stderr) == ("[False, False, True, True, True]", "")
