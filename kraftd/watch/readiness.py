"""Does a program serve? Asked of itself, from outside, each question bounded in time."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from kraftd.broker.model import Quorum
from kraftd.broker.probe import port_listens, probe
from kraftd.host.http_get import get
from kraftd.spec.kinds import Node
from kraftd.spec.plan import Plan
from kraftd.spec.program import Program, Question

CAUGHT_UP_WITHIN_S = 5.0
"""A voter that fetched everything this recently is caught up: the idle quorum writes a record every 0.5 s."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a program serves, and why not.

    Attributes:
        latency_s: How long a broker took to answer; None of other programs, and where no answer came.
    """

    ready: bool
    reason: str | None = None
    latency_s: float | None = None


SERVES = Answer(ready=True)


def ask(program: Program, *, timeout_s: float) -> Answer:
    """Return whether a program serves now, by its own probe."""
    listener = program.listener(program.probe.listener)
    match program.probe.question:
        case Question.API_VERSIONS:
            result = probe(listener.host, listener.port, timeout_s)
            return Answer(ready=result.api_versions_ok, reason=result.error, latency_s=result.latency_s)
        case Question.CONNECTION:
            listens = port_listens(listener.host, listener.port, timeout_s)
            return SERVES if listens else Answer(ready=False, reason="its port does not listen")
        case Question.HTTP:
            return _ask_http(listener.host, listener.port, program.probe.path, timeout_s)


def ask_all(plan: Plan, programs: tuple[str, ...], *, timeout_s: float) -> dict[str, Answer]:
    """Return the answers of several programs, asked side by side; the daemon does not ask itself."""
    if not programs:
        return {}
    with ThreadPoolExecutor(max_workers=len(programs)) as pool:
        answers = pool.map(lambda name: ask(plan.program(name), timeout_s=timeout_s), programs)
        return dict(zip(programs, answers, strict=True))


def voter_answer(node: Node, quorum: Quorum | None) -> Answer:
    """Return whether a controller is a caught-up voter, as the quorum's leader sees it."""
    if quorum is None or quorum.leader_id is None:
        return Answer(ready=False, reason="the quorum has no leader")
    voter = next((voter for voter in quorum.voters if voter.node_id == node.node_id), None)
    if voter is None:
        return Answer(ready=False, reason="the quorum does not count it as a voter")
    age_s = voter.last_caught_up_age_s
    if node.node_id != quorum.leader_id and (age_s is None or age_s > CAUGHT_UP_WITHIN_S):
        behind = "an unknown number of" if voter.lag_records is None else voter.lag_records
        return Answer(ready=False, reason=f"{behind} metadata records behind")
    return SERVES


def _ask_http(host: str, port: int, path: str, timeout_s: float) -> Answer:
    answer = get(host, port, path, timeout_s=timeout_s)
    if answer.status == 200:
        return SERVES
    if answer.status is None:
        return Answer(ready=False, reason=f"{path}: {answer.body}")
    return Answer(ready=False, reason=f"{path}: {_reasons(answer.body) or f'HTTP {answer.status}'}")


def _reasons(body: str) -> str:
    try:
        reasons = json.loads(body).get("reasons", [])
        return "; ".join(str(reason) for reason in reasons)
    except (ValueError, AttributeError, TypeError):
        return ""
