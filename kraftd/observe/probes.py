"""Probes: whether a program serves, asked through its own port, each question bounded in time."""

import json
from concurrent.futures import Executor

from kraftd.health.programs.facts import SERVES, Answer
from kraftd.host.http import get
from kraftd.kafka.probe import port_listens, probe
from kraftd.plan.plan import Plan
from kraftd.plan.program import Program, Question


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


def ask_all(plan: Plan, programs: tuple[str, ...], pool: Executor, *, timeout_s: float) -> dict[str, Answer]:
    """Return the answers of several programs, asked side by side in the threads of a pool."""
    answers = pool.map(lambda name: ask(plan.program(name), timeout_s=timeout_s), programs)
    return dict(zip(programs, answers, strict=True))


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
