"""The log directories of brokers: what they hold and what is free."""

from collections.abc import Sequence
from typing import Any

from kraftd.broker.model import Failure, LogDir, Partial
from kraftd.broker.wire import Request, Wire


def describe_log_dirs(wire: Wire, broker_ids: Sequence[int]) -> Partial[int, tuple[LogDir, ...]]:
    """Return each broker's log directories, in one request each; an offline one has a failure of its own."""
    request = Request("DescribeLogDirs", {"topics": None}, min_version=1)
    answers = wire.ask([(node_id, request) for node_id in broker_ids])
    values: dict[int, tuple[LogDir, ...]] = {}
    failures: dict[int, Failure] = {}
    for node_id, answer in zip(broker_ids, answers, strict=True):
        failure = answer if isinstance(answer, Failure) else wire.failure_of(answer.error_code)
        if failure is not None:
            failures[node_id] = failure
        else:
            values[node_id] = tuple(_log_dir(found, wire) for found in answer.results)
    return Partial(values, failures)


def _log_dir(found: Any, wire: Wire) -> LogDir:
    replicas = {
        (topic.name, partition.partition_index): partition.partition_size
        for topic in found.topics
        for partition in topic.partitions
    }
    return LogDir(
        path=found.log_dir,
        replica_bytes=replicas,
        total_bytes=found.total_bytes if found.total_bytes >= 0 else None,
        usable_bytes=found.usable_bytes if found.usable_bytes >= 0 else None,
        failure=wire.failure_of(found.error_code),
    )
