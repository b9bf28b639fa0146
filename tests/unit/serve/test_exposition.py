from dataclasses import replace

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import kraftd
from kraftd.serve.exposition import SnapshotCollector
from kraftd.watch.kafka_view import KafkaView
from kraftd.watch.lag import group_lag
from tests.plans import plan_of
from tests.unit.watch.programs import program, quorum, snapshot, topic


def samples(look, now_s=1000.0):
    """Return what a Prometheus reads: value by name and labels."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SnapshotCollector(plan_of(), look, now_s))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


def test_before_the_first_look_only_the_version_is_told():
    assert samples(None) == {("kraftd_build_info", ("version", kraftd.__version__)): 1.0}


def test_every_configured_broker_is_up_or_not():
    found = samples(snapshot(program("broker-1")))

    assert found["kraftd_broker_up", ("broker_id", "1")] == 1.0
    assert found["kraftd_broker_up", ("broker_id", "2")] == 0.0


def test_a_snapshot_tells_its_age_and_never_a_negative_one():
    assert samples(snapshot(), 1002.5)["kraftd_snapshot_age_seconds",] == 2.5
    assert samples(snapshot(), 990.0)["kraftd_snapshot_age_seconds",] == 0.0


def test_processes_and_their_restarts_are_counted():
    gone = replace(program("producer"), pid=None, restarts=3)

    found = samples(snapshot(program("broker-1"), gone))

    assert found["kraftd_process_up", ("kind", "broker"), ("name", "broker-1")] == 1.0
    assert found["kraftd_process_up", ("kind", "app"), ("name", "producer")] == 0.0
    assert found["kraftd_process_restarts", ("kind", "app"), ("name", "producer")] == 3.0


def test_the_quorums_leader_is_told_where_there_is_one():
    assert samples(snapshot(kafka=KafkaView(quorum=quorum(2))))["kraftd_quorum_leader_id",] == 2.0
    assert ("kraftd_quorum_leader_id",) not in samples(snapshot(kafka=KafkaView(quorum=quorum(None))))
    assert ("kraftd_quorum_leader_id",) not in samples(snapshot())


def test_lag_has_the_names_of_kafka_exporter():
    existing = [("orders", 0), ("orders", 1)]
    lag = group_lag({("orders", 0): 7, ("orders", 1): 4}, {("orders", 0): 10, ("orders", 1): 4}, {}, existing=existing)

    found = samples(snapshot(kafka=KafkaView(lags={"g": lag})))

    group, topic = ("consumergroup", "g"), ("topic", "orders")
    assert found["kafka_consumergroup_lag", group, ("partition", "0"), topic] == 3.0
    assert found["kafka_consumergroup_lag", group, ("partition", "1"), topic] == 0.0
    assert found["kafka_consumergroup_current_offset", group, ("partition", "0"), topic] == 7.0
    assert found["kafka_consumergroup_lag_sum", group, topic] == 3.0


def test_a_lag_that_is_not_known_is_absent():
    lag = group_lag({("orders", 0): 7}, {}, {}, existing=[("orders", 0)])

    found = samples(snapshot(kafka=KafkaView(lags={"g": lag})))

    assert not [key for key in found if key[0].startswith("kafka_consumergroup_lag")]
    assert (
        found["kafka_consumergroup_current_offset", ("consumergroup", "g"), ("partition", "0"), ("topic", "orders")]
        == 7
    )


def test_a_label_that_holds_quotes_and_backslashes_reads_back():
    name = 'a"b\\c\nd'
    lag = group_lag({("orders", 0): 1}, {("orders", 0): 2}, {}, existing=[("orders", 0)])

    found = samples(snapshot(kafka=KafkaView(lags={name: lag})))

    assert found["kafka_consumergroup_lag_sum", ("consumergroup", name), ("topic", "orders")] == 1.0


def test_a_topics_partitions_are_told_under_kafka_exporters_names():
    kafka = KafkaView(topics=(topic("orders", 1, None, in_sync=(2,)),))

    found = samples(snapshot(program("broker-1"), kafka=kafka))

    def value(name, partition):
        return found.get((f"kafka_topic_partition_{name}", ("partition", partition), ("topic", "orders")))

    assert found["kafka_topic_partitions", ("topic", "orders")] == 2.0
    assert (value("leader", "0"), value("leader", "1")) == (1.0, None)
    assert (value("leader_is_preferred", "0"), value("leader_is_preferred", "1")) == (1.0, 0.0)
    assert (value("replicas", "0"), value("in_sync_replica", "0")) == (2.0, 1.0)
    assert value("under_replicated_partition", "0") == 1.0
