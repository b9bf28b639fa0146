import pytest

from kraftd.errors import ConfigurationError
from kraftd.plan.checks import OWNED_PROPERTIES, OWNED_VARIABLES
from tests.plans import plan_of

TOPIC = '[[topic]]\nname = "test-topic"\n'


def problems_of(toml):
    with pytest.raises(ConfigurationError) as caught:
        plan_of(toml)
    return caught.value.details["problems"]


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        (
            "replication_factor = 3",
            "replication_factor = 3: there are brokers 1 to 2; lower it or raise cluster.brokers",
        ),
        ('assignment = "1:3,3:1"', 'assignment = "1:3,3:1": no broker 3; there are brokers 1 to 2'),
        ('assignment = "0:7,1:2"', 'assignment = "0:7,1:2": no broker 0, 7; there are brokers 1 to 2'),
        ('assignment = "1:1"', 'assignment = "1:1": a broker appears twice in one partition'),
        ('assignment = "1:2,1"', 'assignment = "1:2,1": every partition needs the same number of replicas'),
        (
            'assignment = "1:2"\nreplication_factor = 1',
            'assignment = "1:2": contradicts replication_factor = 1; leave one of the two out',
        ),
        (
            'assignment = "1:2"\npartitions = 4',
            'assignment = "1:2": contradicts partitions = 4; leave one of the two out',
        ),
    ],
)
def test_a_topic_that_does_not_fit_the_cluster_is_refused(toml, problem):
    assert problems_of(TOPIC + toml) == [f"topic test-topic: {problem}"]


def test_a_replication_factor_above_a_single_broker_is_refused():
    assert problems_of(f"[cluster]\nbrokers = 1\n{TOPIC}replication_factor = 2") == [
        "topic test-topic: replication_factor = 2: there is only broker 1; lower it or raise cluster.brokers"
    ]


def test_an_assignment_that_agrees_with_the_numbers_beside_it_is_taken():
    plan = plan_of(f'{TOPIC}assignment = "1:2,2:1"\npartitions = 2\nreplication_factor = 2')

    assert plan.topics[0].assignment == ((1, 2), (2, 1))


def test_a_topic_declared_again_is_refused_once():
    assert problems_of(TOPIC * 2) == ["topic test-topic: declared twice"]


def test_an_apps_topic_must_be_declared():
    assert problems_of('[producer]\ntopic = "orders"') == [
        'producer.topic = "orders": not declared; add a [[topic]] with this name'
    ]


def test_the_topic_of_an_app_that_is_left_out_does_not_matter():
    assert len(plan_of('[producer]\ntopic = "orders"\nenabled = false').apps) == 1


@pytest.mark.parametrize("key", sorted(OWNED_PROPERTIES))
@pytest.mark.parametrize("table", ["broker.config", "broker.2.config"])
def test_a_property_that_kraftd_decides_is_refused_with_the_setting_to_use(table, key):
    assert problems_of(f'[{table}]\n"{key}" = "x"') == [
        f'{table}."{key}" = "x": kraftd sets it: {OWNED_PROPERTIES[key]}'
    ]


@pytest.mark.parametrize("broker", [0, 3])
def test_properties_of_a_broker_that_does_not_exist_are_refused(broker):
    assert problems_of(f"[broker.{broker}.config]\nnum.io.threads = 4") == [
        f"broker.{broker}: no such broker; there are brokers 1 to 2"
    ]


def test_the_first_and_the_last_broker_may_have_properties_of_their_own():
    plan = plan_of("[broker.1.config]\nnum.io.threads = 4\n[broker.2.config]\nnum.io.threads = 5")

    assert [dict(broker.config)["num.io.threads"] for broker in plan.brokers] == ["4", "5"]


@pytest.mark.parametrize("name", sorted(OWNED_VARIABLES))
def test_a_variable_that_kraftd_decides_is_refused(name):
    (problem,) = problems_of(f'[producer.env]\n{name} = "x"')

    assert problem.startswith(f"producer.env.{name}: kraftd sets it: ")


def test_the_refusal_of_a_variable_names_the_setting_of_the_same_app():
    assert problems_of('[consumer.env]\nAPP_PORT = "1"') == ["consumer.env.APP_PORT: kraftd sets it: use consumer.port"]


@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ("-Xmx8g", "use cluster.heap or controller.heap"),
        ("-Xms8g", "use cluster.heap or controller.heap"),
        ("-XX:MaxHeapSize=8g", "use cluster.heap or controller.heap"),
        ("-XX:AOTCache=/x", "'kraftd setup' makes the start-up archive"),
        ("-cp", "use kafka.home for other jars"),
        ("-jar", "use kafka.home for other jars"),
    ],
)
def test_a_jvm_option_that_kraftd_decides_is_refused(option, remedy):
    assert problems_of(f'[java]\noptions = ["-Xss1m", "{option}"]') == [
        f'java.options "{option}": kraftd sets it: {remedy}'
    ]


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        (
            "[producer]\nport = 8002",
            "port 8002 is used by both producer (HTTP) and consumer (HTTP); change producer.port or consumer.port",
        ),
        (
            "[daemon]\nport = 9092",
            "port 9092 is used by both broker-1 (client listener) and kraftd (HTTP); change daemon.port",
        ),
        (
            "[producer]\nport = 8003\n[consumer]\ninstances = 2",
            "port 8003 is used by both producer (HTTP) and consumer-2 (HTTP); change producer.port or consumer.port",
        ),
        (
            "[producer]\nport = 8003\n[daemon]\nport = 10000",
            "port 10000 is used by both broker-2 (JMX) and kraftd (HTTP); change daemon.port",
        ),
        (
            "[prometheus]\nenabled = true\nport = 8000",
            "port 8000 is used by both prometheus (HTTP) and kraftd (HTTP); change prometheus.port or daemon.port",
        ),
        (
            "[cluster]\nport_offset = 2000\n[producer]\nport = 64000",
            "port 66000 of producer (HTTP) is beyond 65535; lower producer.port or cluster.port_offset",
        ),
    ],
)
def test_ports_that_cannot_be_are_refused_with_the_keys_to_change(toml, problem):
    assert problems_of(toml) == [problem]


def test_the_last_port_of_all_is_taken():
    assert plan_of("[daemon]\nport = 65535").daemon.port == 65535
