"""Who has a port, where that is not a listener."""

import os
import socket

import pytest

from kraftd.host.machine import holder_of, is_free

pytestmark = pytest.mark.integration


def test_a_connection_that_goes_out_from_a_port_holds_it():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as outgoing:
        port = outgoing.getsockname()[1]

        assert not is_free("127.0.0.1", port)
        assert holder_of(port).pid == os.getpid()
        assert holder_of(server.getsockname()[1]).pid == os.getpid()
