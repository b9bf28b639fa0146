"""Is the daemon alive, can the cluster serve? From a snapshot. Pure."""

from dataclasses import asdict, dataclass

from kraftd.watch.health import judge
from kraftd.watch.snapshot import Snapshot
from kraftd.web.asgi import Answer, json_answer

NOTHING_SEEN = "nothing was looked at yet"

_LIVE_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Live:
    """Whether the daemon's loop looks at the cluster, and how long ago it last did; null before the first look."""

    live: bool
    age_s: float | None


@dataclass(frozen=True, slots=True)
class Ready:
    """Whether the cluster can serve."""

    ready: bool
    reasons: tuple[str, ...]


def livez(snapshot: Snapshot | None, monotonic_s: float, interval_s: float) -> Answer:
    """Return the answer of ``/livez``: 200 while the loop looks at the cluster.

    Args:
        snapshot: The newest look; None before the first.
        monotonic_s: Now, on the clock that never steps: setting the wall clock changes no age.
        interval_s: How long the loop waits between two looks.
    """
    age_s = monotonic_s - snapshot.monotonic_s if snapshot else None
    is_live = age_s is not None and age_s < interval_s + _LIVE_WITHIN_S
    return json_answer(200 if is_live else 503, asdict(Live(is_live, age_s)))


def readyz(snapshot: Snapshot | None, topics: tuple[str, ...]) -> Answer:
    """Return the answer of ``/readyz``: 200 when the cluster can serve, else 503 with the reasons."""
    if snapshot is None:
        answer = Ready(ready=False, reasons=(NOTHING_SEEN,))
    else:
        verdict = judge(snapshot, topics)
        answer = Ready(verdict.ready, verdict.reasons)
    return json_answer(200 if answer.ready else 503, asdict(answer))
