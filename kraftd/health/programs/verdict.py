"""The verdict on a snapshot, with its reasons. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from kraftd.health.lag.view import KafkaView
from kraftd.health.programs.disks import disk_reasons
from kraftd.health.programs.ladder import Rung, lagging_replicas
from kraftd.health.programs.state import ProgramView, Snapshot, Status
from kraftd.plan.desired import DesiredState
from kraftd.plan.program import Kind


@dataclass(frozen=True, slots=True)
class Verdict:
    """The cluster in a word, and why it is not ``ok``.

    Attributes:
        ready: Every desired program serves (tools do not count); the quorum has a leader, and
            so has every partition.
        reasons: One sentence each; empty when the status is ``ok``.
    """

    status: Status
    ready: bool
    reasons: tuple[str, ...]


def judge(snapshot: Snapshot, declared_topics: Iterable[str] = ()) -> Verdict:
    """Return the verdict on a snapshot.

    A cluster is ``down`` when no broker serves, ``degraded`` when a desired program does not, the daemon included, or
    a disk is short of space, and ``unsupervised`` when nodes run while supervisord does not, or does not answer.
    """
    serving = [program for program in snapshot.programs if program.kind is Kind.BROKER and program.ready]
    failing = [program for program in snapshot.programs if program.is_wanted and not program.ready]
    reasons = [_unready(program) for program in failing if program.kind is not Kind.TOOL]
    reasons += _kafka_reasons(snapshot, declared_topics) if serving else []
    is_ready = not reasons
    reasons += [_unready(program) for program in failing if program.kind is Kind.TOOL]
    reasons += disk_reasons(snapshot.disks)
    if snapshot.supervised is False:
        why = "does not run" if snapshot.unreachable is None else f"does not answer: {snapshot.unreachable}"
        unsupervised = (
            f"supervisord {why}; its programs keep running, and nothing restarts them: "
            "'kraftd start' brings supervision back"
        )
        return Verdict(Status.UNSUPERVISED, ready=False, reasons=(unsupervised, *reasons))
    if not serving:
        return Verdict(Status.DOWN, ready=False, reasons=tuple(reasons) or ("no broker serves",))
    return Verdict(Status.DEGRADED if reasons else Status.OK, ready=is_ready, reasons=tuple(reasons))


def judge_stopped(snapshot: Snapshot, desired: DesiredState) -> Verdict:
    """Return the verdict on a cluster of which nothing runs: whether a command stopped it."""
    verdict = judge(snapshot)
    if not any(program.running for program in desired.programs.values()):
        return verdict
    why = "nothing of it runs, and no command stopped it, as after a restart of the machine: 'kraftd start' starts it"
    return replace(verdict, reasons=(why,))


def is_settled(snapshot: Snapshot, declared_topics: Iterable[str] = ()) -> bool:
    """Return whether no change is expected: the status is ok, and every replica is in sync."""
    kafka = snapshot.kafka
    if kafka.quorum is None or kafka.topics is None or not judge(snapshot, declared_topics).ready:
        return False
    return not lagging_replicas(kafka.topics)


def cluster_rung(snapshot: Snapshot, verdict: Verdict, declared_topics: Iterable[str] = ()) -> Rung | None:
    """Return the highest rung of the cluster's ladder that it has reached; None below the lowest."""
    kafka = snapshot.kafka
    if verdict.ready:
        return Rung.IN_SYNC if kafka.topics is not None and not lagging_replicas(kafka.topics) else Rung.READY
    brokers = [program for program in snapshot.programs if program.kind is Kind.BROKER and program.is_wanted]
    serving = [broker for broker in brokers if broker.ready]
    if not serving and not _has_leader(kafka):
        # A broker that serves was unfenced by the quorum's leader, and so proves that there is one.
        return None
    if not serving or len(serving) < len(brokers):
        return Rung.QUORUM
    is_usable = kafka.topics is not None and not _kafka_reasons(snapshot, declared_topics)
    return Rung.TOPICS if is_usable else Rung.BROKERS


def _has_leader(kafka: KafkaView) -> bool:
    return kafka.quorum is not None and kafka.quorum.leader_id is not None


def _unready(program: ProgramView) -> str:
    reason = f": {program.reason}" if program.reason else ""
    return f"{program.name} is {program.service_state.value}{reason}"


def _kafka_reasons(snapshot: Snapshot, declared_topics: Iterable[str]) -> list[str]:
    kafka = snapshot.kafka
    reasons = []
    if kafka.quorum is not None and kafka.quorum.leader_id is None:
        reasons.append("the quorum has no leader")
    if kafka.topics is not None:
        known = {topic.name for topic in kafka.topics}
        reasons += [f"topic {name} does not exist" for name in declared_topics if name not in known]
        reasons += [
            f"partition {partition.topic}-{partition.partition} has no leader"
            for topic in kafka.topics
            for partition in topic.partitions
            if partition.leader is None
        ]
    return reasons
