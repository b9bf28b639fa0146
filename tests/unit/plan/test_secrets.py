import shlex
from dataclasses import replace

import pytest

from kraftd.plan.plan_json import plan_json
from kraftd.plan.secrets import Scrubber, is_secret, masked_text, masked_value, secret_values, without_secrets
from tests.plans import plan_of


@pytest.mark.parametrize(
    "name",
    [
        *("APP_API_TOKEN", "ssl.key.password", "sasl.jaas.config", "CLIENT_SECRET", "ssl.keystore.key"),
        *("SCHEMA_REGISTRY_API_KEY", "apikey", 'broker.config."ssl.keystore.key"', "broker.1.config.ssl.keystore.key"),
        *("KAFKA_CLIENT_CONFIG", "producer.env.KAFKA_CLIENT_CONFIG", "alertmanager.webhook_url"),
    ],
)
def test_a_name_that_says_so_is_secret(name):
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["KAFKA_TOPIC", "log.retention.hours", "producer.port", "ssl.keystore.location", "key.serializer", "MONKEY"]
)
def test_other_names_are_not(name):
    assert not is_secret(name)


def test_a_plan_that_is_shown_has_no_secret_in_it():
    plan = plan_of(
        """
        [producer]
        env = { APP_API_TOKEN = "hunter2", APP_MAX_BODY = "1024" }
        [consumer]
        env = { KAFKA_CLIENT_CONFIG = '{"sasl.password": "hunter7"}', REGISTRY = "http://ada:hunter1@registry:8081" }
        [alertmanager]
        enabled = true
        webhook_url = "https://hooks/hunter8"
        [broker.config]
        "ssl.key.password" = "hunter3"
        "sasl.oauthbearer.jwks.endpoint.url" = "https://ada:hunter9@keys/x"
        [java]
        options = ["-Djavax.net.ssl.keyStorePassword=hunter4", "-Xss1m"]
        [[topic]]
        name = "test-topic"
        config = { "some.secret" = "hunter5" }
        """
    )

    plan = replace(plan, access=replace(plan.access, properties=(("ssl.truststore.password", "hunter6"),)))

    shown = plan_json(without_secrets(plan))

    assert "hunter2" in plan_json(plan)
    assert "hunter" not in shown
    assert "1024" in shown
    assert "http://***@registry:8081" in shown
    assert "-Xss1m" in shown


def test_a_rendered_file_is_shown_with_its_secrets_masked():
    shown = masked_text("x.conf", "APP_API_TOKEN='hunter2'\nAPP_PORT='8001'\nssl.key.password=hunter3\n")

    assert shown == "APP_API_TOKEN=***\nAPP_PORT='8001'\nssl.key.password=***\n"


def test_a_password_in_a_url_is_masked_in_each_line_of_a_rendered_file():
    text = (
        "REGISTRY='http://ada:hunter2@host:8081'\nlisteners=A://h:1,B://h:2\nvoters=1@h:3\nx=https://a:b@h,c://d:e@i\n"
    )
    masked = "REGISTRY='http://***@host:8081'\nlisteners=A://h:1,B://h:2\nvoters=1@h:3\nx=https://***@h,c://***@i\n"

    assert masked_text(".env", text) == masked


def test_the_address_that_alertmanager_tells_is_masked_in_its_file():
    text = 'receivers:\n  - name: webhook\n    webhook_configs:\n      - url: "https://hooks/hunter2"\n'

    assert masked_text("alertmanager.yml", text) == text.replace('"https://hooks/hunter2"', "***")


def test_a_secret_of_several_lines_is_masked_to_its_end():
    env = "TLS_KEY='-----BEGIN\\'\nhunter2\n-----END'\nAPP_PORT='8001'\nAPI_KEY='hunter3'\n"
    properties = "ssl.keystore.key=-----BEGIN \\\n  hunter2 \\\n  -----END\nnode.id=1\n"

    assert masked_text(".env", env) == "TLS_KEY=***\nAPP_PORT='8001'\nAPI_KEY=***\n"
    assert masked_text("server.properties", properties) == "ssl.keystore.key=***\nnode.id=1\n"


def test_a_quote_in_the_value_of_another_name_hides_no_line_from_the_mask():
    assert masked_text("x.conf", "x='\nssl.key.password=hunter2\ny='\n") == "x='\nssl.key.password=***\ny='\n"


def test_a_password_among_the_options_of_a_jvm_is_masked_in_its_command_line():
    words = ["/opt/java", "-Djavax.net.ssl.keyStorePassword=it's hunter2", "-Dx=a b", "%%p"]

    shown = masked_text("x.conf", f"[program:broker-1]\ncommand={shlex.join(words)}\nautostart=false\n")

    masked = ["/opt/java", "-Djavax.net.ssl.keyStorePassword=***", "-Dx=a b", "%%p"]
    assert shown == f"[program:broker-1]\ncommand={shlex.join(masked)}\nautostart=false\n"
    assert masked_text("x.conf", "command=java 'unclosed hunter2\n") == "command=***\n"


def test_a_setting_is_shown_without_what_is_secret_in_it():
    topics = ({"name": "t", "config": {"some.secret": "hunter2", "retention.ms": 1}},)

    assert masked_value("topic", topics) == ({"name": "t", "config": {"some.secret": "***", "retention.ms": 1}},)
    assert masked_value("java.options", ("-Dx.password=hunter2", "-Xss1m")) == ("-Dx.password=***", "-Xss1m")
    assert masked_value("producer.env.API_KEY", "hunter2") == "***"
    assert masked_value("alertmanager.webhook_url", "https://hooks/hunter2") == "***"
    assert masked_value("alertmanager.webhook_url", "") == ""


def test_a_file_that_is_a_secret_shows_nothing_of_it():
    assert masked_text("producer.token", "hunter2") == "***\n"


JAAS = 'x.PlainLoginModule required username="ada" password="in-jaas";'


def test_the_secrets_of_a_cluster_are_known_wherever_they_come_from():
    plan = plan_of(
        f'[broker.config]\n"ssl.key.password" = "of-a-node"\n"sasl.jaas.config" = \'{JAAS}\'\n'
        '[producer.env]\nAPP_API_TOKEN = "of-an-app"\n[java]\noptions = ["-Dx.password=of-java"]\n'
    )
    settings = {"alertmanager.webhook_url": "https://hooks/abc", "cluster.name": "local"}
    files = [
        ("metrics.token", "in-a-file\n"),
        ("jmxremote.password", "kraftd of-jmx\n"),
        ("server.properties", "x=y\n"),
    ]

    assert secret_values(plan, settings, files) >= {
        *("of-a-node", JAAS, "in-jaas", "of-an-app", "of-java", "https://hooks/abc", "in-a-file", "of-jmx"),
    }
    assert not secret_values(plan, settings, files) & {"ada", "local", "kraftd", "x=y"}


def test_the_secrets_of_apps_and_tools_are_those_of_the_start_and_of_json_too():
    plan = plan_of(
        """
        [producer.env]
        KAFKA_CLIENT_CONFIG = '{"sasl.username": "grace", "sasl.password": "in-json"}'
        [alertmanager]
        enabled = true
        webhook_url = "https://hooks/of-the-start"
        """
    )

    found = secret_values(plan, {"alertmanager.webhook_url": "https://hooks/of-now"}, [])

    assert found >= {"in-json", "https://hooks/of-the-start", "https://hooks/of-now"}
    assert "grace" not in found


def test_passwords_in_urls_are_secrets_as_written_and_as_sent():
    plan = plan_of(
        """
        [broker.config]
        "sasl.oauthbearer.jwks.endpoint.url" = "https://ada:of-a-node@keys/x"
        [consumer.env]
        SCHEMA_REGISTRY_URL = "http://ada:of%40an%40app@registry:8081,http://ada:of-another@registry:8082"
        """
    )

    found = secret_values(
        plan, {"producer.env": {"A": "http://ada:of-now@h"}, "java.options": ["-Dx=a://b:of-java@c"]}, []
    )

    assert found == {"of-a-node", "of%40an%40app", "of@an@app", "of-another", "of-now", "of-java"}


def test_numbers_switches_and_the_shortest_texts_are_no_secrets_of_their_own():
    plan = plan_of(
        '[broker.config]\n"delegation.token.expiry.time.ms" = 86400000\n"some.secret" = "abc"\n"token.x" = true\n'
    )

    assert secret_values(plan, {}, []) == frozenset()


@pytest.mark.parametrize("depth", [900, 100_000])
def test_a_secret_that_is_json_nested_too_deeply_is_one_as_a_whole(depth):
    deep = '{"a": ' * depth + '"x"' + "}" * depth

    assert deep in secret_values(plan_of(), {"alertmanager.webhook_url": deep}, [])


def test_secrets_are_masked_wherever_they_occur_the_longest_first():
    scrubber = Scrubber({"hunter2", "hunter2 and more"})

    assert scrubber.scrubbed("with hunter2 and more, (hunter2)") == "with ***, (***)"
    assert Scrubber(()).scrubbed("all") == "all"
