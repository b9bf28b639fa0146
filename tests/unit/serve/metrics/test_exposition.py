import shutil
import subprocess
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

import kraftd
from kraftd.health.lag.lag import group_lag
from kraftd.health.lag.status import LagStatus
from kraftd.health.lag.time_lag import AgeBounds
from kraftd.health.lag.view import (
    Canary,
    CollectorRun,
    Excluded,
    GroupStatus,
    Histogram,
    KafkaView,
    LogDirs,
    Offsets,
    Unreadable,
)
from kraftd.health.programs.backups import BackupHistory, backup_view
from kraftd.health.programs.disks import DiskView
from kraftd.health.programs.ladder import LogRecovery
from kraftd.health.programs.operations import Progress, operations_now
from kraftd.health.programs.state import BrokerContact, LastExit, ProcessUsage, ServiceState
from kraftd.kafka.model import BrokerEndpoint, Failure, GroupState, LogDir, OpenTransaction, Partial, RoundTrip
from kraftd.plan.kinds import ScheduledBackups
from kraftd.serve.metrics.exposition import OPENMETRICS, PROMETHEUS, Exposition, families
from tests.unit.health.views import program, quorum, snapshot, topic, voter
from tools.metrics_reference import document

ROOT = Path(__file__).resolve().parents[4]
KEY, OTHER = ("orders", 0), ("orders", 1)
TIMED_OUT = Failure("TIMED_OUT", "no answer within 3 s", retriable=True)
LAG = group_lag({KEY: 7, OTHER: 4}, {KEY: 10, OTHER: 4}, {KEY: 2}, existing=[KEY, OTHER])
FULL = snapshot(
    replace(program("broker-1"), last_exit=LastExit("2026-01-01T00:00:00.000Z", 1, None)),
    replace(program("producer", ServiceState.BACKOFF), next_restart_at="2026-01-01T00:00:04.500Z"),
    kafka=KafkaView(
        quorum=replace(quorum(1, voter(1), voter(2, age_s=1.5, lag=3)), observers=(voter(3),)),
        topics=(topic("orders", 1, 2),),
        brokers=(BrokerEndpoint(1, "127.0.0.1", 9092),),
        groups={"g": GroupState("g", "Stable", "consumer", "classic", 1, ())},
        lags={"g": LAG},
        offsets=Offsets(
            1000.0, Partial({KEY: 10}, {OTHER: TIMED_OUT}), Partial({KEY: 2}), last_stable=Partial({KEY: 9})
        ),
        time_lags={"g": {KEY: AgeBounds(10.0, 20.0), OTHER: AgeBounds(300.0, None)}},
        statuses={"g": GroupStatus(LagStatus.STALL, {KEY: LagStatus.STALL, OTHER: LagStatus.OK})},
        log_dirs=LogDirs(1000.0, Partial({1: (LogDir("/d", {KEY: 300}, 1000, 400, None),)})),
        canary=Canary(
            1000.0,
            Partial({1: RoundTrip(0.002, 0.001)}, {2: TIMED_OUT}),
            {1: 1000.0, 2: 990.0},
            {1: Histogram().with_one(0.002).with_one(9.0)},
            {1: Histogram().with_one(0.001)},
            {(2, "TIMED_OUT"): 4},
        ),
        runs={"quorum": CollectorRun(up=True, duration_s=0.01, last_success_s=999.0, errors={"TIMED_OUT": 1})},
        open_transactions={KEY: OpenTransaction(7, 8, 990.0, "tx", 980.0, 60.0)},
        requests={"Metadata": 5},
        unreadable=Unreadable(coordinators={2: TIMED_OUT}),
    ),
)
FULL = replace(
    FULL,
    contacts={1: BrokerContact(0.0015, unfenced=True), 2: BrokerContact(None, unfenced=False)},
    usages={"broker-1": ProcessUsage(1.25, 2048, 30, 40, 900.0)},
    disks=(DiskView("/srv", 1024, 4096, 512),),
)


def exposed(look):
    exposition = Exposition()
    exposition.show_programs(look)
    exposition.show_kafka(look.kafka)
    return exposition


def samples(look):
    """Return what a Prometheus reads: value by name and labels."""
    body, content_type = exposed(look).body("*/*")
    assert content_type == PROMETHEUS
    found = [sample for family in text_string_to_metric_families(body.decode()) for sample in family.samples]
    return {(sample.name, *sorted(sample.labels.items())): sample.value for sample in found}


def value(found, name, /, **labels):
    return found.get((name, *sorted(labels.items())))


def test_before_the_first_look_there_is_nothing():
    assert Exposition().body("") == (b"", PROMETHEUS)


def test_every_family_of_the_table_has_samples_where_everything_is_known():
    moving = Progress("scale", "2 to 3 brokers", 7, 1.0, 900.0, "copying", 300, 1200, 950.0)
    operations = operations_now([moving], {"restore.json": "{}"}, (), 1000.0)
    made = BackupHistory(0.0).begun(900.0, 7, 1.0).succeeded(910.0, "b1", 2048)
    backup = backup_view(ScheduledBackups("every 1h", "/backups"), made, 1000.0, UTC)

    names = {name.removesuffix("_bucket") for name, *_ in samples(replace(FULL, backup=backup, operations=operations))}

    assert {family.name for family in families()} - names == set()


def test_both_formats_hold_the_same_samples():
    body, content_type = exposed(FULL).body("application/openmetrics-text; version=1.0.0")

    read = [sample for family in openmetrics_families(body.decode()) for sample in family.samples]
    assert content_type == OPENMETRICS
    assert {(sample.name, *sorted(sample.labels.items())): sample.value for sample in read} == samples(FULL)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", PROMETHEUS),
        ("*/*", PROMETHEUS),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", OPENMETRICS),
        ("Application/OpenMetrics-Text ; Q=0.5", OPENMETRICS),
        ("application/openmetrics-text;q=0", PROMETHEUS),
        ("application/openmetrics-text; q=0.000, */*", PROMETHEUS),
        ("application/openmetrics-text;q=0.3, text/plain;q=0.9", PROMETHEUS),
        ("application/openmetrics-text;q=nan", PROMETHEUS),
        ("application/openmetrics-text-2", PROMETHEUS),
    ],
)
def test_the_format_is_the_one_that_is_wanted_more(accept, content_type):
    assert exposed(FULL).body(accept)[1] == content_type


def test_the_version_is_told():
    assert value(samples(FULL), "kraftd_build_info", version=kraftd.__version__) == 1


def test_every_configured_broker_is_up_or_not():
    found = samples(snapshot(program("broker-1"), replace(program("broker-2", ServiceState.DOWN), node_id=2)))

    assert (value(found, "kraftd_broker_up", broker_id="1"), value(found, "kraftd_broker_up", broker_id="2")) == (1, 0)
    assert value(found, "kraftd_broker_state", broker_id="2", state="down") == 1
    assert value(found, "kraftd_broker_state", broker_id="2", state="ready") == 0


def test_a_broker_recovers_while_its_recovery_is_counted():
    starting = program("broker-2", ServiceState.STARTING)
    found = samples(snapshot(program("broker-1"), replace(starting, node_id=2, recovery=LogRecovery(0, 309))))

    assert value(found, "kraftd_broker_recovering", broker_id="1") == 0
    assert value(found, "kraftd_broker_recovering", broker_id="2") == 1


def test_a_silent_broker_has_no_latency_and_an_unknown_one_is_not_fenced():
    found = samples(replace(FULL, contacts={1: BrokerContact(0.0015, unfenced=None), 2: BrokerContact()}))

    assert value(found, "kraftd_broker_api_versions_latency_seconds", broker_id="1") == 0.0015
    assert value(found, "kraftd_broker_api_versions_latency_seconds", broker_id="2") is None
    assert value(found, "kraftd_broker_unfenced", broker_id="1") is None


def test_processes_are_told_with_what_they_take():
    found = samples(FULL)

    broker = {"name": "broker-1", "kind": "broker"}
    assert value(found, "kraftd_process_up", **broker) == 1
    assert value(found, "kraftd_process_cpu_seconds_total", **broker) == 1.25
    assert value(found, "kraftd_process_resident_memory_bytes", **broker) == 2048
    assert value(found, "kraftd_process_exit_status", **broker) == 1
    assert value(found, "kraftd_process_exit_timestamp_seconds", **broker) == 1767225600
    assert value(found, "kraftd_process_ready", name="producer", kind="app") == 0
    assert value(found, "kraftd_process_next_restart_timestamp_seconds", name="producer", kind="app") == 1767225604.5


def test_the_quorums_leader_is_told_where_there_is_one():
    assert value(samples(FULL), "kraftd_quorum_leader_id") == 1
    assert value(samples(snapshot(kafka=KafkaView(quorum=quorum(None)))), "kraftd_quorum_leader_id") is None
    assert value(samples(FULL), "kraftd_quorum_voter_last_caught_up_age_seconds", voter="100") is None


def test_lag_has_the_names_of_kafka_exporter():
    found = samples(FULL)

    first, second = ({"consumergroup": "g", "topic": "orders", "partition": index} for index in "01")
    assert value(found, "kafka_consumergroup_lag", **first) == 3
    assert value(found, "kafka_consumergroup_lag", **second) == 0
    assert value(found, "kafka_consumergroup_current_offset", **first) == 7
    assert value(found, "kafka_consumergroup_lag_sum", consumergroup="g", topic="orders") == 3
    assert value(found, "kafka_consumergroup_current_offset_sum", consumergroup="g", topic="orders") == 11
    assert value(found, "kafka_consumergroup_members", consumergroup="g") == 0
    assert value(found, "kafka_brokers") == 1
    assert value(found, "kafka_topic_partition_oldest_offset", topic="orders", partition="0") == 2


def test_a_lag_that_is_not_known_is_absent_and_so_is_its_sum():
    lag = group_lag({KEY: 7}, {}, {}, existing=[KEY])

    found = samples(snapshot(kafka=KafkaView(lags={"g": lag})))

    assert not [key for key in found if key[0].startswith("kafka_consumergroup_lag")]
    assert value(found, "kafka_consumergroup_current_offset", consumergroup="g", topic="orders", partition="0") == 7


def test_a_time_lag_without_an_upper_bound_is_absent():
    found = samples(FULL)

    assert value(found, "kafka_consumergroup_lag_seconds", consumergroup="g", topic="orders", partition="0") == 15
    assert value(found, "kafka_consumergroup_lag_seconds", consumergroup="g", topic="orders", partition="1") is None


def test_only_partitions_that_are_not_well_are_named():
    behind = [key for key in samples(FULL) if key[0] == "kraftd_consumergroup_partition_status"]

    assert behind == [
        (behind[0][0], ("consumergroup", "g"), ("partition", "0"), ("status", "stall"), ("topic", "orders"))
    ]


def test_a_canarys_histogram_counts_up_to_each_bound():
    found = samples(FULL)

    def bucket(bound):
        return value(found, "kraftd_canary_write_seconds_bucket", broker_id="1", le=bound)

    assert [bucket(bound) for bound in ("0.001", "0.0025", "5.0", "+Inf")] == [0, 1, 1, 2]
    assert value(found, "kraftd_canary_write_seconds_sum", broker_id="1") == 9.002
    assert value(found, "kraftd_canary_success", broker_id="2") == 0
    assert value(found, "kraftd_canary_timestamp_seconds", broker_id="2") == 990.0
    assert value(found, "kraftd_canary_failures_total", broker_id="2", error="TIMED_OUT") == 4


def test_a_broker_through_which_no_canary_was_sent_has_no_verdict():
    elsewhere = Failure("NOT_LEADER", "broker 2 leads its partition now", retriable=True)
    canary = replace(FULL.kafka.canary, brokers=Partial({}, {1: elsewhere, 2: TIMED_OUT}))

    found = samples(replace(FULL, kafka=replace(FULL.kafka, canary=canary)))

    assert value(found, "kraftd_canary_success", broker_id="1") is None
    assert value(found, "kraftd_canary_success", broker_id="2") == 0
    assert value(found, "kraftd_unreadable", kind="canary", error="NOT_LEADER") == 1


def test_what_is_missing_is_counted_by_reason():
    found = samples(FULL)

    assert value(found, "kraftd_unreadable", kind="end_offset", error="TIMED_OUT") == 1
    assert value(found, "kraftd_unreadable", kind="coordinator", error="TIMED_OUT") == 1


def test_what_the_settings_leave_out_has_no_series_but_a_number():
    excluded = Excluded(topics=frozenset({"orders"}), groups=3, undetailed=frozenset({"g"}))

    found = samples(replace(FULL, kafka=replace(FULL.kafka, excluded=excluded)))

    assert value(found, "kafka_topic_partitions", topic="orders") is None
    assert value(found, "kafka_consumergroup_lag", consumergroup="g", topic="orders", partition="0") is None
    assert value(found, "kafka_consumergroup_lag_sum", consumergroup="g", topic="orders") == 3
    assert value(found, "kraftd_excluded", kind="groups") == 3


def test_a_label_that_holds_quotes_and_backslashes_reads_back():
    name = 'a"b\\c\nd'

    found = samples(snapshot(kafka=KafkaView(lags={name: LAG})))

    assert value(found, "kafka_consumergroup_lag_sum", consumergroup=name, topic="orders") == 3


def test_a_topics_partitions_are_told_under_kafka_exporters_names():
    found = samples(snapshot(kafka=KafkaView(topics=(topic("orders", 1, None, in_sync=(2,)),))))

    def of(name, partition):
        return value(found, f"kafka_topic_partition_{name}", topic="orders", partition=partition)

    assert value(found, "kafka_topic_partitions", topic="orders") == 2
    assert (of("leader", "0"), of("leader", "1")) == (1, None)
    assert (of("leader_is_preferred", "0"), of("leader_is_preferred", "1")) == (1, 0)
    assert (of("replicas", "0"), of("in_sync_replica", "0")) == (2, 1)
    assert of("under_replicated_partition", "0") == 1


def test_the_page_of_metrics_is_that_of_the_table():
    """Make it again with ``make docs/metrics.md``."""
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == document()


@pytest.mark.needs("promtool")
def test_promtool_remarks_nothing_but_the_two_names_that_kafka_exporter_chose():
    promtool = shutil.which("promtool")

    done = subprocess.run(
        [promtool, "check", "metrics"], input=exposed(FULL).body("")[0], capture_output=True, check=False
    )

    suffix = 'non-histogram and non-summary metrics should not have "_sum" suffix'
    assert done.stderr.decode().splitlines() == [
        f"kafka_consumergroup_current_offset_sum {suffix}",
        f"kafka_consumergroup_lag_sum {suffix}",
    ]
