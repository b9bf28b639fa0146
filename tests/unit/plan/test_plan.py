from kraftd.plan.program import GROUP_PRIORITIES, Kind, Marker, group_of, java_marker, python_marker
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
