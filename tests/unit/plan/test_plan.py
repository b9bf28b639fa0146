from dataclasses import replace

from kraftd.plan.kinds import kafka_listener
from kraftd.plan.plan import Access, access_to
from kraftd.plan.program import GROUP_PRIORITIES, Kind, Marker, Purpose, group_of, java_marker, python_marker
from tests.plans import TOOLS, plan_of


def test_groups_stop_in_the_order_daemon_tools_apps_brokers_controllers():
    stopping = sorted(GROUP_PRIORITIES, key=lambda kind: -GROUP_PRIORITIES[kind])

    assert [group_of(kind) for kind in stopping] == ["daemon", "tools", "apps", "brokers", "controllers"]


def test_a_program_is_known_to_supervisord_by_its_group():
    plan = plan_of()

    assert plan.program("broker-1").supervised_name == "brokers:broker-1"
    assert plan.program("controller-101").supervised_name == "controllers:controller-101"
    assert plan.program("producer").supervised_name == "apps:producer"
    assert plan.program("kraftd").supervised_name == "daemon:kraftd"


def test_every_program_has_a_kind_nodes_first():
    assert {program.name: program.kind for program in plan_of().programs} == {
        "broker-1": Kind.BROKER,
        "broker-2": Kind.BROKER,
        "controller-101": Kind.CONTROLLER,
        "producer": Kind.APP,
        "consumer": Kind.APP,
        "kraftd": Kind.DAEMON,
    }


def test_the_clients_listener_comes_first():
    broker = plan_of().brokers[0]

    assert [listener.name for listener in broker.kafka_listeners] == ["PLAINTEXT", "CONTROLLER"]
    assert list(broker.addresses) == ["127.0.0.1:9092", "127.0.0.1:10092"]


def test_tools_stand_between_the_apps_and_the_daemon():
    plan = plan_of(TOOLS)

    assert list(plan.names)[-4:] == ["consumer", "prometheus", "grafana", "kraftd"]
    assert (plan.program("prometheus").kind, plan.program("grafana").kind) == (Kind.TOOL, Kind.TOOL)


def test_a_tool_is_known_by_the_option_with_its_configuration_others_by_name():
    plan = plan_of(TOOLS)
    config = "/srv/kraftd/local/config"

    assert plan.marker("broker-1") == java_marker("/srv/kraftd/local/broker-1")
    assert plan.marker("controller-101") == java_marker("/srv/kraftd/local/controller-101")
    assert plan.marker("producer") == python_marker("/srv/kraftd/local/producer")
    assert plan.marker("kraftd") == python_marker("/srv/kraftd/local/kraftd")
    assert plan.marker("prometheus") == Marker((f"--config.file={config}/prometheus/prometheus.yml",), "prometheus")
    assert plan.marker("grafana") == Marker((f"--config={config}/grafana/grafana.ini",), "grafana")


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
