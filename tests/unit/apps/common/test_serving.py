import socket

import pytest

from kraftd_apps.common.serving import run
from kraftd_apps.common.settings import Reader, read_http


class MadeError(Exception):
    """The service is being made, so the app has its port."""


def test_nobody_can_listen_on_the_port_of_an_app_that_is_being_made():
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        settings = read_http(Reader({"APP_PORT": str(other.getsockname()[1])}), port=8001)

        def make_service():
            with pytest.raises(OSError, match="in use"):
                other.listen()
            raise MadeError

        with pytest.raises(MadeError):
            run(make_service, settings)
