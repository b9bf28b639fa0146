"""The JSON documents of status and health, from a snapshot. Pure."""

from dataclasses import asdict
from typing import Any

from kraftd.host.events import timestamp
from kraftd.spec.plan import Plan
from kraftd.watch.brokers import BrokerView, broker_views
from kraftd.watch.health import Verdict
from kraftd.watch.history import History
from kraftd.watch.kafka_documents import age_s, kafka_document
from kraftd.watch.snapshot import ProcessUsage, ProgramView, Snapshot

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


def health_document(
    plan: Plan,
    snapshot: Snapshot,
    verdict: Verdict,
    now_s: float,
    history: History | None = None,
    *,
    details: bool = True,
) -> dict[str, Any]:
    """Return what ``GET /health`` answers: the status, its age, and what Kafka says of itself.

    Args:
        plan: The cluster.
        snapshot: The newest look at it.
        verdict: The judgement on it.
        now_s: Seconds since the Unix epoch.
        history: What is remembered of the looks before.
        details: Whether groups are told with their partitions.
    """
    known = history or History()
    newest = known.moments[-1] if known.moments else None
    return {
        **status_document(plan, snapshot, verdict, "daemon"),
        "age_s": age_s(snapshot.taken_at_s, now_s),
        "programs": [
            _program(program, snapshot.usages.get(program.name), known.rates.cpu.get(program.name))
            for program in snapshot.programs
        ],
        "brokers": [_broker(broker, now_s) for broker in broker_views(plan, snapshot)],
        # The moment may be older than the look that found the brokers silent.
        "produced_per_s": newest.produced_per_s if newest and snapshot.kafka.offsets else None,
        **kafka_document(snapshot.kafka, known.rates, now_s, details=details),
    }


def program_document(program: ProgramView) -> dict[str, Any]:
    """Return the record of one program."""
    return {**asdict(program), "kind": program.kind.value, "service_state": program.service_state.value}


def _broker(broker: BrokerView, now_s: float) -> dict[str, Any]:
    document = asdict(broker)
    document["canary_age_s"] = age_s(document.pop("canary_at_s"), now_s)
    return document


def _program(program: ProgramView, usage: ProcessUsage | None, cores: float | None) -> dict[str, Any]:
    """Return what a program's process takes; its other facts are those of the node of the same name."""
    return {
        "name": program.name,
        "service_state": program.service_state.value,
        "pid": program.pid,
        "cpu_s": usage.cpu_s if usage else None,
        "cpu_cores": cores,
        "resident_bytes": usage.resident_bytes if usage else None,
        "open_files": usage.open_files if usage else None,
        "threads": usage.threads if usage else None,
    }
