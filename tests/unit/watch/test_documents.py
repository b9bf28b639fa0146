import json
from dataclasses import replace

from kraftd.broker.model import GroupState
from kraftd.watch.documents import health_document, kafka_document, program_document, status_document
from kraftd.watch.health import judge
from kraftd.watch.kafka_view import KafkaView
from kraftd.watch.lag import group_lag
from kraftd.watch.snapshot import LastExit
from tests.plans import plan_of
from tests.unit.watch.programs import READY, program, quorum, snapshot, topic, voter


def test_the_status_document_is_the_contract():
    look = snapshot(program("broker-1"))

    document = status_document(plan_of(), look, judge(look), "daemon")

    assert {key: value for key, value in document.items() if key != "nodes"} == {
        "ok": True,
        "schema_version": 1,
        "cluster": "local",
        "status": "ok",
        "ready": True,
        "reasons": [],
        "source": "daemon",
        "generated_at": "1970-01-01T00:16:40.000Z",
        "state_dir": "/srv/kraftd/local",
        "bootstrap_servers": "127.0.0.1:9092,127.0.0.1:9093",
        "kafka_version": "3.9.2",
    }
    json.dumps(document)


def test_a_node_record_is_the_contract():
    ended = LastExit("2026-01-01T00:00:00.000Z", 143, None)

    record = json.loads(json.dumps(program_document(replace(READY, last_exit=ended))))

    assert record == {
        "name": "broker-1",
        "kind": "broker",
        "node_id": 1,
        "pid": 4711,
        "process_state": "RUNNING",
        "service_state": "READY",
        "ready": True,
        "restarts": 0,
        "last_exit": {"at": "2026-01-01T00:00:00.000Z", "status": 143, "signal": None, "cause": None},
        "reason": None,
        "uptime_s": 12.5,
        "listeners": ["127.0.0.1:9092"],
        "jmx_port": 9999,
        "heap_bytes": 4294967296,
        "log": "/srv/kraftd/local/logs/broker-1/server.log",
    }


def test_health_tells_its_age_and_never_a_negative_one():
    look = snapshot(program("broker-1"))

    assert health_document(plan_of(), look, judge(look), 1002.5)["age_s"] == 2.5
    assert health_document(plan_of(), look, judge(look), 999.0)["age_s"] == 0.0


def test_what_was_not_read_is_null_and_keeps_its_reason():
    assert kafka_document(KafkaView(failures={"topics": "no answer"}), 1000.0) == {
        "quorum": None,
        "topics": None,
        "groups": None,
        "groups_age_s": None,
        "failures": {"topics": "no answer"},
    }


def test_quorum_and_topics_are_summed_up():
    view = KafkaView(quorum=quorum(1, voter(1)), topics=(topic("orders", 1, None, in_sync=(1,)),))

    document = json.loads(json.dumps(kafka_document(view, 1000.0)))

    assert document["quorum"]["leader_id"] == 1
    assert document["topics"] == [{"topic": "orders", "partitions": 2, "without_leader": 1, "under_replicated": 2}]


def test_a_group_without_a_known_lag_is_told_without_one():
    group = GroupState("g", "Stable", "consumer", "classic", 1, ())
    lag = group_lag({("orders", 0): 7}, {("orders", 0): 10}, {("orders", 0): 0}, existing=[("orders", 0)], assigned=())
    view = KafkaView(
        groups={"g": group, "h": replace(group, name="h", members=None)}, lags={"g": lag}, lags_taken_at_s=990.0
    )

    document = json.loads(json.dumps(kafka_document(view, 1000.0)))

    assert document["groups_age_s"] == 10.0
    g, h = document["groups"]
    assert (g["group"], g["state"], g["members"], g["lag"], g["uncommitted_partitions"]) == ("g", "Stable", 0, 3, 0)
    assert g["partitions"][0]["lag"] == 3
    assert (h["members"], h["lag"], h["partitions"]) == (None, None, None)
