"""What the consumer app asks its brokers beside Kafka's protocol."""

import socket

import pytest

from kraftd_apps.consumer.service import KafkaClients
from kraftd_apps.consumer.settings import read_settings

pytestmark = pytest.mark.integration


def take_connections(servers):
    return KafkaClients(read_settings({"KAFKA_BOOTSTRAP_SERVERS": servers})).take_connections()


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "[::1]")])
def test_a_broker_takes_connections_while_something_listens(family, host):
    with socket.create_server((host.strip("[]"), 0), family=family) as server:
        address = f"{host}:{server.getsockname()[1]}"
        assert take_connections(address)
        assert take_connections(f"PLAINTEXT://{address}")

    assert not take_connections(address)


def test_a_name_that_nothing_can_have_is_no_broker():
    assert not take_connections("a..b:9092")
    assert not take_connections(f"{'x' * 70}.invalid:9092")
