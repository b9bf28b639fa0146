"""Does a program serve? Asked of itself, from outside, each question bounded in time."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from kraftd.broker.model import Quorum
from kraftd.broker.probe import port_listens, probe
from kraftd.host.http_get import get
from kraftd.spec.plan import App, Node, Plan

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


def ask(plan: Plan, program: str, *, timeout_s: float) -> Answer:
    """Return whether one program serves now.

    A broker serves when it answers on its client port, which KRaft opens only after unfencing; a controller when its
    port listens (whether it is a caught-up voter, the quorum must be asked); an app when ``/readyz`` says so; a tool
    when its own health check does; the daemon when its loop is alive.
    """
    for node in plan.nodes:
        if node.name == program:
            return _ask_node(node, timeout_s)
    for app in plan.apps:
        if app.name == program:
            return _ask_app(app, timeout_s)
    tool = plan.tool(program)
    if tool is not None:
        return _ask_http(tool.host, tool.port, tool.health_path, timeout_s)
    return _ask_http(plan.daemon.host, plan.daemon.port, "/livez", timeout_s)


def ask_all(plan: Plan, programs: tuple[str, ...], *, timeout_s: float) -> dict[str, Answer]:
    """Return the answers of several programs, asked side by side; the daemon does not ask itself."""
    if not programs:
        return {}
    with ThreadPoolExecutor(max_workers=len(programs)) as pool:
        answers = pool.map(lambda program: ask(plan, program, timeout_s=timeout_s), programs)
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


def _ask_node(node: Node, timeout_s: float) -> Answer:
    if node.client is not None:
        result = probe(node.client.host, node.client.port, timeout_s)
        return Answer(ready=result.api_versions_ok, reason=result.error, latency_s=result.latency_s)
    controller = node.controller
    if controller is not None and port_listens(controller.host, controller.port, timeout_s):
        return SERVES
    return Answer(ready=False, reason="its port does not listen")


def _ask_app(app: App, timeout_s: float) -> Answer:
    return _ask_http(app.host, app.port, "/readyz", timeout_s)


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
