"""The JSON documents of status and health, from a snapshot. Pure."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from kraftd.host.events import timestamp
from kraftd.spec.plan import Plan
from kraftd.watch.brokers import broker_views
from kraftd.watch.health import Verdict
from kraftd.watch.kafka_view import KafkaView
from kraftd.watch.snapshot import ProgramView, Snapshot

SCHEMA_VERSION = 1


def status_document(plan: Plan, snapshot: Snapshot, verdict: Verdict, source: str) -> dict[str, Any]:
    """Return what ``kraftd status --json`` prints.

    Args:
        plan: The cluster.
        snapshot: One look at it.
        verdict: The judgement on it.
        source: Who looked: ``daemon``, or ``command`` where the daemon did not answer.
    """
    return {
        "ok": True,
        "schema_version": SCHEMA_VERSION,
        "cluster": plan.cluster,
        "status": verdict.status.value,
        "ready": verdict.ready,
        "reasons": list(verdict.reasons),
        "source": source,
        "generated_at": timestamp(snapshot.taken_at_s),
        "state_dir": str(plan.layout.state_dir),
        "bootstrap_servers": plan.bootstrap_servers,
        "kafka_version": plan.kafka_version,
        "nodes": [program_document(program) for program in snapshot.programs],
    }


def health_document(plan: Plan, snapshot: Snapshot, verdict: Verdict, now_s: float) -> dict[str, Any]:
    """Return what ``GET /health`` answers: the status, its age, and what Kafka says of itself."""
    return {
        **status_document(plan, snapshot, verdict, "daemon"),
        "age_s": round(max(0.0, now_s - snapshot.taken_at_s), 3),
        "brokers": [asdict(broker) for broker in broker_views(plan, snapshot)],
        **kafka_document(snapshot.kafka, now_s),
    }


def program_document(program: ProgramView) -> dict[str, Any]:
    """Return the record of one program."""
    return {**asdict(program), "kind": program.kind.value, "service_state": program.service_state.value}


def kafka_document(kafka: KafkaView, now_s: float) -> dict[str, Any]:
    """Return quorum, topics and groups; what could not be read is null, with its reason under ``failures``."""
    return {
        "quorum": asdict(kafka.quorum) if kafka.quorum else None,
        "topics": _topics(kafka),
        "groups": _groups(kafka),
        "groups_age_s": round(max(0.0, now_s - kafka.lags_taken_at_s), 3) if kafka.lags_taken_at_s else None,
        "failures": dict(kafka.failures),
    }


def _topics(kafka: KafkaView) -> list[Mapping[str, Any]] | None:
    if kafka.topics is None:
        return None
    return [
        {
            "topic": topic.name,
            "partitions": len(topic.partitions),
            "without_leader": sum(1 for each in topic.partitions if each.leader is None),
            "under_replicated": sum(1 for each in topic.partitions if len(each.in_sync_replicas) < len(each.replicas)),
        }
        for topic in kafka.topics
    ]


def _groups(kafka: KafkaView) -> list[Mapping[str, Any]] | None:
    if kafka.groups is None or kafka.lags is None:
        return None
    return [
        {
            "group": name,
            "state": group.state,
            "members": len(group.members) if group.members is not None else None,
            "lag": kafka.lags[name].total.lag if name in kafka.lags else None,
            "uncommitted_partitions": len(kafka.lags[name].uncommitted) if name in kafka.lags else None,
            "partitions": [asdict(each) for each in kafka.lags[name].partitions] if name in kafka.lags else None,
        }
        for name, group in kafka.groups.items()
    ]
