import pytest

from kraftd.spec.plan_text import plan_json
from kraftd.spec.secrets import is_secret, masked_text, without_secrets
from tests.plans import plan_of


@pytest.mark.parametrize("name", ["APP_API_TOKEN", "ssl.key.password", "sasl.jaas.config", "CLIENT_SECRET"])
def test_a_name_that_says_so_is_secret(name):
    assert is_secret(name)


@pytest.mark.parametrize("name", ["KAFKA_TOPIC", "log.retention.hours", "producer.port"])
def test_other_names_are_not(name):
    assert not is_secret(name)


def test_a_plan_that_is_shown_has_no_secret_in_it():
    plan = plan_of(
        """
        [producer]
        env = { APP_API_TOKEN = "hunter2", APP_MAX_BODY = "1024" }
        [broker.config]
        "ssl.key.password" = "hunter3"
        """
    )

    shown = plan_json(without_secrets(plan))

    assert "hunter2" in plan_json(plan)
    assert "hunter" not in shown
    assert "1024" in shown


def test_a_rendered_file_is_shown_with_its_secrets_masked():
    shown = masked_text("APP_API_TOKEN='hunter2'\nAPP_PORT='8001'\nssl.key.password=hunter3\n")

    assert shown == "APP_API_TOKEN=***\nAPP_PORT='8001'\nssl.key.password=***\n"
