import pytest

from kraftd.errors import ConfigurationError
from kraftd.plan.kinds import default_replication_factor
from kraftd.plan.manifest import manifest_of
from kraftd.plan.planning import build_plan
from kraftd.plan.program import Kind
from tests.plans import INSTALLED, TOOLS, layout_at, plan_of, settings_of


@pytest.mark.parametrize(("brokers", "replicas"), [(1, 1), (2, 2), (3, 3), (5, 3)])
def test_the_default_replication_factor_is_at_most_three(brokers, replicas):
    assert default_replication_factor(brokers) == replicas


CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qk"


def plan_with(brokers, **options):
    return plan_of(f"[cluster]\nbrokers = {brokers}", **options)


def ports_of(toml=""):
    return [(port.number, port.owner) for port in plan_of(toml).ports]


def problems_of(toml):
    with pytest.raises(ConfigurationError) as caught:
        plan_of(toml)
    assert caught.value.exit_code == 2
    assert str(caught.value).startswith("cannot make a plan:\n")
    return caught.value.details["problems"]


@pytest.mark.parametrize(
    ("brokers", "voters"), [(1, [1]), (2, [1, 2, 101]), (3, [1, 2, 3]), (5, [1, 2, 3]), (32, [1, 2, 3])]
)
def test_the_voters_follow_from_the_number_of_brokers(brokers, voters):
    assert [voter.node_id for voter in plan_with(brokers).voters] == voters


def test_two_brokers_get_a_tie_breaker_that_is_a_controller_only():
    plan = plan_with(2)

    (controller,) = plan.controllers
    assert [node.name for node in plan.nodes] == ["broker-1", "broker-2", "controller-101"]
    assert (controller.kind, controller.node_id, controller.roles) == (Kind.CONTROLLER, 101, ("controller",))
    assert (controller.client, controller.jmx, controller.heap_bytes) == (None, None, 192 * 1024**2)


def test_brokers_after_the_third_are_brokers_only():
    roles = {node.name: node.roles for node in plan_with(5).nodes}

    assert roles["broker-3"] == ("broker", "controller")
    assert roles["broker-4"] == roles["broker-5"] == ("broker",)


def test_growing_from_two_to_three_brokers_keeps_the_voters_and_adds_a_broker_only():
    manifest = manifest_of(plan_with(2), CLUSTER_ID)

    grown = plan_with(3, manifest=manifest)

    assert grown.voters == manifest.voters
    assert {node.name: node.roles for node in grown.nodes} == {
        "broker-1": ("broker", "controller"),
        "broker-2": ("broker", "controller"),
        "broker-3": ("broker",),
        "controller-101": ("controller",),
    }


def test_the_default_ports_are_those_of_the_design():
    assert ports_of() == [
        (9092, "broker-1 (client listener)"),
        (10092, "broker-1 (controller listener)"),
        (9999, "broker-1 (JMX)"),
        (7071, "broker-1 (metrics agent)"),
        (9093, "broker-2 (client listener)"),
        (10093, "broker-2 (controller listener)"),
        (10000, "broker-2 (JMX)"),
        (7072, "broker-2 (metrics agent)"),
        (10192, "controller-101 (controller listener)"),
        (7171, "controller-101 (metrics agent)"),
        (8001, "producer (HTTP)"),
        (8002, "consumer (HTTP)"),
        (8000, "kraftd (HTTP)"),
    ]


def test_the_offset_shifts_every_port():
    plain = [port for port, _ in ports_of()]

    shifted = [port for port, _ in ports_of("[cluster]\nport_offset = 2000")]

    assert shifted == [port + 2000 for port in plain]


def test_the_largest_cluster_has_no_port_twice_even_at_the_largest_offset():
    ports = [port for port, _ in ports_of("[cluster]\nbrokers = 32\nport_offset = 55000\n[consumer]\ninstances = 16")]

    assert len(ports) == len(set(ports))
    assert max(ports) <= 65535


def test_a_program_knows_its_own_ports():
    plan = plan_of("[cluster]\nbrokers = 10\n[consumer]\ninstances = 2")

    found = {program.name: [each.port for each in program.listeners] for program in plan.programs}
    assert (found["broker-1"], found["broker-10"]) == ([9092, 10092, 9999, 7071], [9101, 10008, 7080])
    assert (found["consumer"], found["consumer-2"]) == ([8002], [8003])


def test_tools_are_planned_only_where_they_are_asked_for_and_installed():
    def names(toml, installed):
        plan = build_plan(settings_of(toml), layout_at(), "3.9.2", None, installed)
        return [tool.name for tool in plan.tools]

    assert names("", INSTALLED) == []
    assert names(TOOLS, {}) == []
    assert names(TOOLS, {"grafana": INSTALLED["grafana"]}) == ["grafana"]
    assert names(TOOLS, INSTALLED) == ["prometheus", "grafana"]


def test_a_tools_port_is_its_own_and_is_shifted_with_all_others():
    plan = plan_of(f"[cluster]\nport_offset = 100\n{TOOLS}port = 3100")

    assert [(tool.name, tool.port) for tool in plan.tools] == [("prometheus", 9190), ("grafana", 3200)]
    assert {tool.host for tool in plan.tools} == {"127.0.0.1"}


def test_nothing_listens_or_is_advertised_beyond_loopback():
    plan = plan_of(TOOLS)

    listeners = [port.listener for port in plan.ports]
    assert {listener.host for listener in listeners} == {"127.0.0.1"}
    assert {listener.address.rpartition(":")[0] for listener in listeners} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("brokers", "assignment"),
    [
        (1, ((1,), (1,), (1,), (1,))),
        (2, ((1, 2), (2, 1), (1, 2), (2, 1))),
        (3, ((1, 2, 3), (2, 3, 1), (3, 1, 2), (1, 2, 3))),
        (5, ((1, 2, 3), (2, 3, 4), (3, 4, 5), (4, 5, 1))),
    ],
)
def test_the_test_topic_is_spread_over_the_brokers(brokers, assignment):
    (topic,) = plan_with(brokers).topics

    assert (topic.name, topic.partitions, topic.assignment) == ("test-topic", 4, assignment)
    assert topic.replication_factor == default_replication_factor(brokers)


def test_a_topic_that_says_nothing_has_four_partitions_and_the_default_replicas():
    assert plan_of('[producer]\ntopic = "a"\n[consumer]\ntopic = "a"\n[[topic]]\nname = "a"').topics[0].assignment == (
        (1, 2),
        (2, 1),
        (1, 2),
        (2, 1),
    )


def test_a_topic_may_say_its_replicas_or_its_assignment():
    plan = plan_of(
        '[[topic]]\nname = "test-topic"\nreplication_factor = 1\npartitions = 3\n'
        '[[topic]]\nname = "orders"\nassignment = "2:1,2:1"\nconfig = { "retention.ms" = 1000, "preallocate" = true }'
    )

    assert [topic.assignment for topic in plan.topics] == [((1,), (2,), (1,)), ((2, 1), (2, 1))]
    assert plan.topics[1].config == {"retention.ms": "1000", "preallocate": "true"}


@pytest.mark.parametrize(
    ("first", "then", "replicas", "own"),
    [
        pytest.param(2, 2, 2, {}, id="Kafka's default is right"),
        pytest.param(2, 3, 2, {}, id="still right"),
        pytest.param(2, 3, 3, {"min.insync.replicas": "2"}, id="three replicas in a grown cluster"),
        pytest.param(3, 3, 3, {"min.insync.replicas": "2"}, id="three replicas"),
        pytest.param(3, 3, 2, {"min.insync.replicas": "1"}, id="two replicas where the brokers' default is for three"),
        pytest.param(5, 5, 5, {"min.insync.replicas": "2"}, id="as many as there are"),
    ],
)
def test_a_topic_gets_the_min_isr_that_its_replicas_allow_when_it_is_created(first, then, replicas, own):
    toml = f'[cluster]\nbrokers = {then}\n[[topic]]\nname = "test-topic"\nreplication_factor = {replicas}'

    (topic,) = plan_of(toml, manifest=manifest_of(plan_with(first), CLUSTER_ID)).topics

    assert topic.config == own


@pytest.mark.parametrize(
    ("table", "config"),
    [
        ('config = { "min.insync.replicas" = 3 }', {"min.insync.replicas": "3"}),
        ("[broker.config]\nmin.insync.replicas = 1", {}),
        ("[broker.2.config]\nmin.insync.replicas = 1", {}),
    ],
)
def test_the_users_min_isr_wins(table, config):
    (topic,) = plan_of(f'[cluster]\nbrokers = 3\n[[topic]]\nname = "test-topic"\n{table}').topics

    assert topic.config == config


@pytest.mark.parametrize(
    ("settings", "stated"),
    [
        ("", ()),
        ("partitions = 4", ("partitions",)),
        ("replication_factor = 1", ("replication_factor",)),
        ('assignment = "1:2"', ("partitions", "replication_factor", "assignment")),
    ],
)
def test_the_plan_of_a_topic_says_what_the_user_stated(settings, stated):
    assert plan_of(f'[[topic]]\nname = "test-topic"\n{settings}').topics[0].stated == stated


def test_a_brokers_own_property_wins_over_that_of_all_brokers():
    plan = plan_of(
        "[broker.config]\nlog.retention.hours = 1\nlog.cleaner.enable = false\n"
        "[broker.2.config]\nlog.retention.hours = 2"
    )

    one, two = plan.brokers
    assert dict(one.config) == {"log.retention.hours": "1", "log.cleaner.enable": "false"}
    assert dict(two.config) == {"log.retention.hours": "2", "log.cleaner.enable": "false"}
    assert plan.controllers[0].config == ()


def test_the_tie_breaker_checks_topics_and_groups_by_the_properties_of_the_brokers():
    plan = plan_of(
        "[broker.config]\nlog.cleaner.max.compaction.lag.ms = 5\ngroup.consumer.min.session.timeout.ms = 6\n"
        "group.initial.rebalance.delay.ms = 7\nlog.segment.bytes = 8"
    )

    assert dict(plan.controllers[0].config) == {
        "log.cleaner.max.compaction.lag.ms": "5",
        "group.consumer.min.session.timeout.ms": "6",
    }


@pytest.mark.parametrize(("enabled", "reaches"), [("true", True), ('"TRUE"', True), ("false", False)])
def test_retention_reaches_the_tie_breaker_where_topics_can_have_remote_storage(enabled, reaches):
    kept = {"log.retention.hours": "1", "log.local.retention.bytes": "2", "log.cleanup.policy": "compact"}
    lines = [f'"{key}" = "{value}"' for key, value in kept.items()]
    toml = "\n".join(["[broker.config]", f"remote.log.storage.system.enable = {enabled}", *lines])

    config = dict(plan_of(toml).controllers[0].config)

    assert config.pop("remote.log.storage.system.enable") == enabled.strip('"')
    assert config == (kept if reaches else {})


def test_the_text_of_a_property_keeps_its_case():
    assert dict(plan_of('[broker.config]\nbroker.rack = "Rack-A"').brokers[0].config) == {"broker.rack": "Rack-A"}


def test_the_apps_are_told_where_kafka_is_and_where_to_listen():
    producer, consumer, second = plan_of('[consumer]\ninstances = 2\ngroup = "g"\nenv = { APP_ACCESS_LOG = "1" }').apps

    assert producer.module == "kraftd_apps.producer"
    assert dict(producer.environment) == {
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092,127.0.0.1:9093",
        "KAFKA_TOPIC": "test-topic",
        "APP_HOST": "127.0.0.1",
        "APP_PORT": "8001",
        "APP_LINKS": "Status=http://127.0.0.1:8000/",
    }
    assert (consumer.name, consumer.port, consumer.url) == ("consumer", 8002, "http://127.0.0.1:8002/")
    assert (second.name, second.port, second.module) == ("consumer-2", 8003, "kraftd_apps.consumer")
    assert dict(second.environment)["KAFKA_GROUP_ID"] == "g"
    assert dict(second.environment)["APP_ACCESS_LOG"] == "1"


def test_the_pages_of_the_apps_link_to_the_status_page_and_to_where_records_are_sent():
    def links(toml):
        return [dict(app.environment)["APP_LINKS"] for app in plan_of(toml).apps]

    assert links("[consumer]\ninstances = 2") == [
        "Status=http://127.0.0.1:8000/",
        *2 * ["Status=http://127.0.0.1:8000/,Producer=http://127.0.0.1:8001/"],
    ]
    assert links("[producer]\nenabled = false\n[cluster]\nport_offset = 100") == ["Status=http://127.0.0.1:8100/"]
    assert links("[consumer]\nenabled = false\n[producer.env]\nAPP_LINKS = 'Ours=https://here/'") == [
        "Ours=https://here/"
    ]


def test_an_app_can_be_left_out():
    plan = plan_of("[producer]\nenabled = false\n[consumer]\nenabled = false")

    assert plan.apps == ()


def test_homes_and_options_are_part_of_the_plan():
    plan = plan_of('[kafka]\nhome = "/opt/kafka"\n[java]\nhome = "/opt/java"\noptions = ["-Xss1m"]')

    assert (str(plan.kafka_home), str(plan.java_home), plan.java_options) == ("/opt/kafka", "/opt/java", ("-Xss1m",))
    assert (plan_of().kafka_home, plan_of().java_home) == (None, None)


def test_the_plan_is_named_and_versioned_as_asked():
    plan = plan_of('[cluster]\nname = "blue"', kafka_version="4.3.1")

    assert (plan.cluster, plan.kafka_version) == ("blue", "4.3.1")


def test_every_contradiction_is_named_at_once():
    problems = problems_of('[broker.config]\nlisteners = "x"\n[producer]\nport = 8002\n[[topic]]\nname = "a"')

    assert [problem.split(" ")[0] for problem in problems] == [
        "producer.topic",
        "consumer.topic",
        'broker.config."listeners"',
        "port",
    ]
