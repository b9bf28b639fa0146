"""The daemon's front: `/livez` and `/readyz` without a framework, and everything else from the app behind it."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass

from kraftd.clock import Clock
from kraftd.health.programs.state import Snapshot
from kraftd.health.programs.verdict import judge
from kraftd.plan.plan import Plan
from kraftd.web.asgi import Answer, App, Receive, Scope, Send, json_answer, problem_answer, send_answer
from kraftd.web.background import LazyApp
from kraftd.web.guard import AccessRules, Guard

NOTHING_SEEN = "the cluster was not observed yet"

_LIVE_WITHIN_S = 10.0
_FRESH_WITHIN_S = 2.0
_POLL_S = 0.01
_LOCAL_NAMES = ("localhost", "::1")
_TICKS_AT_ONCE = 5
_TICKS_PER_S = 2.0

PROBLEM_TYPES: dict[str, tuple[int, str]] = {
    "bad_parameter": (400, "A parameter is wrong"),
    "malformed_request": (400, "The request is not HTTP"),
    "unauthorized": (401, "A token is needed"),
    "cross_site": (403, "A page of another site may not write"),
    "not_found": (404, "Not found"),
    "method_not_allowed": (405, "This address does not take this method"),
    "slow_head": (408, "The head of the request did not arrive in time"),
    "bad_host": (421, "This host name is not served"),
    "head_too_large": (431, "The head of the request is too large"),
    "internal": (500, "The daemon failed"),
    "unavailable": (503, "This is not available now"),
}
"""Status and title by code."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One error answer."""

    code: str
    detail: str

    def answer(self) -> Answer:
        """Return it as `application/problem+json`."""
        status, title = PROBLEM_TYPES[self.code]
        return problem_answer(status, title, self.detail)


@dataclass(frozen=True, slots=True)
class LivezDocument:
    """Whether the daemon's loop observes the cluster, and how long ago it last did; null before the first time."""

    live: bool
    age_s: float | None


@dataclass(frozen=True, slots=True)
class ReadyzDocument:
    """Whether the cluster can serve."""

    ready: bool
    reasons: tuple[str, ...]


def livez(snapshot: Snapshot | None, monotonic_s: float, interval_s: float) -> Answer:
    """Return the answer of ``/livez``: 200 while the loop observes the cluster.

    Args:
        snapshot: The newest one; None before the first.
        monotonic_s: Now, on the clock that never steps: setting the wall clock changes no age.
        interval_s: How long the loop waits between two ticks.
    """
    age_s = monotonic_s - snapshot.monotonic_s if snapshot else None
    is_live = age_s is not None and age_s < interval_s + _LIVE_WITHIN_S
    return json_answer(200 if is_live else 503, asdict(LivezDocument(is_live, age_s)))


def readyz(snapshot: Snapshot | None, topics: tuple[str, ...]) -> Answer:
    """Return the answer of ``/readyz``: 200 when the cluster can serve, else 503 with the reasons."""
    if snapshot is None:
        answer = ReadyzDocument(ready=False, reasons=(NOTHING_SEEN,))
    else:
        verdict = judge(snapshot, topics)
        answer = ReadyzDocument(verdict.ready, verdict.reasons)
    return json_answer(200 if answer.ready else 503, asdict(answer))


def create_front(
    plan: Plan,
    newest: Callable[[], Snapshot | None],
    clock: Clock,
    load: Callable[[], App],
    request_tick: Callable[[], None] = lambda: None,
) -> App:
    """Return the daemon's whole HTTP side: the probes, the app behind them, and the guard before both.

    ``/readyz?fresh=1`` answers from a tick that began after the request, where one ends within 2 s.

    Args:
        plan: The cluster.
        newest: Returns the newest snapshot; must not block.
        clock: Time, for ages.
        load: Returns the app for all other requests; called once, in a thread.
        request_tick: Called when the snapshot may be old: the cluster is not ready, or a fresh answer is wanted;
            a few times at once, and twice a second in the long run.
    """
    names = frozenset({plan.daemon.host, *_LOCAL_NAMES, *plan.daemon.allowed_hosts})
    access = AccessRules("the daemon", names, "add the name to [daemon] allowed_hosts (kraftd.toml)")
    return Guard(_Front(plan, newest, clock, LazyApp(load), _TickRequests(clock, request_tick)), access, Problem)


class _TickRequests:
    """Limits the ticks that requests cause: any page in this machine's browsers may send one."""

    def __init__(self, clock: Clock, request_tick: Callable[[], None]) -> None:
        self._clock = clock
        self._request_tick = request_tick
        self._left: float = _TICKS_AT_ONCE
        self._counted_s = clock.monotonic_s()

    def request(self) -> bool:
        """Request a tick, and return whether there will be one."""
        now_s = self._clock.monotonic_s()
        self._left = min(_TICKS_AT_ONCE, self._left + (now_s - self._counted_s) * _TICKS_PER_S)
        self._counted_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        self._request_tick()
        return True


class _Front:
    """An ASGI app that answers the probes itself and passes everything else to the app behind it."""

    def __init__(
        self,
        plan: Plan,
        newest: Callable[[], Snapshot | None],
        clock: Clock,
        behind: App,
        tick_requests: _TickRequests,
    ) -> None:
        self._newest = newest
        self._interval_s = plan.daemon.interval_s
        self._topics = tuple(topic.name for topic in plan.topics)
        self._clock = clock
        self._behind = behind
        self._tick_requests = tick_requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a probe, or pass the request on; the app refuses a probe with other parameters."""
        match scope["method"], scope["path"], scope["query_string"]:
            case "GET", "/livez", b"":
                await send_answer(send, livez(self._newest(), self._clock.monotonic_s(), self._interval_s))
            case "GET", "/readyz", b"":
                answer = readyz(self._newest(), self._topics)
                if answer.status != 200:
                    self._tick_requests.request()
                await send_answer(send, answer)
            case "GET", "/readyz", b"fresh=1":
                await self._wait_for_tick()
                await send_answer(send, readyz(self._newest(), self._topics))
            case _:
                await self._behind(scope, receive, send)

    async def _wait_for_tick(self) -> None:
        asked_s = self._clock.monotonic_s()
        is_coming = False
        while not self._is_since(asked_s) and self._clock.monotonic_s() < asked_s + _FRESH_WITHIN_S:
            # The loop keeps a request that comes during a tick.
            is_coming = is_coming or self._tick_requests.request()
            await asyncio.sleep(_POLL_S)

    def _is_since(self, monotonic_s: float) -> bool:
        newest = self._newest()
        return newest is not None and newest.monotonic_s >= monotonic_s
