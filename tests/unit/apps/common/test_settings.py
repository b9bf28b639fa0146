import pytest

from kraftd_apps.common.settings import SettingsError, environment
from kraftd_apps.consumer.settings import member_config
from kraftd_apps.consumer.settings import read_settings as consumer_settings
from kraftd_apps.producer.settings import client_config
from kraftd_apps.producer.settings import read_settings as producer_settings


def test_nothing_set_gives_the_default_cluster_on_loopback():
    producer, consumer = producer_settings({}), consumer_settings({})
    assert producer.kafka.bootstrap_servers == "127.0.0.1:9092,127.0.0.1:9093"
    assert (producer.http.host, producer.http.port) == ("127.0.0.1", 8001)
    assert (consumer.http.port, consumer.group_id, consumer.kafka.topic) == (8002, "test-group", "test-topic")


def test_every_wrong_setting_is_reported_at_once_with_its_value():
    wrong = {
        "APP_PORT": "eight",
        "APP_MAX_BODY": "1",
        "APP_ACCESS_LOG": "perhaps",
        "APP_DRAIN_SECONDS": "nan",
        "APP_LINKS": "Here=javascript:alert(1)",
        "KAFKA_TOPIC": "a topic",
        "KAFKA_BOOTSTRAP_SERVERS": "localhost",
        "KAFKA_LINGER_MS": "-1",
    }
    with pytest.raises(SettingsError) as caught:
        producer_settings(wrong)
    for name, value in wrong.items():
        assert any(name in problem and value in problem for problem in caught.value.problems), name
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("rest", ["", ', "a": ' + "[" * 100_000])
def test_a_client_config_that_is_not_json_is_refused_without_repeating_it(rest):
    with pytest.raises(SettingsError) as caught:
        producer_settings({"KAFKA_CLIENT_CONFIG": '{"sasl.password": "hunter2"' + rest})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "servers", ["a:9092", "127.0.0.1:9092, b.example:9093", "[::1]:9092", "SASL_SSL://broker-1:9092"]
)
def test_every_usual_form_of_a_broker_address_is_taken(servers):
    assert producer_settings({"KAFKA_BOOTSTRAP_SERVERS": servers})


@pytest.mark.parametrize("servers", ["a:0", "a:99999", "a b:9092", ":9092", "a:9092;b:9092"])
def test_a_broken_broker_address_is_refused(servers):
    with pytest.raises(SettingsError, match="KAFKA_BOOTSTRAP_SERVERS"):
        producer_settings({"KAFKA_BOOTSTRAP_SERVERS": servers})


@pytest.mark.parametrize("url", ["http://127.0.0.1", "http://a.b:65535", "http://[::1]:8001"])
def test_every_usual_form_of_the_producers_address_is_taken(url):
    assert consumer_settings({"APP_PRODUCER_URL": url}).producer_url == url


@pytest.mark.parametrize("url", ["http://a:99999", "http://a:0", "a:8001", "http://a/b"])
def test_a_broken_address_of_the_producer_is_refused(url):
    with pytest.raises(SettingsError, match="APP_PRODUCER_URL"):
        consumer_settings({"APP_PRODUCER_URL": url})


def test_an_env_file_is_read_and_the_process_environment_wins(tmp_path):
    (tmp_path / ".env").write_text("KAFKA_TOPIC=from-file\nAPP_API_TOKEN=a$HOME\nexport APP_PORT=1234\n")
    found = environment(tmp_path, {"KAFKA_TOPIC": "from-process"})
    assert found == {"KAFKA_TOPIC": "from-process", "APP_API_TOKEN": "a$HOME", "APP_PORT": "1234"}


def test_a_byte_order_mark_in_an_env_file_is_passed_over(tmp_path):
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfKAFKA_TOPIC=a\r\nAPP_PORT=1\r\n")
    assert environment(tmp_path, {}) == {"KAFKA_TOPIC": "a", "APP_PORT": "1"}


def test_an_env_file_that_is_not_text_is_an_error_of_the_settings(tmp_path):
    (tmp_path / ".env").write_bytes(b"KAFKA_TOPIC=\xff\xfe")
    with pytest.raises(SettingsError, match=r"\.env"):
        environment(tmp_path, {})


def test_no_secret_stands_in_the_text_of_the_settings():
    settings = producer_settings({"APP_API_TOKEN": "tok-1", "KAFKA_CLIENT_CONFIG": '{"sasl.password": "pw-1"}'})
    assert "tok-1" not in repr(settings)
    assert "pw-1" not in repr(settings)


def test_the_users_client_properties_win():
    extra = {"KAFKA_CLIENT_CONFIG": '{"linger.ms": 7, "session.timeout.ms": 9000}'}
    assert client_config(producer_settings(extra))["linger.ms"] == 7
    assert member_config(consumer_settings(extra), incremental=False)["session.timeout.ms"] == 9000


@pytest.mark.parametrize(("max_body_bytes", "queue_kib"), [("1048576", 65_536), ("104857600", 204_928)])
def test_the_producers_queue_has_room_for_the_longest_record(max_body_bytes, queue_kib):
    config = client_config(producer_settings({"APP_MAX_BODY": max_body_bytes}))
    assert config["queue.buffering.max.kbytes"] == queue_kib
    assert config["message.max.bytes"] < queue_kib * 1024


def test_a_kip_848_member_sets_no_session_timeout_because_the_broker_owns_it():
    config = member_config(consumer_settings({}), incremental=True)
    assert config["group.protocol"] == "consumer"
    assert "session.timeout.ms" not in config


def test_a_member_whose_topic_was_gone_soon_finds_it_again():
    assert int(member_config(consumer_settings({}), incremental=False)["topic.metadata.refresh.interval.ms"]) <= 10_000


@pytest.mark.parametrize(
    ("variables", "config"),
    [
        ({}, {}),
        ({"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}, {}),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL"}, {"security.protocol": "ssl"}),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_CLIENT_CONFIG": '{"security.protocol": "sasl_ssl"}'},
            {"security.protocol": "sasl_ssl"},
        ),
    ],
)
def test_the_security_protocol_becomes_a_property_of_the_client(variables, config):
    assert producer_settings(variables).kafka.client_config == config


def test_a_security_protocol_that_kafka_does_not_have_is_refused():
    with pytest.raises(SettingsError, match="KAFKA_SECURITY_PROTOCOL"):
        producer_settings({"KAFKA_SECURITY_PROTOCOL": "tls"})
