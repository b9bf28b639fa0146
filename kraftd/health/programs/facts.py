"""The facts about one program: its process, and its probe's answer. Plain data."""

from dataclasses import dataclass
from enum import StrEnum

from kraftd.kafka.model import Quorum
from kraftd.plan.kinds import Node

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
    """

    state: str
    pid: int | None
    started_at_s: float | None


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
