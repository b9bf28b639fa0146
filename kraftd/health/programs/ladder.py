"""The readiness of one program: its process, its probe's answer, and the rungs that it reaches as it starts. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from kraftd.kafka.model import Quorum, TopicState
from kraftd.plan.kinds import Node
from kraftd.plan.program import Kind, Program, Purpose

CAUGHT_UP_WITHIN_S = 5.0
"""A voter that fetched everything this recently is caught up: the idle quorum writes a record every 0.5 s."""

ORPHANED = "ORPHANED"
NOT_STARTED = "STOPPED"


@dataclass(frozen=True, slots=True)
class ProcessFact:
    """A program's process.

    Attributes:
        state: supervisord's state, or ORPHANED.
        pid: None while it does not run.
        started_at_s: Its start, in seconds since the Unix epoch.
        spawn_error: Why supervisord could not spawn it the last time that it tried; empty where it could.
    """

    state: str
    pid: int | None
    started_at_s: float | None
    spawn_error: str = ""


class Silence(StrEnum):
    """How a program gave no answer at all, not even a bad one.

    Attributes:
        NO_ANSWER: Its port is open, and nothing came in time, as from a frozen process.
        NOT_LISTENING: Nothing listens: it starts, recovers its logs, or ends.
    """

    NO_ANSWER = "no_answer"
    NOT_LISTENING = "not_listening"


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a program serves, and why not.

    Attributes:
        silence: How there was no answer; None where there was one, or nobody could ask.
        latency_s: How long a broker took to answer; None of other programs, and where no answer came.
    """

    ready: bool
    reason: str | None = None
    latency_s: float | None = None
    silence: Silence | None = None


SERVES = Answer(ready=True)


def voter_answer(node: Node, quorum: Quorum | None) -> Answer:
    """Return whether a controller that listens is a caught-up voter, as the quorum's leader sees it."""
    if quorum is None or quorum.leader_id is None:
        return Answer(ready=False, reason="the quorum has no leader")
    voter = next((voter for voter in quorum.voters if voter.node_id == node.node_id), None)
    if voter is None:
        return Answer(ready=False, reason="the quorum does not count it as a voter")
    age_s = voter.last_caught_up_age_s
    if node.node_id != quorum.leader_id and (age_s is None or age_s > CAUGHT_UP_WITHIN_S):
        behind = "an unknown number of" if voter.lag_records is None else voter.lag_records
        # Its port is open even while its process is frozen.
        return Answer(ready=False, reason=f"{behind} metadata records behind", silence=Silence.NO_ANSWER)
    return SERVES


class Rung(StrEnum):
    """A rung of a program's ladder, or of the cluster's; which of them it has follows from its kind."""

    SPAWNED = "spawned"
    LISTENING = "listening"
    RECOVERED = "recovered"
    REGISTERED = "registered"
    SERVING = "serving"
    QUORUM = "quorum"
    BROKERS = "brokers"
    TOPICS = "topics"
    READY = "ready"
    IN_SYNC = "in-sync"


CLUSTER_LADDER = (Rung.QUORUM, Rung.BROKERS, Rung.TOPICS, Rung.READY, Rung.IN_SYNC)
"""A quorum has a leader; every broker serves; every declared topic has its leaders; everything serves; every ISR is
complete."""

_BROKER_LADDER = (Rung.SPAWNED, Rung.RECOVERED, Rung.REGISTERED, Rung.SERVING, Rung.IN_SYNC)
_COMBINED_LADDER = (Rung.SPAWNED, Rung.LISTENING, *_BROKER_LADDER[1:])
_LADDER = (Rung.SPAWNED, Rung.LISTENING, Rung.READY)


@dataclass(frozen=True, slots=True)
class LogRecovery:
    """How many of a broker's logs, one for each replica, are recovered or loaded since its start."""

    done: int
    total: int

    def __str__(self) -> str:
        return f"logs recovered {self.done} of {self.total}"


@dataclass(frozen=True, slots=True)
class StartProgress:
    """What a broker's log says of its start.

    Attributes:
        rungs: The rungs that it names.
        recovery: None where it is not known yet how many logs there are.
    """

    rungs: frozenset[Rung] = frozenset()
    recovery: LogRecovery | None = None


NO_PROGRESS = StartProgress()

_LOADED_ONE = re.compile(r"Completed load of .* \((\d+)/(\d+) completed in ")
_RECOVERS = re.compile(r"Recovering (\d+) logs from .* since no clean shutdown file was found")
_LISTENS = re.compile(r"Awaiting socket connections on \S*:(\d+)\. ")
_PROOFS = (
    (re.compile(r"\bLoaded \d+ logs in \d+ ?ms"), (Rung.LISTENING, Rung.RECOVERED)),
    (re.compile(r"Successfully registered broker \d+"), (Rung.LISTENING, Rung.REGISTERED)),
    # Kafka reports itself caught up after its first image of the metadata, with which it loads its logs.
    (
        re.compile(r"Transitioning from (STARTING to RECOVERY|RECOVERY to RUNNING)\."),
        (Rung.LISTENING, Rung.RECOVERED, Rung.REGISTERED),
    ),
)
"""The lines of Kafka's server.log that prove rungs, the same in 3.9 and 4.x. A broker registers while it loads its
logs, and its controller listens before it does either."""


def ladder_of(program: Program) -> tuple[Rung, ...]:
    """Return the rungs of a program, the lowest first."""
    if program.kind is not Kind.BROKER:
        return _LADDER
    return _COMBINED_LADDER if program.first(Purpose.CONTROLLER) else _BROKER_LADDER


def serving_rung(program: Program) -> Rung:
    """Return the rung of a program whose probe is answered: where its state is READY."""
    return Rung.SERVING if program.kind is Kind.BROKER else Rung.READY


def start_progress(program: Program, lines: Iterable[str]) -> StartProgress:
    """Return what a broker's log says of its start.

    Args:
        program: The broker.
        lines: Lines of its server.log, of this start only.
    """
    controller = program.first(Purpose.CONTROLLER)
    rungs: set[Rung] = set()
    done = total = 0
    for line in lines:
        if loaded := _LOADED_ONE.search(line):
            # Several threads load logs, and may log out of turn.
            done, total = max(done, int(loaded[1])), int(loaded[2])
            rungs.add(Rung.LISTENING)
        elif recovers := _RECOVERS.search(line):
            # The first log may take long.
            total = int(recovers[1])
            rungs.add(Rung.LISTENING)
        elif listens := _LISTENS.search(line):
            if controller is not None and int(listens[1]) == controller.port:
                rungs.add(Rung.LISTENING)
        else:
            rungs.update(rung for proof, proven in _PROOFS if proof.search(line) for rung in proven)
    return StartProgress(frozenset(rungs), LogRecovery(done, total) if total else None)


def rung_of(program: Program, answer: Answer | None, progress: StartProgress = NO_PROGRESS) -> Rung:
    """Return the highest rung that a running program has reached with all rungs below it.

    The rung above ``serving`` follows from the replicas, not from the program: ``health_document`` adds it.
    """
    if answer is not None and answer.ready:
        return serving_rung(program)
    reached = {Rung.SPAWNED, *progress.rungs}
    if program.kind is not Kind.BROKER and answer is not None and answer.silence is not Silence.NOT_LISTENING:
        reached.add(Rung.LISTENING)
    top = Rung.SPAWNED
    for rung in ladder_of(program):
        if rung not in reached:
            break
        top = rung
    return top


def recovery_shown(rung: Rung, progress: StartProgress) -> LogRecovery | None:
    """Return the recovery of a broker's logs while it goes on."""
    return progress.recovery if rung in (Rung.SPAWNED, Rung.LISTENING) else None


def described(rung: Rung, recovery: LogRecovery | None) -> str:
    """Return a rung, and how far the way to the next is known: ``listening, logs recovered 12 of 309``."""
    return f"{rung}, {recovery}" if recovery is not None else str(rung)


def lagging_replicas(topics: Iterable[TopicState]) -> frozenset[int]:
    """Return the node ids of brokers that hold a replica out of sync."""
    return frozenset(
        replica
        for topic in topics
        for partition in topic.partitions
        if len(partition.in_sync_replicas) < len(partition.replicas)
        for replica in partition.replicas
        if replica not in partition.in_sync_replicas
    )
