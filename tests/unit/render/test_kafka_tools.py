from pathlib import Path

import pytest

from kraftd.errors import ConfigurationError
from kraftd.render.kafka_tools import find_tool, tool_command, tools

SERVERS = "127.0.0.1:9092,127.0.0.1:9093"


@pytest.mark.parametrize(
    ("name", "version", "main_class"),
    [
        ("topics", "3.9.2", "org.apache.kafka.tools.TopicCommand"),
        ("console-producer", "3.9.1", "kafka.tools.ConsoleProducer"),
        ("console-producer", "4.3.1", "org.apache.kafka.tools.ConsoleProducer"),
        ("acls", "3.9.2", "kafka.admin.AclCommand"),
        ("acls", "4.0.0", "org.apache.kafka.tools.AclCommand"),
        ("dump-log", "4.2.1", "kafka.tools.DumpLogSegments"),
        ("dump-log", "4.3.1", "org.apache.kafka.tools.DumpLogSegments"),
        ("configs", "4.3.1", "kafka.admin.ConfigCommand"),
        ("groups", "4.3.1", "org.apache.kafka.tools.GroupsCommand"),
    ],
)
def test_the_main_class_of_a_tool_follows_the_kafka_version(name, version, main_class):
    assert find_tool(name, version).main_class == main_class


@pytest.mark.parametrize("name", ["topics", "kafka-topics", "kafka-topics.sh"])
def test_the_name_of_the_script_means_the_tool(name):
    assert find_tool(name, "3.9.2").name == "topics"


def test_an_unknown_tool_is_refused_with_the_nearest_names():
    with pytest.raises(ConfigurationError, match="'topic'") as caught:
        find_tool("topic", "3.9.2")

    assert caught.value.hint == "Did you mean topics?"


def test_a_tool_of_a_newer_kafka_is_unknown_to_an_older_one():
    with pytest.raises(ConfigurationError, match=r"Kafka 3\.9\.2 has none"):
        find_tool("groups", "3.9.2")


def test_a_name_near_to_nothing_gets_the_whole_list():
    with pytest.raises(ConfigurationError) as caught:
        find_tool("xyzzy", "4.3.1")

    assert ", ".join(tools("4.3.1")) in caught.value.hint


@pytest.mark.parametrize(
    ("name", "version", "given", "complete"),
    [
        ("topics", "3.9.2", ["--list"], ("--bootstrap-server", SERVERS, "--list")),
        # describe is a sub-command, the address an option before it; with cluster it is the other way round.
        ("metadata-quorum", "3.9.2", ["describe"], ("--bootstrap-server", SERVERS, "describe")),
        ("cluster", "3.9.2", ["cluster-id"], ("cluster-id", "--bootstrap-server", SERVERS)),
        ("replica-verification", "4.3.1", [], ("--broker-list", SERVERS)),
        ("producer-perf-test", "4.3.1", [], ("--bootstrap-server", SERVERS)),
        ("producer-perf-test", "3.9.2", [], ()),
        ("storage", "3.9.2", ["info"], ("info",)),
        ("jmx", "3.9.2", ["--help"], ("--help",)),
    ],
)
def test_the_address_of_the_cluster_is_added_where_the_tool_takes_it(name, version, given, complete):
    assert find_tool(name, version).arguments(given, SERVERS) == complete


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("topics", ["--list", "--bootstrap-server", "other:9092"]),
        ("topics", ["--bootstrap-server=other:9092", "--list"]),
        ("metadata-quorum", ["--bootstrap-controller", "other:9093", "describe"]),
        ("console-producer", ["--broker-list", "other:9092"]),
        ("get-offsets", ["--broker-list=other:9092"]),
    ],
)
def test_an_address_that_was_given_stays_the_only_one(name, given):
    assert find_tool(name, "3.9.2").arguments(given, SERVERS) == tuple(given)


@pytest.mark.parametrize(
    ("name", "given", "asks"),
    [
        ("topics", ["--list"], True),
        ("broker-api-versions", [], True),
        ("cluster", ["cluster-id"], True),
        ("topics", ["--list", "--bootstrap-server", "other:9092"], False),
        ("metadata-quorum", ["--bootstrap-controller=127.0.0.1:10092", "describe"], False),
        ("topics", ["--version"], False),
        ("topics", ["--help"], False),
        ("features", ["version-mapping"], False),
        ("dump-log", ["--files", "a.log"], False),
        ("storage", ["random-uuid"], False),
    ],
)
def test_a_call_asks_the_cluster_where_it_is_told_no_other_place(name, given, asks):
    assert find_tool(name, "4.3.1").asks_cluster(given) is asks


def test_a_list_of_broker_ids_is_no_address():
    complete = find_tool("log-dirs", "3.9.2").arguments(["--broker-list", "1,2"], SERVERS)

    assert complete == ("--bootstrap-server", SERVERS, "--broker-list", "1,2")


def command_of(java_major: int, temporary: Path | None = None) -> tuple[str, ...]:
    return tool_command(
        find_tool("topics", "3.9.2"),
        ["--list"],
        java=Path("/java"),
        java_major=java_major,
        classpath=(Path("/a.jar"), Path("/b.jar")),
        logging_option="-Dlog4j.configuration=file:/log4j.properties",
        temporary=temporary,
    )


def test_a_tool_runs_in_a_small_jvm_without_jmx():
    command = command_of(25)

    assert command[0] == "/java"
    assert command[-4:] == ("-cp", "/a.jar:/b.jar", "org.apache.kafka.tools.TopicCommand", "--list")
    assert {"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"} < set(command)
    assert not [option for option in command if "jmx" in option]


def test_a_java_without_the_quiet_options_does_not_get_them():
    assert "--sun-misc-unsafe-memory-access=allow" in command_of(25)
    assert not [option for option in command_of(17)[1:-1] if option.startswith("--")]


@pytest.mark.parametrize(
    ("name", "version", "given", "complete"),
    [
        ("topics", "3.9.2", ["--list"], ("--bootstrap-server", SERVERS, "--command-config", "/c", "--list")),
        ("console-consumer", "3.9.2", [], ("--bootstrap-server", SERVERS, "--consumer.config", "/c")),
        ("console-producer", "4.3.1", [], ("--bootstrap-server", SERVERS, "--producer.config", "/c")),
        ("leader-election", "3.9.2", [], ("--bootstrap-server", SERVERS, "--admin.config", "/c")),
        ("cluster", "3.9.2", ["cluster-id"], ("cluster-id", "--bootstrap-server", SERVERS, "--config", "/c")),
        ("replica-verification", "3.9.2", [], ("--broker-list", SERVERS)),
        ("topics", "3.9.2", ["--command-config", "/own"], ("--bootstrap-server", SERVERS, "--command-config", "/own")),
        ("topics", "3.9.2", ["--bootstrap-server", "x:1"], ("--bootstrap-server", "x:1")),
    ],
)
def test_client_properties_are_given_by_file_where_the_cluster_wants_some(name, version, given, complete):
    assert find_tool(name, version).arguments(given, SERVERS, Path("/c")) == complete


def test_a_tool_unpacks_libraries_where_it_is_told():
    told = [option for option in command_of(25, Path("/own/tmp")) if "tmpdir" in option]

    assert (told, [option for option in command_of(25) if "tmpdir" in option]) == (["-Djava.io.tmpdir=/own/tmp"], [])
