from dataclasses import replace

from kraftd.plan.kinds import kafka_listener
from kraftd.plan.plan import Access, access_to
from kraftd.plan.program import Purpose
from tests.plans import plan_of

PLAIN = kafka_listener(Purpose.CLIENT, 9092)


def test_clients_bootstrap_from_every_broker_and_from_no_controller():
    assert plan_of().access == Access(("127.0.0.1:9092", "127.0.0.1:9093"))
    assert plan_of("[cluster]\nbrokers = 3").access.bootstrap_servers == "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094"


def test_a_plain_client_is_told_the_addresses_and_nothing_else():
    assert access_to([PLAIN]).environment == {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092"}


def test_a_client_of_protected_listeners_is_told_the_protocol_once():
    secured = replace(PLAIN, security_protocol="SSL", advertised_host="kafka.example")

    access = access_to([secured, replace(secured, port=9093)])

    assert access.properties == (("security.protocol", "SSL"),)
    assert access.environment == {
        "KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092,kafka.example:9093",
        "KAFKA_SECURITY_PROTOCOL": "SSL",
    }
