"""The status and health documents of a snapshot. Pure."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from kraftd.health.lag.view import KafkaView
from kraftd.health.programs.ladder import Rung, lagging_replicas
from kraftd.health.programs.state import BrokerContact, ProgramView, Snapshot
from kraftd.health.programs.verdict import Verdict, cluster_rung
from kraftd.health.report.documents import (
    SCHEMA_VERSION,
    BrokerView,
    Disk,
    DroppedCounts,
    HealthDocument,
    ProgramUsage,
    StatusDocument,
    age_s,
)
from kraftd.health.report.history import History, Rates
from kraftd.health.report.kafka import collector_summaries, group_summaries, missing_values, topic_summaries
from kraftd.kafka.model import Partition
from kraftd.plan.kinds import Node
from kraftd.plan.plan import Plan
from kraftd.units import timestamp

MOST_MISSING = 200
"""More reasons than this are only counted."""


def status_document(plan: Plan, snapshot: Snapshot, verdict: Verdict, source: str) -> StatusDocument:
    """Return what ``kraftd status --json`` prints.

    Args:
        plan: The cluster.
        snapshot: An observation of it.
        verdict: The judgement on it.
        source: The observer: ``daemon``, or ``command`` where the daemon did not answer.
    """
    return StatusDocument(
        ok=True,
        schema_version=SCHEMA_VERSION,
        cluster=plan.cluster,
        status=verdict.status,
        ready=verdict.ready,
        reasons=verdict.reasons,
        source=source,
        generated_at=timestamp(snapshot.taken_at_s),
        state_dir=str(plan.layout.state_dir),
        bootstrap_servers=plan.access.bootstrap_servers,
        kafka_version=plan.kafka_version,
        nodes=_nodes(snapshot),
        rung=cluster_rung(snapshot, verdict, [topic.name for topic in plan.topics]),
        operations=snapshot.operations,
    )


def _nodes(snapshot: Snapshot) -> tuple[ProgramView, ...]:
    """Return the programs, where each broker that serves and is in every ISR has the rung for that."""
    topics = snapshot.kafka.topics
    if topics is None:
        return snapshot.programs
    lagging = lagging_replicas(topics)
    return tuple(
        replace(each, rung=Rung.IN_SYNC) if each.rung is Rung.SERVING and each.node_id not in lagging else each
        for each in snapshot.programs
    )


def health_document(
    plan: Plan,
    snapshot: Snapshot,
    verdict: Verdict,
    now_s: float,
    history: History | None = None,
    *,
    details: bool = True,
) -> HealthDocument:
    """Return the answer of ``GET /health``: the status, its age, and Kafka's state.

    Args:
        plan: The cluster.
        snapshot: The newest observation of it.
        verdict: The judgement on it.
        now_s: Seconds since the Unix epoch.
        history: The history of earlier snapshots.
        details: Whether groups have their partitions.
    """
    kafka, known = snapshot.kafka, history or History()
    status, missing = status_document(plan, snapshot, verdict, "daemon"), tuple(missing_values(kafka))
    return HealthDocument(
        **{field.name: getattr(status, field.name) for field in fields(status)},
        age_s=age_s(snapshot.taken_at_s, now_s) or 0.0,
        programs=tuple(_usage(program, snapshot, known.rates) for program in snapshot.programs),
        brokers=broker_views(plan, snapshot, now_s),
        produced_per_s=_produced_per_s(known, kafka),
        quorum=kafka.quorum,
        topics=topic_summaries(kafka, known.rates),
        groups=group_summaries(kafka, details=details),
        groups_age_s=age_s(kafka.lags_taken_at_s, now_s),
        failures=kafka.failures,
        missing=missing[:MOST_MISSING],
        missing_total=len(missing),
        dropped=DroppedCounts(len(kafka.excluded.topics), kafka.excluded.groups, len(kafka.excluded.undetailed)),
        collectors=collector_summaries(kafka.runs, now_s),
        **_of_machine(snapshot),
    )


def _of_machine(snapshot: Snapshot) -> dict[str, Any]:
    """Return the fields that are the snapshot's own."""
    return {
        "alerts": snapshot.alerts,
        "file_systems": snapshot.disks,
        "backup": snapshot.backup,
    }


def _produced_per_s(history: History, kafka: KafkaView) -> float | None:
    # The moment may be older than the snapshot in which no broker answered.
    return history.moments[-1].produced_per_s if history.moments and kafka.offsets else None


def _usage(program: ProgramView, snapshot: Snapshot, rates: Rates) -> ProgramUsage:
    usage = snapshot.usages.get(program.name)
    return ProgramUsage(
        name=program.name,
        service_state=program.service_state,
        pid=program.pid,
        cpu_s=usage.cpu_s if usage else None,
        cpu_cores=rates.cpu.get(program.name),
        resident_bytes=usage.resident_bytes if usage else None,
        open_files=usage.open_files if usage else None,
        threads=usage.threads if usage else None,
    )


def broker_views(plan: Plan, snapshot: Snapshot, now_s: float) -> tuple[BrokerView, ...]:
    """Return the brokers of a plan; a broker that does not run is included, with the reason."""
    topics = snapshot.kafka.topics
    partitions = None if topics is None else [each for topic in topics for each in topic.partitions]
    return tuple(_view(broker, snapshot, partitions, now_s) for broker in plan.brokers)


def _view(broker: Node, snapshot: Snapshot, partitions: list[Partition] | None, now_s: float) -> BrokerView:
    program = next((each for each in snapshot.programs if each.name == broker.name), None)
    up = program is not None and program.ready
    stopped = "it was stopped" if program is not None and not program.is_wanted else "it was not observed"
    contact = snapshot.contacts.get(broker.node_id, BrokerContact())
    canary = snapshot.kafka.canary
    return BrokerView(
        node_id=broker.node_id,
        name=broker.name,
        address=broker.client.address if broker.client else "",
        up=up,
        reason=None if up else (program.reason if program is not None else None) or stopped,
        unfenced=contact.unfenced,
        answer_s=contact.latency_s,
        round_trip=canary.brokers.values.get(broker.node_id) if canary else None,
        leads=_count(partitions, lambda each: each.leader == broker.node_id),
        in_sync=_count(partitions, lambda each: broker.node_id in each.in_sync_replicas),
        replicas=_count(partitions, lambda each: broker.node_id in each.replicas),
        disks=_disks(snapshot.kafka, broker.node_id),
        canary_age_s=age_s(canary.sent_at_s.get(broker.node_id), now_s) if canary else None,
    )


def _count(partitions: list[Partition] | None, counts: Callable[[Partition], bool]) -> int | None:
    return None if partitions is None else sum(1 for each in partitions if counts(each))


def _disks(kafka: KafkaView, node_id: int) -> tuple[Disk, ...] | None:
    directories = kafka.log_dirs.brokers.values.get(node_id) if kafka.log_dirs else None
    if directories is None:
        return None
    return tuple(
        Disk(each.path, None, None, None, each.failure.text)
        if each.failure
        else Disk(each.path, sum(each.replica_bytes.values()), each.usable_bytes, each.total_bytes, None)
        for each in directories
    )
