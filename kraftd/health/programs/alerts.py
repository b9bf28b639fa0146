"""The alerts that fire, as the cluster's Prometheus tells them. Pure.

Nothing is evaluated here: without a Prometheus there are no alerts, and the verdict is kraftd's own.
"""

from dataclasses import dataclass, field

import msgspec

from kraftd.units import shortened

MOST_ALERTS = 50
"""More are only counted."""

_MOST_CHARACTERS = 500
_SEVERITIES = ("critical", "warning", "info")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert that fires.

    Attributes:
        severity: ``critical``, ``warning`` or ``info``; empty where its rule has none.
        since: When its condition began to hold, RFC 3339.
    """

    name: str
    severity: str
    summary: str
    description: str
    since: str


@dataclass(frozen=True, slots=True)
class Alerts:
    """What Prometheus answered.

    Attributes:
        firing: The worst first, at most MOST_ALERTS; None where it did not tell.
        total: How many fire.
        reason: Why it did not tell; None where it did.
    """

    firing: tuple[Alert, ...] | None = None
    total: int = 0
    reason: str | None = None


def parse_alerts(text: str) -> Alerts:
    """Return the alerts in an answer of ``/api/v1/alerts``; one that is no such answer is a reason.

    Args:
        text: The body; its texts are from outside, and are cut to a length.
    """
    try:
        answer = _DECODER.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return Alerts(reason="what answers on Prometheus' port is not Prometheus")
    firing = sorted((_alert(each) for each in answer.data.alerts if each.state == "firing"), key=_rank)
    return Alerts(tuple(firing[:MOST_ALERTS]), len(firing))


def _alert(each: "_Alert") -> Alert:
    return Alert(
        name=_cut(each.labels.get("alertname", "")),
        severity=_cut(each.labels.get("severity", "")),
        summary=_cut(each.annotations.get("summary", "")),
        description=_cut(each.annotations.get("description", "")),
        since=_cut(each.activeAt),
    )


def _rank(alert: Alert) -> tuple[int, str, str]:
    severity = alert.severity
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES), alert.name, alert.summary


def _cut(text: str) -> str:
    return shortened(text, _MOST_CHARACTERS)


@dataclass(frozen=True, slots=True)
class _Alert:
    state: str
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    activeAt: str = ""  # noqa: N815 Prometheus' own key


@dataclass(frozen=True, slots=True)
class _Data:
    alerts: tuple[_Alert, ...]


@dataclass(frozen=True, slots=True)
class _Answer:
    data: _Data


_DECODER = msgspec.json.Decoder(_Answer)
