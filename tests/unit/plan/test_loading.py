import pytest

from kraftd.errors import ConfigurationError
from kraftd.plan.loading import assignments_layer, configure, environment_layer, parse_toml
from kraftd.plan.settings import SETTINGS


def configured(toml="", environ=None, assignments=()):
    layers = [parse_toml(toml, "kraftd.toml"), environment_layer(environ or {}), assignments_layer(assignments)]
    return configure(layers)


def problems_of(toml="", environ=None, assignments=()):
    with pytest.raises(ConfigurationError) as caught:
        configured(toml, environ, assignments)
    assert caught.value.exit_code == 2
    assert str(caught.value).startswith("cannot ")
    return caught.value.details["problems"]


def test_no_file_is_needed():
    assert configure([]).settings == SETTINGS()


def test_the_defaults_are_those_of_the_design():
    settings = SETTINGS()

    assert (settings.cluster.name, settings.cluster.kafka_version, settings.cluster.brokers) == ("local", "3.9", 2)
    assert (settings.cluster.heap, settings.controller.heap, settings.cluster.port_offset) == ("4g", "192m", 0)
    assert [(topic.name, topic.partitions) for topic in settings.topic] == [("test-topic", 4)]
    assert (settings.producer.port, settings.consumer.port, settings.daemon.port) == (8001, 8002, 8000)
    assert (settings.consumer.group, settings.consumer.instances) == ("test-group", 1)
    assert (settings.daemon.interval_s, settings.daemon.lag_interval_s) == (1.0, 10.0)


def test_a_later_layer_overrides_an_earlier_one_key_by_key():
    settings = configured(
        '[cluster]\nbrokers = 3\nheap = "1g"\nport_offset = 10',
        {"KRAFTD_CLUSTER_BROKERS": "4", "KRAFTD_CLUSTER_HEAP": "2g"},
        ["cluster.brokers=5"],
    ).settings

    assert (settings.cluster.brokers, settings.cluster.heap, settings.cluster.port_offset) == (5, "2g", 10)


def test_every_value_says_where_it_came_from():
    configuration = configured(
        '[cluster]\nport_offset = 10\n[broker.2.config]\n"log.retention.hours" = 1\n[[topic]]\nname = "orders"',
        {"KRAFTD_CLUSTER_HEAP": "2g"},
        ["cluster.brokers=5"],
    )

    rows = {key: (value, origin) for key, value, origin in configuration.rows()}

    assert rows["cluster.name"] == ("local", "default")
    assert rows["cluster.port_offset"] == (10, "kraftd.toml")
    assert rows["cluster.heap"] == ("2g", "environment")
    assert rows["cluster.brokers"] == (5, "command line")
    assert rows["broker.2.config.log.retention.hours"] == (1, "kraftd.toml")
    assert rows["topic"][1] == "kraftd.toml"


def test_rows_come_in_the_order_of_the_schema_and_show_no_inner_names():
    keys = [key for key, _, _ in configure([]).rows()]

    assert keys[:3] == ["cluster.name", "cluster.kafka_version", "cluster.brokers"]
    assert keys[-1] == "grafana.port"
    assert len(keys) == len(set(keys))
    assert not [key for key in keys if "<" in key or key.startswith("broker.nodes")]


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        (
            '[cluster]\nheap = "4gb!"',
            'cluster.heap = "4gb!": must be a whole number followed by k, m or g, at least 160m',
        ),
        ("[cluster]\nheap = 4", "cluster.heap = 4: must be a whole number followed by k, m or g, at least 160m"),
        (
            '[cluster]\nheap = "100m"',
            'cluster.heap = "100m": must be a whole number followed by k, m or g, at least 160m',
        ),
        ("[cluster]\nbrokers = 0", "cluster.brokers = 0: must be a whole number from 1 to 32"),
        ("[cluster]\nbrokers = 33", "cluster.brokers = 33: must be a whole number from 1 to 32"),
        ("[cluster]\nbrokers = true", "cluster.brokers = true: must be a whole number from 1 to 32"),
        ("[cluster]\nbrokers = 2.5", "cluster.brokers = 2.5: must be a whole number from 1 to 32"),
        (
            "[cluster]\nkafka_version = 3.9",
            'cluster.kafka_version = 3.9: must be a Kafka version such as "3.9" or "3.9.1"',
        ),
        ("[cluster]\nport_offset = -1", "cluster.port_offset = -1: must be a whole number from 0 to 55000"),
        ("cluster = 5", "cluster = 5: must be a table"),
        ("[producer]\nport = 0", "producer.port = 0: must be a port from 1 to 65535"),
        ("[consumer]\nport = 65536", "consumer.port = 65536: must be a port from 1 to 65535"),
        ("[consumer]\ninstances = 17", "consumer.instances = 17: must be a whole number from 1 to 16"),
        ('[consumer]\ngroup = ""', 'consumer.group = "": must be a consumer group\'s name'),
        ('[producer]\nenabled = "maybe"', 'producer.enabled = "maybe": must be true or false'),
        ("[daemon]\ninterval_s = 0.1", "daemon.interval_s = 0.1: must be a number of seconds from 0.2 to 3600"),
        ("[daemon]\ninterval_s = nan", "daemon.interval_s = nan: must be a number of seconds from 0.2 to 3600"),
        ("[daemon]\ninterval_s = true", "daemon.interval_s = true: must be a number of seconds from 0.2 to 3600"),
        (
            '[controller]\nheap = "32m"',
            'controller.heap = "32m": must be a whole number followed by k, m or g, at least 64m',
        ),
        (
            '[producer]\ntopic = ".."',
            "producer.topic = \"..\": must be a topic name of letters, digits, '.', '_' and '-'",
        ),
        ('[java]\noptions = "-Xss1m"', 'java.options = "-Xss1m": must be a list of JVM options such as ["-Xss1m"]'),
        (
            '[java]\noptions = ["Xss1m"]',
            'java.options.0 = "Xss1m": does not fit into a list of JVM options such as ["-Xss1m"]',
        ),
        (
            '[java]\noptions = ["-Xss1m\\u0000"]',
            'java.options.0 = "-Xss1m\0": does not fit into a list of JVM options such as ["-Xss1m"]',
        ),
        (
            '[producer.env]\nA = "a\\u0000"',
            'producer.env.A = "a\0": does not fit into a table of environment variables, each with text without NUL',
        ),
        ('[java]\nhome = "/a\\u0000"', 'java.home = "/a\0": must be the absolute path of a JAVA_HOME, or ""'),
        (
            '[kafka]\nhome = "kafka"',
            'kafka.home = "kafka": must be the absolute path of an unpacked Kafka release, or ""',
        ),
        ('[java]\nhome = "~/jdk"', 'java.home = "~/jdk": must be the absolute path of a JAVA_HOME, or ""'),
        ("topic = 5", "topic = 5: must be a list of [[topic]]"),
        ("topic = [5]", "topic.#1 = 5: must be a list of [[topic]]"),
        (
            "[[topic]]\npartitions = 4",
            "topic.#1.name: is missing: must be a topic name of letters, digits, '.', '_' and '-'",
        ),
        ('[[topic]]\nname = "a"\npartitions = 0', "topic.a.partitions = 0: must be a whole number from 1 to 10000"),
        (
            '[[topic]]\nname = "a"\nassignment = "1;2"',
            'topic.a.assignment = "1;2": must be broker ids per partition such as "1:2,2:1"',
        ),
        (
            '[broker.config]\n"num.io.threads" = [1]',
            "broker.config.num.io.threads = [1]: does not fit into a table of Kafka properties, "
            "each with text, a number, true or false",
        ),
        (
            '[broker.2.config]\n"a=b" = 1',
            "broker.2.config.a=b: malformed name in a table of Kafka properties, "
            "each with text, a number, true or false",
        ),
        (
            "[producer.env]\nRETRIES = 5",
            "producer.env.RETRIES = 5: does not fit into a table of environment variables, each with text without NUL",
        ),
        (
            '[consumer.env]\n"A B" = "5"',
            "consumer.env.A B: malformed name in a table of environment variables, each with text without NUL",
        ),
    ],
)
def test_a_bad_value_is_reported_with_its_key_what_is_allowed_and_its_origin(toml, problem):
    assert problems_of(toml) == [f"{problem} (from kraftd.toml)"]


@pytest.mark.parametrize("url", ["s3://ada:hunter2@bucket/x", "ftp://:hunter2@host", "zip://x::ftp://a:hunter2@host/x"])
def test_a_password_in_the_target_of_backups_is_refused_and_not_repeated(url):
    (problem,) = problems_of(f'[backup]\ntarget = "{url}"')

    assert problem.endswith("or a URL without a password (from kraftd.toml)")
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    "url", ["abfs://container@account.dfs.core.windows.net/path", "s3://bucket", "file:///x/a@b:c"]
)
def test_a_user_or_a_container_in_the_target_of_backups_is_no_password(url):
    assert configured(f'[backup]\ntarget = "{url}"').settings.backup.target == url


@pytest.mark.parametrize("name", ["", "Bad", "has space", "-x", "x-", "a" * 33, "ä", "a/b", ".."], ids=repr)
def test_an_impossible_cluster_name_is_refused(name):
    (problem,) = problems_of(f'[cluster]\nname = "{name}"')

    assert problem.startswith(f'cluster.name = "{name}": must be 1 to 32 lower-case letters')


@pytest.mark.parametrize("name", ["a", "a" * 32, "my-cluster_2", "9"])
def test_a_plain_cluster_name_is_taken(name):
    assert configured(f'[cluster]\nname = "{name}"').settings.cluster.name == name


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("[cluster]\nnmae = 1", "cluster.nmae: no such setting, did you mean cluster.name?"),
        ("[brokr]\nx = 1", "brokr: no such setting, did you mean broker?"),
        ("brokers = 3", "brokers: no such setting, did you mean cluster.brokers?"),
        ("[brokers.config]\nx = 1", "brokers: no such setting, did you mean broker?"),
        ('[[topics]]\nname = "a"', "topics: no such setting, did you mean topic?"),
        ('[env]\nx = "1"', "env: no such setting, did you mean producer.env or consumer.env?"),
        ("[cluster]\ninstances = 2", "cluster.instances: no such setting, did you mean consumer.instances?"),
        ('[broker]\nheap = "1g"', "broker.heap: no such setting, did you mean cluster.heap or controller.heap?"),
        ("[broker.two.config]\nx = 1", "broker.two: no such setting; known names: broker.config, broker.<id>"),
        (
            "[broker.1.config]\nx = 1\n[broker.01.config]\nx = 2",
            "broker.01: no such setting; known names: broker.config, broker.<id>",
        ),
        ("[broker.nodes.1.config]\nx = 1", "broker.nodes: no such setting; known names: broker.config, broker.<id>"),
        (
            "5 = 5",
            "5: no such setting; known names: "
            "cluster, kafka, java, broker, controller, topic, producer, consumer, daemon, watchdog, disk, "
            "logs, backup, metrics_agent, prometheus, alertmanager, grafana",
        ),
        ('[[topic]]\nname = "a"\npartition = 3', "topic.a.partition: no such setting, did you mean topic.partitions?"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(toml, problem):
    assert problems_of(toml) == [f"{problem} (from kraftd.toml)"]


@pytest.mark.parametrize(
    ("key", "last_good", "first_bad"),
    [
        ("cluster.heap", "160m", "159m"),
        ("controller.heap", "64m", "63m"),
        ("cluster.brokers", "32", "33"),
        ("cluster.port_offset", "55000", "55001"),
        ("producer.port", "1", "0"),
        ("daemon.port", "65535", "65536"),
        ("consumer.instances", "16", "17"),
        ("daemon.interval_s", "0.2", "0.19"),
        ("daemon.lag_interval_s", "3600", "3600.1"),
        ("producer.topic", "a" * 249, "a" * 250),
        ("consumer.group", "a" * 249, "a" * 250),
    ],
)
def test_a_bound_belongs_to_what_is_allowed(key, last_good, first_bad):
    assert configured(assignments=[f"{key}={last_good}"])
    assert problems_of(assignments=[f"{key}={first_bad}"])[0].startswith(f"{key} = ")


@pytest.mark.parametrize(
    ("key", "last_good", "first_bad"),
    [("partitions", 10000, 10001), ("partitions", 1, 0), ("replication_factor", 32, 33)],
)
def test_a_topics_bound_belongs_to_what_is_allowed(key, last_good, first_bad):
    assert configured(f'[[topic]]\nname = "a"\n{key} = {last_good}')
    assert problems_of(f'[[topic]]\nname = "a"\n{key} = {first_bad}')[0].startswith(f"topic.a.{key} = ")


@pytest.mark.parametrize("toml", ["[broker]\nconfig = 5", "[broker.2]\nconfig = 5"])
def test_properties_that_are_no_table_are_refused(toml):
    (problem,) = problems_of(toml)

    assert "config = 5: must be a table of Kafka properties" in problem


def test_an_empty_table_with_an_unknown_name_is_refused_too():
    assert problems_of("[brokr]") == ["brokr: no such setting, did you mean broker?"]


def test_all_problems_are_reported_at_once():
    problems = problems_of(
        '[cluster]\nheap = "4gb!"\nname = "A"\nnmae = 1\n[consumer]\nport = 0', {"KRAFTD_CLUSTER_BROKERS": "0"}
    )

    assert [problem.split(" ")[0] for problem in problems] == [
        "cluster.name",
        "cluster.brokers",
        "cluster.heap",
        "cluster.nmae:",
        "consumer.port",
    ]
    assert (
        problems[1]
        == 'cluster.brokers = "0": must be a whole number from 1 to 32 (from KRAFTD_CLUSTER_BROKERS in the environment)'
    )


def test_a_long_bad_value_is_cut():
    (problem,) = problems_of(f'[cluster]\nheap = "{"x" * 500}"')

    assert len(problem) < 200


def test_what_is_no_toml_is_refused_with_the_place_of_the_error():
    with pytest.raises(ConfigurationError, match=r"cannot read kraftd\.toml: .*line 2") as caught:
        parse_toml('[cluster]\nname = "local\n', "kraftd.toml")

    assert caught.value.exit_code == 2
    assert "kraftd init" in caught.value.hint


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (f"x = {'9' * 5000}", "a number has too many digits"),
        (f"[cluster]\nbrokers = 0x{'9' * 5000}", "a number has too many digits"),
        ("x = " + "[" * 3000, "nested too deeply"),
    ],
)
def test_toml_beyond_the_bounds_of_python_is_refused(toml, said):
    with pytest.raises(ConfigurationError, match=rf"cannot read kraftd\.toml: .*{said}"):
        parse_toml(toml, "kraftd.toml")


def test_an_assignment_that_is_nested_too_deeply_is_refused_by_its_setting():
    assert problems_of(assignments=[f"java.options={'[' * 3000}"])[0].startswith("java.options = ")


def test_a_property_may_be_written_with_quotes_or_without():
    quoted = configured('[broker.config]\n"log.retention.hours" = 24').settings
    bare = configured("[broker.config]\nlog.retention.hours = 24").settings

    assert quoted.broker.config == bare.broker.config == {"log.retention.hours": 24}


def test_a_property_keeps_the_type_that_toml_gives_it():
    config = configured('[broker.config]\na = true\nb = 1\nc = 1.5\nd = "01"').settings.broker.config

    assert config == {"a": True, "b": 1, "c": 1.5, "d": "01"}
    assert [type(value) for value in config.values()] == [bool, int, float, str]


def test_a_heap_is_kept_in_lower_case():
    assert configured('[cluster]\nheap = "2G"').settings.cluster.heap == "2g"


def test_the_environment_reads_numbers_switches_and_lists():
    settings = configured(
        environ={
            "KRAFTD_CLUSTER_BROKERS": "3",
            "KRAFTD_PRODUCER_ENABLED": "false",
            "KRAFTD_DAEMON_INTERVAL_S": "0.5",
            "KRAFTD_JAVA_OPTIONS": '["-Xss1m", "-XX:+UseStringDeduplication"]',
            "HOME": "/home/ada",
        }
    ).settings

    assert (settings.cluster.brokers, settings.producer.enabled, settings.daemon.interval_s) == (3, False, 0.5)
    assert settings.java.options == ("-Xss1m", "-XX:+UseStringDeduplication")


def test_a_list_that_is_not_written_as_one_is_refused():
    assert problems_of(environ={"KRAFTD_JAVA_OPTIONS": "-Xss1m"}) == [
        'java.options = "-Xss1m": must be a list of JVM options such as ["-Xss1m"] '
        "(from KRAFTD_JAVA_OPTIONS in the environment)"
    ]


def test_a_variable_with_the_prefix_that_names_no_setting_is_refused():
    problems = problems_of(environ={"KRAFTD_CLUSTER_BROKER": "3", "KRAFTD_ZZZ": "1"})

    assert problems == [
        "KRAFTD_CLUSTER_BROKER: no such setting, did you mean KRAFTD_CLUSTER_BROKERS?",
        "KRAFTD_ZZZ: no such setting",
    ]


def test_an_assignment_that_names_no_setting_is_refused():
    assert problems_of(assignments=["cluster.broker=3"]) == [
        "cluster.broker: no such setting, did you mean cluster.brokers?"
    ]


def test_an_assignment_without_an_equals_sign_is_refused():
    assert problems_of(assignments=["cluster.brokers"]) == ["cluster.brokers: must have the form section.key=value"]


def test_an_assignment_keeps_further_equals_signs():
    assert configured(assignments=["java.home=/opt/a=b"]).settings.java.home == "/opt/a=b"


def test_topics_replace_the_default_topic():
    topics = configured('[[topic]]\nname = "orders"\nconfig = { "retention.ms" = 1000 }').settings.topic

    assert [(topic.name, topic.partitions, topic.config) for topic in topics] == [
        ("orders", None, {"retention.ms": 1000})
    ]


def test_a_bad_value_under_a_secret_name_is_not_repeated():
    with pytest.raises(ConfigurationError) as caught:
        configure([parse_toml("[producer]\nenv = { APP_API_TOKEN = 424242 }", "kraftd.toml")])

    (problem,) = caught.value.details["problems"]
    assert problem.startswith('producer.env.APP_API_TOKEN = "***": ')
