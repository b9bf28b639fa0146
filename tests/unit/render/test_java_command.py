from dataclasses import replace
from pathlib import Path

import pytest

from kraftd.errors import ConfigurationError
from kraftd.render.java_command import JvmLaunch, MetricsAgent, metrics_agent_argument, node_command
from tests.plans import LAUNCH, plan_of

HEAP = ("-Xms", "-Xmx")


def command_of(name, toml="", *, launch=LAUNCH, kafka_version="3.9.2", archive_options=None):
    plan = plan_of(toml, kafka_version=kafka_version)
    node = next(node for node in plan.nodes if node.name == name)
    return node_command(plan, node, launch, archive_options)


def starting_with(command, *starts):
    return [argument for argument in command if argument.startswith(starts)]


def test_a_broker_gets_the_heap_of_the_configuration_at_both_ends():
    assert starting_with(command_of("broker-1"), *HEAP) == ["-Xms4g", "-Xmx4g"]
    assert starting_with(command_of("broker-2", '[cluster]\nheap = "1536m"'), *HEAP) == ["-Xms1536m", "-Xmx1536m"]


def test_a_tie_breaker_gets_a_small_heap_and_the_serial_collector():
    command = command_of("controller-101", '[controller]\nheap = "100m"')

    assert starting_with(command, *HEAP) == ["-Xms64m", "-Xmx100m"]
    assert "-XX:+UseSerialGC" in command
    assert "-XX:+UseG1GC" not in command


def test_a_broker_collects_as_kafkas_scripts_make_it():
    assert {"-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35"} <= set(
        command_of("broker-1")
    )


@pytest.mark.parametrize("collector", ["-XX:+UseZGC", "-XX:+UseParallelGC"])
def test_the_users_collector_replaces_that_of_every_node(collector):
    toml = f'[java]\noptions = ["{collector}"]'

    for name in ("broker-1", "controller-101"):
        assert starting_with(command_of(name, toml), "-XX:+Use") == [collector]
    assert starting_with(command_of("broker-1", toml), "-XX:MaxGCPause", "-XX:Initiating", "-XX:+Explicit") == []


@pytest.mark.parametrize("option", ["-XX:+UseG1GC", "-XX:+UseStringDeduplication", "-XX:-UseZGC"])
def test_an_option_that_chooses_no_other_collector_leaves_g1_as_it_is(option):
    command = command_of("broker-1", f'[java]\noptions = ["{option}"]')

    assert {"-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", option} <= set(command)


def test_a_brokers_boot_is_not_optimised_and_a_tie_breaker_never_is():
    assert "-XX:Tier4InvocationThreshold=25000" in command_of("broker-1")
    assert "-XX:TieredStopAtLevel=1" not in command_of("broker-1")
    assert starting_with(command_of("controller-101"), "-XX:Tier") == ["-XX:TieredStopAtLevel=1"]


def test_java_comes_first_and_kafka_with_its_properties_last():
    command = command_of("broker-2")

    assert command[0] == "/opt/java/bin/java"
    assert command[-2:] == ("kafka.Kafka", "/srv/kraftd/local/config/broker-2/server.properties")


def test_every_jar_stands_on_the_class_path_in_the_given_order():
    command = command_of("broker-1")

    assert command[command.index("-cp") + 1] == "/cache/kafka.jar:/cache/scala.jar"


def test_a_jar_that_the_class_path_would_split_is_refused():
    with pytest.raises(ConfigurationError, match=r"cannot put /c:1/kafka\.jar on the class path") as caught:
        command_of("broker-1", launch=replace(LAUNCH, classpath=(Path("/c:1/kafka.jar"),)))

    assert caught.value.exit_code == 2


def test_the_process_is_known_by_the_clusters_state_directory_and_its_name():
    assert command_of("broker-1")[1] == "-Dkraftd.program=/srv/kraftd/local/broker-1"


def test_jmx_is_not_opened_by_flags_and_names_loopback_where_it_will_be():
    broker, controller = command_of("broker-2"), command_of("controller-101")

    assert starting_with(broker, "-Djava.rmi") == ["-Djava.rmi.server.hostname=127.0.0.1"]
    assert starting_with(controller, "-Djava.rmi") == []
    assert starting_with((*broker, *controller), "-Dcom.sun.management") == []


def test_every_node_has_the_same_modules_so_that_one_archive_serves_all():
    assert {"--add-modules=jdk.management.agent"} <= set(command_of("broker-1")) & set(command_of("controller-101"))


@pytest.mark.parametrize(
    ("java_major", "flags"),
    [
        (17, []),
        (21, []),
        (22, ["--enable-native-access=ALL-UNNAMED"]),
        (23, ["--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"]),
        (25, ["--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"]),
    ],
)
def test_a_java_is_given_only_flags_that_it_knows(java_major, flags):
    command = command_of("broker-1", launch=replace(LAUNCH, java_major=java_major))

    assert starting_with(command, "--enable-native", "--sun-misc") == flags


def test_an_archive_is_used_where_there_is_one():
    launch = replace(LAUNCH, archive=Path("/cache/a.aot"))

    assert starting_with(command_of("broker-1", launch=launch), "-XX:AOT") == ["-XX:AOTCache=/cache/a.aot"]
    assert starting_with(command_of("broker-1"), "-XX:AOT") == []


def test_a_training_run_replaces_the_archives_flags():
    launch = replace(LAUNCH, archive=Path("/cache/a.aot"))

    command = command_of("broker-1", launch=launch, archive_options=("-XX:AOTCacheOutput=/tmp/new.aot",))

    assert starting_with(command, "-XX:AOT") == ["-XX:AOTCacheOutput=/tmp/new.aot"]


def test_the_users_options_reach_every_node_after_kraftds_own():
    toml = '[java]\noptions = ["-Xss1m", "-Dx=a b"]'

    for name in ("broker-1", "controller-101"):
        command = command_of(name, toml)
        assert command[command.index("-cp") - 2 : command.index("-cp")] == ("-Xss1m", "-Dx=a b")


def test_all_that_a_node_writes_beside_its_data_goes_to_its_log_directory():
    command = command_of("broker-1")

    assert "-Dkafka.logs.dir=/srv/kraftd/local/logs/broker-1" in command
    assert "-XX:ErrorFile=/srv/kraftd/local/logs/broker-1/hs_err_%p.log" in command
    assert starting_with(command, "-Xlog:gc") == [
        '-Xlog:gc*:file="/srv/kraftd/local/logs/broker-1/gc.log":time,tags:filecount=5,filesize=10M'
    ]


def test_the_pattern_of_rotated_files_has_its_percent_signs_doubled():
    plan = plan_of(state_dir=Path("/srv/100%"))

    command = node_command(plan, plan.nodes[0], LAUNCH)

    assert "-Dkafka.logs.dir=/srv/100%/logs/broker-1" in command
    assert "-Dkafka.logs.pattern=/srv/100%%/logs/broker-1" in command


@pytest.mark.parametrize(
    ("kafka_version", "option"),
    [
        ("3.9.2", "-Dlog4j.configuration=file:///srv/kraftd/local/config/broker-1/log4j.properties"),
        ("4.3.1", "-Dlog4j2.configurationFile=/srv/kraftd/local/config/broker-1/log4j2.properties"),
    ],
)
def test_a_node_is_told_the_logging_of_its_kafka_version(kafka_version, option):
    assert option in command_of("broker-1", kafka_version=kafka_version)


def test_an_archive_is_no_option_where_there_is_none():
    assert JvmLaunch(Path("/java"), 25, ()).archive_options == ()


def test_a_node_unpacks_libraries_in_its_own_directory_or_where_the_user_says():
    own = "-Djava.io.tmpdir=/srv/kraftd/local/config/broker-1/tmp"
    chosen = "-Djava.io.tmpdir=/var/cache/x"

    assert starting_with(command_of("broker-1"), "-Djava.io.tmpdir") == [own]
    assert starting_with(command_of("broker-1", launch=replace(LAUNCH, has_own_temporary=False)), "-Djava.io") == []
    # The JVM takes the last one.
    options = f'[java]\noptions = ["{chosen}"]'
    assert starting_with(command_of("broker-1", options), "-Djava.io.tmpdir") == [own, chosen]


def test_the_metrics_agent_gets_its_jar_its_address_and_its_rules():
    agent = MetricsAgent(Path("/cache/agent.jar"), Path("/share/kafka.yml"))
    with_it, without = plan_of(), plan_of("[metrics_agent]\nenabled = false")

    assert metrics_agent_argument(with_it.nodes[0], agent) == "/cache/agent.jar=127.0.0.1:7071:/share/kafka.yml"
    assert metrics_agent_argument(with_it.nodes[2], agent) == "/cache/agent.jar=127.0.0.1:7171:/share/kafka.yml"
    assert metrics_agent_argument(with_it.nodes[0], None) == metrics_agent_argument(without.nodes[0], agent) == ""
