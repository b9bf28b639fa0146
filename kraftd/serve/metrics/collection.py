"""The metrics of groups' lag status, the quorum, the log directories, the canary and the collection itself."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

from kraftd.health.lag.status import LagStatus
from kraftd.health.lag.view import Canary, CollectorRun, Histogram, KafkaView
from kraftd.kafka.model import Failure, LogDir, Voter
from kraftd.observe.canary import NOT_SENT
from kraftd.serve.metrics.family import Family, MetricKind, Sample, gauge

Samples: TypeAlias = Callable[[KafkaView], Iterator[Sample]]

_LOG_DIR = ("broker_id", "log_dir")


def _quorum(number: Callable[[KafkaView], int | None]) -> Samples:
    def samples(view: KafkaView) -> Iterator[Sample]:
        value = number(view)
        if value is not None:
            yield (), value

    return samples


def _of_voters(number: Callable[[Voter], float | None], *, observers: bool = False) -> Samples:
    def samples(view: KafkaView) -> Iterator[Sample]:
        if view.quorum is not None:
            for each in view.quorum.observers if observers else view.quorum.voters:
                if (value := number(each)) is not None:
                    yield (each.node_id,), value

    return samples


def _of_log_dirs(number: Callable[[LogDir], int | None]) -> Samples:
    def samples(view: KafkaView) -> Iterator[Sample]:
        for node_id, log_dirs in view.log_dirs.brokers.values.items() if view.log_dirs else ():
            for log_dir in log_dirs:
                if (value := number(log_dir)) is not None:
                    yield (node_id, log_dir.path), value

    return samples


def _topic_bytes(view: KafkaView) -> Iterator[Sample]:
    sizes: Counter[tuple[str, int]] = Counter()
    for node_id, log_dirs in view.log_dirs.brokers.values.items() if view.log_dirs else ():
        for log_dir in log_dirs:
            for (topic, _), size in log_dir.replica_bytes.items():
                if topic not in view.excluded.topics:
                    sizes[topic, node_id] += size
    yield from sizes.items()


def _statuses(view: KafkaView) -> Iterator[Sample]:
    for group, found in (view.statuses or {}).items():
        if found.status is not None:
            for status in LagStatus:
                yield (group, status.value), int(status is found.status)


def _partition_statuses(view: KafkaView) -> Iterator[Sample]:
    for group, found in (view.statuses or {}).items():
        for (topic, partition), status in found.partitions.items():
            if status is not LagStatus.OK:
                yield (group, topic, partition, status.value), 1


def _of_runs(number: Callable[[CollectorRun], float | None]) -> Samples:
    def samples(view: KafkaView) -> Iterator[Sample]:
        for name, run in view.runs.items():
            if (value := number(run)) is not None:
                yield (name,), value

    return samples


def _collector_errors(view: KafkaView) -> Iterator[Sample]:
    for name, run in view.runs.items():
        for error, count in run.errors.items():
            yield (name, error), count


def _requests(view: KafkaView) -> Iterator[Sample]:
    for api, count in sorted(view.requests.items()):
        yield (api,), count


def _unreadable(view: KafkaView) -> Iterator[Sample]:
    for kind, failures in _failures(view):
        for error, count in sorted(Counter(failure.error for failure in failures).items()):
            yield (kind, error), count


def _failures(view: KafkaView) -> Iterator[tuple[str, Iterable[Failure]]]:
    yield "topic", view.unreadable.topics.values()
    yield "group", view.unreadable.groups.values()
    yield "commits", view.unreadable.commits.values()
    yield "coordinator", view.unreadable.coordinators.values()
    if view.offsets is not None:
        yield "end_offset", view.offsets.ends.failures.values()
    if view.log_dirs is not None:
        yield "log_dirs", view.log_dirs.brokers.failures.values()
    if view.canary is not None:
        yield "canary", view.canary.brokers.failures.values()


def _excluded(view: KafkaView) -> Iterator[Sample]:
    yield ("topics",), len(view.excluded.topics)
    yield ("groups",), view.excluded.groups
    yield ("group_partitions",), len(view.excluded.undetailed)


def _readable_lags(view: KafkaView) -> Iterator[Sample]:
    for group, lag in (view.lags or {}).items():
        if group in view.excluded.undetailed:
            continue
        for partition in lag.partitions:
            if partition.lag is not None:
                yield (group, partition.topic, partition.partition), partition.lag


def _open_transactions(view: KafkaView) -> Iterator[Sample]:
    for (topic, partition), found in view.open_transactions.items():
        if found.began_at_s is not None:
            yield (topic, partition, found.producer_id), found.began_at_s


COLLECTION_FAMILIES: tuple[Family[KafkaView], ...] = (
    gauge(
        "kraftd_consumergroup_readable_lag",
        ("consumergroup", "topic", "partition"),
        "Records that the group can still read: without what retention took, markers and records of aborted "
        "transactions, and what an open one holds back; without a commit, from the start of the log.",
        _readable_lags,
    ),
    gauge(
        "kraftd_open_transaction_start_timestamp_seconds",
        ("topic", "partition", "producer_id"),
        "When the transaction began that holds the partition's last stable offset back, in seconds since the epoch.",
        _open_transactions,
    ),
    gauge(
        "kraftd_consumergroup_status",
        ("consumergroup", "status"),
        "1 for the group's lag status, that of its worst partition (Burrow's rules, and empty where nobody reads); "
        "absent for the first five cycles.",
        _statuses,
    ),
    gauge(
        "kraftd_consumergroup_partition_status",
        ("consumergroup", "topic", "partition", "status"),
        "1 for each partition where the group does not keep up.",
        _partition_statuses,
    ),
    gauge(
        "kraftd_quorum_leader_id",
        (),
        "Node id of the active controller.",
        _quorum(lambda view: view.quorum.leader_id if view.quorum else None),
    ),
    gauge(
        "kraftd_quorum_leader_epoch",
        (),
        "The quorum's leader epoch.",
        _quorum(lambda view: view.quorum.leader_epoch if view.quorum else None),
    ),
    gauge(
        "kraftd_quorum_high_watermark",
        (),
        "Next offset of the metadata log that a majority of voters has.",
        _quorum(lambda view: view.quorum.high_watermark if view.quorum else None),
    ),
    gauge(
        "kraftd_quorum_voter_lag_records",
        ("voter",),
        "Metadata records that the voter is behind the leader.",
        _of_voters(lambda each: each.lag_records),
    ),
    gauge(
        "kraftd_quorum_voter_last_caught_up_age_seconds",
        ("voter",),
        "Seconds since the voter had everything that the leader had.",
        _of_voters(lambda each: each.last_caught_up_age_s),
    ),
    gauge(
        "kraftd_quorum_observer_lag_records",
        ("observer",),
        "Metadata records that a broker that is not a voter is behind the leader.",
        _of_voters(lambda each: each.lag_records, observers=True),
    ),
    gauge(
        "kraftd_log_dir_total_bytes",
        _LOG_DIR,
        "Bytes of the file system of the broker's log directory.",
        _of_log_dirs(lambda each: each.total_bytes if each.failure is None else None),
    ),
    gauge(
        "kraftd_log_dir_usable_bytes",
        _LOG_DIR,
        "Bytes that are free there.",
        _of_log_dirs(lambda each: each.usable_bytes if each.failure is None else None),
    ),
    gauge(
        "kraftd_log_dir_used_bytes",
        _LOG_DIR,
        "Bytes of all replicas in it.",
        _of_log_dirs(lambda each: sum(each.replica_bytes.values()) if each.failure is None else None),
    ),
    gauge(
        "kraftd_log_dir_online",
        _LOG_DIR,
        "1 when the broker can use it.",
        _of_log_dirs(lambda each: int(each.failure is None)),
    ),
    gauge(
        "kraftd_topic_log_bytes", ("topic", "broker_id"), "Bytes of the topic's replicas on the broker.", _topic_bytes
    ),
    gauge(
        "kraftd_collector_up",
        ("collector",),
        "1 when the collector succeeded the last time.",
        _of_runs(lambda run: int(run.up)),
    ),
    gauge(
        "kraftd_collector_duration_seconds",
        ("collector",),
        "Seconds that it took the last time.",
        _of_runs(lambda run: round(run.duration_s, 6)),
    ),
    gauge(
        "kraftd_collector_last_success_timestamp_seconds",
        ("collector",),
        "When it last succeeded, in seconds since the Unix epoch.",
        _of_runs(lambda run: run.last_success_s),
    ),
    Family(
        "kraftd_collector_errors_total",
        MetricKind.COUNTER,
        ("collector", "error"),
        "How often it failed.",
        _collector_errors,
    ),
    Family(
        "kraftd_kafka_requests_total",
        MetricKind.COUNTER,
        ("api",),
        "Requests to brokers, without the ApiVersions that opens each connection and asks each broker every second.",
        _requests,
    ),
    gauge(
        "kraftd_unreadable",
        ("kind", "error"),
        "Topics, groups, partitions and brokers that have no value now, by reason; /health names them.",
        _unreadable,
    ),
    gauge(
        "kraftd_excluded",
        ("kind",),
        "Topics and groups that the settings exclude, and groups of which only totals are kept.",
        _excluded,
    ),
)
"""In the order in which they are exposed."""


def _canary_success(view: KafkaView) -> Iterator[Sample]:
    if view.canary is not None:
        trips = view.canary.brokers
        failed = {node_id for node_id, failure in trips.failures.items() if failure.error not in NOT_SENT}
        for node_id in sorted(trips.values.keys() | failed):
            yield (node_id,), int(node_id in trips.values)


def _canary_times(view: KafkaView) -> Iterator[Sample]:
    for node_id, at_s in sorted(view.canary.sent_at_s.items()) if view.canary else ():
        yield (node_id,), at_s


def _canary_histogram(of: Callable[[Canary], Mapping[int, Histogram]]) -> Callable[[KafkaView], Iterator[Sample]]:
    def samples(view: KafkaView) -> Iterator[Sample]:
        for node_id, histogram in of(view.canary).items() if view.canary else ():
            yield (node_id,), histogram

    return samples


def _canary_failures(view: KafkaView) -> Iterator[Sample]:
    if view.canary is not None:
        yield from view.canary.failures.items()


CANARY_FAMILIES: tuple[Family[KafkaView], ...] = (
    Family(
        "kraftd_canary_success",
        MetricKind.GAUGE,
        ("broker_id",),
        "1 when the last canary went through the broker and back; absent while another broker leads its partition.",
        _canary_success,
    ),
    Family(
        "kraftd_canary_timestamp_seconds",
        MetricKind.GAUGE,
        ("broker_id",),
        "When that canary was sent, in seconds since the Unix epoch: a third of the brokers has its turn every 10 s.",
        _canary_times,
    ),
    Family(
        "kraftd_canary_write_seconds",
        MetricKind.HISTOGRAM,
        ("broker_id",),
        "Seconds until a canary record was written to all replicas in sync.",
        _canary_histogram(lambda canary: canary.writes),
    ),
    Family(
        "kraftd_canary_read_seconds",
        MetricKind.HISTOGRAM,
        ("broker_id",),
        "Seconds until it was read back.",
        _canary_histogram(lambda canary: canary.reads),
    ),
    Family(
        "kraftd_canary_failures_total",
        MetricKind.COUNTER,
        ("broker_id", "error"),
        "Canary records that did not come back.",
        _canary_failures,
    ),
)
"""In the order in which they are exposed."""
