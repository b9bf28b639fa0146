from types import SimpleNamespace

import pytest
from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from kraftd_apps.consumer.group_protocol import ProtocolDetectingConsumer, supports_consumer_protocol
from tests.unit.apps.consumer.joining import joining
from tests.unit.apps.kafka_fakes import EARLIER_TOPIC_ID, FakeMemberClient, FakeMessage, failure, settled

OFFERED = "group.coordinator.rebalance.protocols"


class FakeCluster:
    """Tells the settings of its one broker, or fails."""

    def __init__(self, settings):
        is_failure = isinstance(settings, Exception)
        self._told = settings if is_failure else {name: SimpleNamespace(value=text) for name, text in settings.items()}

    def list_topics(self, *, timeout):
        return SimpleNamespace(brokers={7: "any"})

    def describe_configs(self, resources, *, request_timeout):
        (resource,) = resources
        assert resource.name == "7"
        return {resource: settled(self._told)}


class FakeClusterAway:
    def list_topics(self, *, timeout):
        raise failure("_TRANSPORT")


@pytest.mark.parametrize(
    ("settings", "taken"),
    [
        ({OFFERED: "classic,consumer,streams"}, True),
        ({OFFERED: "classic"}, False),
        ({"group.consumer.session.timeout.ms": "45000"}, True),
        ({"group.max.session.timeout.ms": "1800000"}, False),
        (failure("CLUSTER_AUTHORIZATION_FAILED"), False),
        (failure("_TIMED_OUT"), None),
    ],
)
def test_a_brokers_settings_say_which_members_it_takes(settings, taken):
    assert supports_consumer_protocol(FakeCluster(settings)) is taken


def test_where_no_broker_answers_nothing_is_known():
    assert supports_consumer_protocol(FakeClusterAway()) is None


def deciding(classic, new, *answers):
    told = list(answers)
    return ProtocolDetectingConsumer(classic, lambda: new, lambda: told.pop(0))


def test_nothing_is_joined_before_a_broker_has_answered():
    classic = FakeMemberClient(assigned=[TopicPartition("test-topic", 0)])
    member = joining(deciding(classic, FakeMemberClient(), None, False), list)
    classic.joins_at_poll = 2
    member.poll()
    assert classic.callbacks == {}
    member.poll()
    assert member.membership.partitions == (0,)


def test_the_new_protocol_replaces_the_classic_client_and_takes_partitions_its_way():
    classic = FakeMemberClient()
    new = FakeMemberClient(
        [[FakeMessage(0, 4)]], assigned=[TopicPartition("test-topic", 0)], committed_={0: (7, EARLIER_TOPIC_ID)}
    )
    member = joining(deciding(classic, new, True), list)
    member.poll()
    assert classic.closed
    assert new.taken == [("more", {0: OFFSET_BEGINNING})]
    assert new.stored == [(0, 5)]
