"""Whether a program serves, asked through its own port, each question bounded in time; and what logs say until then."""

import json
from collections.abc import Mapping
from concurrent.futures import Executor
from datetime import UTC, datetime

from kraftd.health.programs.ladder import SERVES, Answer, ProcessFact, Silence, StartProgress, start_progress
from kraftd.host.http import get
from kraftd.host.logs import tail
from kraftd.kafka.probe import ProbeState, connect, probe
from kraftd.plan.plan import Plan
from kraftd.plan.program import Program, Question

_SILENCES = {ProbeState.SILENT: Silence.NO_ANSWER, ProbeState.REFUSED: Silence.NOT_LISTENING}


def ask(program: Program, *, timeout_s: float) -> Answer:
    """Return whether a program serves now, by its own probe."""
    listener = program.listener(program.probe.listener)
    match program.probe.question:
        case Question.API_VERSIONS:
            result = probe(listener.host, listener.port, timeout_s)
            silence = _SILENCES.get(result.state)
            return Answer(result.api_versions_ok, result.error, latency_s=result.latency_s, silence=silence)
        case Question.CONNECTION:
            result = connect(listener.host, listener.port, timeout_s)
            if result.state is ProbeState.ANSWERS:
                return SERVES
            return Answer(ready=False, reason="its port does not listen", silence=_SILENCES.get(result.state))
        case Question.HTTP:
            return _ask_http(listener.host, listener.port, program.probe.path, timeout_s)


def ask_all(plan: Plan, programs: tuple[str, ...], pool: Executor, *, timeout_s: float) -> dict[str, Answer]:
    """Return the answers of several programs, asked side by side in the threads of a pool."""
    answers = pool.map(lambda name: ask(plan.program(name), timeout_s=timeout_s), programs)
    return dict(zip(programs, answers, strict=True))


def _ask_http(host: str, port: int, path: str, timeout_s: float) -> Answer:
    answer = get(host, port, path, timeout_s=timeout_s)
    if answer.status == 200:
        return SERVES
    if answer.status is None:
        silence = Silence.NO_ANSWER if answer.timed_out else Silence.NOT_LISTENING if answer.refused else None
        return Answer(ready=False, reason=f"{path}: {answer.body}", silence=silence)
    return Answer(ready=False, reason=f"{path}: {_reasons(answer.body) or f'HTTP {answer.status}'}")


def _reasons(body: str) -> str:
    try:
        reasons = json.loads(body).get("reasons", [])
        return "; ".join(str(reason) for reason in reasons)
    except (ValueError, AttributeError, TypeError, RecursionError):
        return ""


_MOST_BYTES = 512 * 1024
"""The end of a log in which a start is looked for: a broker writes about ten lines for each log that it recovers."""


def read_start_progress(plan: Plan, broker: Program, since_s: float | None) -> StartProgress:
    """Return how far a broker's start has come, from the end of its log.

    Args:
        plan: The cluster.
        broker: A program of the plan with a broker in it.
        since_s: When its process began, in seconds since the Unix epoch; None where that is not known.
    """
    since = datetime.fromtimestamp(since_s or 0.0, UTC).strftime("[%Y-%m-%d %H:%M:%S")
    lines = tail(plan.layout.main_log(broker), _MOST_BYTES, most_bytes=_MOST_BYTES, since_s=since_s or 0.0)
    # What does not begin with a timestamp continues another record.
    return start_progress(broker, (line for line in lines if line.startswith("[") and line >= since))


def all_start_progress(
    plan: Plan, facts: Mapping[str, ProcessFact], answers: Mapping[str, Answer]
) -> dict[str, StartProgress]:
    """Return how far the start of each broker has come that runs and does not serve; no other log is read."""
    return {
        broker.name: read_start_progress(plan, broker, facts[broker.name].started_at_s)
        for broker in plan.brokers
        if broker.name in answers and not answers[broker.name].ready and facts[broker.name].pid is not None
    }
