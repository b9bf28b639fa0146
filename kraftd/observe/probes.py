"""Probes: whether a program serves, asked through its own port, each question bounded in time."""

import json
from concurrent.futures import Executor

from kraftd.health.programs.facts import SERVES, Answer, Silence
from kraftd.host.http import get
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
    except (ValueError, AttributeError, TypeError):
        return ""
