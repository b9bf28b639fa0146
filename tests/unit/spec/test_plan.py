from kraftd.spec.markers import Marker, java_marker, python_marker
from kraftd.spec.plan import GROUP_PRIORITIES, Kind, group_of
from tests.plans import TOOLS, plan_of


def test_groups_stop_in_the_order_daemon_tools_apps_brokers_controllers():
    stopping = sorted(GROUP_PRIORITIES, key=lambda kind: -GROUP_PRIORITIES[kind])

    assert [group_of(kind) for kind in stopping] == ["daemon", "tools", "apps", "brokers", "controllers"]


def test_a_program_is_known_to_supervisord_by_its_group():
    plan = plan_of()

    assert plan.supervised_name("broker-1") == "brokers:broker-1"
    assert plan.supervised_name("controller-101") == "controllers:controller-101"
    assert plan.supervised_name("producer") == "apps:producer"
    assert plan.supervised_name("kraftd") == "daemon:kraftd"


def test_every_program_has_a_kind_nodes_first():
    assert plan_of().kinds == {
        "broker-1": Kind.BROKER,
        "broker-2": Kind.BROKER,
        "controller-101": Kind.CONTROLLER,
        "producer": Kind.APP,
        "consumer": Kind.APP,
        "kraftd": Kind.DAEMON,
    }


def test_clients_bootstrap_from_every_broker_and_from_no_controller():
    assert plan_of("[cluster]\nbrokers = 3").bootstrap_servers == "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094"
    assert plan_of().bootstrap_servers == "127.0.0.1:9092,127.0.0.1:9093"


def test_the_clients_listener_comes_first():
    broker = plan_of().brokers[0]

    assert [listener.name for listener in broker.listeners] == ["PLAINTEXT", "CONTROLLER"]
    assert [listener.address for listener in broker.listeners] == ["127.0.0.1:9092", "127.0.0.1:10092"]


def test_tools_stand_between_the_apps_and_the_daemon():
    kinds = plan_of(TOOLS).kinds

    assert list(kinds)[-4:] == ["consumer", "prometheus", "grafana", "kraftd"]
    assert (kinds["prometheus"], kinds["grafana"]) == (Kind.TOOL, Kind.TOOL)


def test_a_tool_is_known_by_the_option_with_its_configuration_and_all_else_by_its_name():
    plan = plan_of(TOOLS)
    config = "/srv/kraftd/local/config"

    assert plan.marker("broker-1") == java_marker("/srv/kraftd/local/broker-1")
    assert plan.marker("controller-101") == java_marker("/srv/kraftd/local/controller-101")
    assert plan.marker("producer") == python_marker("/srv/kraftd/local/producer")
    assert plan.marker("kraftd") == python_marker("/srv/kraftd/local/kraftd")
    assert plan.marker("prometheus") == Marker((f"--config.file={config}/prometheus/prometheus.yml",), "prometheus")
    assert plan.marker("grafana") == Marker((f"--config={config}/grafana/grafana.ini",), "grafana")
