"""The settings of brokers that run, and the election of preferred leaders."""

import pytest

from kraftd.kafka.admin import KafkaAdmin
from kraftd.kafka.changes.broker_settings import BrokerSetting
from kraftd.kafka.model import KafkaAccessError
from kraftd.plan.plan import Access
from tests.unit.kafka.fake_wire import TIMED_OUT, FakeWire, record


def admin_over(answers):
    wire = FakeWire(answers)
    admin = KafkaAdmin(Access(("127.0.0.1:9092",)), connect=lambda *_: wire)
    admin.open()
    return wire, admin


def setting(name, value, *, read_only=False, source=4):
    return record(name=name, value=value, read_only=read_only, config_source=source)


def described(*settings, error_code=0):
    return record(results=[record(error_code=error_code, error_message=None, configs=list(settings))])


def test_a_broker_tells_which_settings_it_takes_while_it_runs():
    answer = described(
        setting("log.retention.ms", "5"),
        setting("log.dirs", "/d", read_only=True),
        setting("min.insync.replicas", "1", source=3),
    )
    wire, admin = admin_over({(2, "DescribeConfigs"): answer})

    assert admin.broker_settings(2, ["log.retention.ms", "log.dirs", "min.insync.replicas", "unknown"]) == {
        "log.retention.ms": BrokerSetting("5", is_dynamic=True),
        "log.dirs": BrokerSetting("/d", is_dynamic=False),
        "min.insync.replicas": BrokerSetting("1", is_dynamic=True, is_of_all_brokers=True),
    }
    ((node_id, request),) = wire.asked
    (resource,) = request.fields["resources"]
    assert (node_id, resource["resource_type"], resource["resource_name"]) == (2, 4, "2")


@pytest.mark.parametrize("answer", [described(error_code=41), TIMED_OUT], ids=["refused", "silent"])
def test_a_broker_that_does_not_tell_its_settings_is_an_error(answer):
    _, admin = admin_over({(2, "DescribeConfigs"): answer})

    with pytest.raises(KafkaAccessError) as caught:
        admin.broker_settings(2, ["log.retention.ms"])

    assert "broker 2" in str(caught.value)


@pytest.mark.parametrize(("of_all_brokers", "name"), [(False, "1"), (True, "")])
def test_settings_are_set_and_forgotten_through_their_own_broker(of_all_brokers, name):
    answer = record(responses=[record(error_code=0, error_message=None)])
    wire, admin = admin_over({(1, "IncrementalAlterConfigs"): answer})

    assert admin.alter_broker(1, {"a": "5", "b": None}, of_all_brokers=of_all_brokers) is None

    (resource,) = wire.asked[0][1].fields["resources"]
    assert resource == {
        "resource_type": 4,
        "resource_name": name,
        "configs": [
            {"name": "a", "config_operation": 0, "value": "5"},
            {"name": "b", "config_operation": 1, "value": None},
        ],
    }


def test_a_refused_setting_has_its_reason():
    answer = record(responses=[record(error_code=41, error_message="too many threads")])
    _, admin = admin_over({(1, "IncrementalAlterConfigs"): answer})

    assert admin.alter_broker(1, {"num.io.threads": "99"}).text == "too many threads"


def test_preferred_leaders_are_elected_by_topic():
    wire, admin = admin_over({"ElectLeaders": record(error_code=0)})

    admin.elect_preferred_leaders([("t", 0), ("u", 1), ("t", 2)])

    fields = wire.asked[0][1].fields
    assert fields["election_type"] == 0
    assert fields["topic_partitions"] == [{"topic": "t", "partitions": [0, 2]}, {"topic": "u", "partitions": [1]}]
