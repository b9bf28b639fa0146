import json

import pytest
from prometheus_client import CollectorRegistry

from kraftd_apps.consumer.metrics import ClientStatistics, ConsumerMetrics, statistics_of
from kraftd_apps.consumer.record import SeenRecord

DOCUMENT = json.dumps(
    {
        "brokers": {"a": {"state": "UP"}, "b": {"state": "DOWN"}, "c": {"state": "UP"}},
        "topics": {
            "t": {"partitions": {"0": {"consumer_lag": 5}, "1": {"consumer_lag": -1}, "-1": {"consumer_lag": 9}}}
        },
    }
)


def test_lag_is_told_of_own_partitions_where_it_is_known():
    assert statistics_of(DOCUMENT, "t", (0, 1, 2)) == ClientStatistics(2, ((0, 5),), is_every_broker_up=False)
    assert statistics_of(DOCUMENT, "t", ()) == ClientStatistics(2, (), is_every_broker_up=False)
    assert statistics_of("{}", "t", (0,)) == ClientStatistics(0, ())


def test_the_coordinator_is_not_counted_as_one_more_broker():
    brokers = {
        "127.0.0.1:9092/1": {"source": "learned", "state": "UP"},
        "127.0.0.1:9093/2": {"source": "configured", "state": "UP"},
        "GroupCoordinator": {"source": "logical", "state": "UP"},
    }
    assert statistics_of(json.dumps({"brokers": brokers}), "t", ()).brokers_up == 2


@pytest.mark.parametrize(
    ("states", "are_up"), [(("UP", "UP"), True), (("UP", "INIT"), True), (("TRY_CONNECT", "UP"), False), ((), True)]
)
def test_a_broker_that_was_never_needed_is_not_away(states, are_up):
    brokers = {f"127.0.0.1:9092/{number}": {"source": "learned", "state": state} for number, state in enumerate(states)}
    assert statistics_of(json.dumps({"brokers": brokers}), "t", ()).is_every_broker_up is are_up


def test_a_partition_is_unread_where_its_leader_has_records_and_none_arrives():
    waiting = {"leader": 1, "fetch_state": "active", "fetchq_cnt": 0, "next_offset": 13, "ls_offset": 26}
    others = [{"leader": 2}, {"fetch_state": "stopped"}, {"fetchq_cnt": 3}, {"next_offset": 26}, {"ls_offset": -1001}]
    partitions = {str(number): {**waiting, **other} for number, other in enumerate([{}, *others])}
    brokers = {"a": {"nodeid": 1, "state": "UP"}, "b": {"nodeid": 2, "state": "DOWN"}}
    document = json.dumps({"brokers": brokers, "topics": {"t": {"partitions": partitions}}})
    assert statistics_of(document, "t", range(9)).unread == {0: 13}


def test_a_partition_that_went_to_another_member_has_no_lag_here():
    registry = CollectorRegistry()
    metrics = ConsumerMetrics(registry)
    metrics.show_lag(ClientStatistics(1, ((0, 5), (1, 6))))
    metrics.show_lag(ClientStatistics(1, ((1, 7),)))
    assert registry.get_sample_value("kafka_consumer_lag_records", {"partition": "0"}) is None
    assert registry.get_sample_value("kafka_consumer_lag_records", {"partition": "1"}) == 7


def test_records_and_the_time_since_the_newest_are_counted():
    registry = CollectorRegistry()
    metrics = ConsumerMetrics(registry, now_s=lambda: 12.0)
    metrics.received([SeenRecord(0, 1, 11_000, b"k", b"vv"), SeenRecord(1, 1, 11_500, None, None)])
    assert registry.get_sample_value("kafka_consumer_records_total", {"partition": "0"}) == 1
    assert registry.get_sample_value("kafka_consumer_record_bytes_total") == 3
    assert registry.get_sample_value("kafka_consumer_end_to_end_latency_seconds_sum") == 0.5


def test_what_cannot_be_decoded_is_counted():
    registry = CollectorRegistry()
    ConsumerMetrics(registry).received(
        [SeenRecord(0, 1, None, None, None, fault="why"), SeenRecord(0, 2, None, None, None)]
    )
    assert registry.get_sample_value("kafka_consumer_undecodable_records_total") == 1


def test_a_timestamp_in_the_future_or_none_gives_no_negative_time():
    registry = CollectorRegistry()
    metrics = ConsumerMetrics(registry, now_s=lambda: 12.0)
    metrics.received([SeenRecord(0, 1, 99_000, None, None)])
    metrics.received([SeenRecord(0, 2, None, None, None)])
    assert registry.get_sample_value("kafka_consumer_end_to_end_latency_seconds_sum") == 0
    assert registry.get_sample_value("kafka_consumer_end_to_end_latency_seconds_count") == 1
