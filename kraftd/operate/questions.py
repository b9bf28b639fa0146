"""`kraftd lag`, `topics` and `health`: what the daemon last saw of Kafka."""

import json
from typing import Any

from kraftd.errors import NeedsRunningClusterError
from kraftd.host.http_get import get
from kraftd.operate.names import unknown_name
from kraftd.spec.plan import Plan

_TIMEOUT_S = 3.0


def health(plan: Plan) -> dict[str, Any]:
    """Return the daemon's health document.

    Raises:
        NeedsRunningClusterError: The daemon does not answer.
    """
    answer = get(plan.daemon.host, plan.daemon.port, "/health", timeout_s=_TIMEOUT_S)
    try:
        document: dict[str, Any] = json.loads(answer.body)
        is_ours = document.get("state_dir") == str(plan.layout.state_dir)
    except (ValueError, AttributeError):
        is_ours = False
    if not is_ours:
        raise NeedsRunningClusterError(
            f"cannot ask the daemon of the cluster {plan.cluster} at {plan.daemon.host}:{plan.daemon.port}: "
            f"{answer.body if answer.status is None else 'something else answers there'}",
            hint="'kraftd status' shows what runs, 'kraftd start' starts it.",
        )
    return document


def lag(plan: Plan, group: str | None) -> dict[str, Any]:
    """Return the groups with their lag, or one of them; an unknown lag is None.

    Raises:
        NeedsRunningClusterError: The daemon does not answer, or has not read the groups yet.
        UnknownNameError: There is no such group.
    """
    document = health(plan)
    groups = document["groups"]
    if groups is None:
        raise unread("the lag of groups", document)
    chosen = [each for each in groups if group in (None, each["group"])]
    if group is not None and not chosen:
        raise unknown_name(f"cannot find the group {group}", group, [each["group"] for each in groups])
    return {"ok": True, "schema_version": 1, "age_s": document["groups_age_s"], "groups": chosen}


def topics(plan: Plan) -> dict[str, Any]:
    """Return the topics.

    Raises:
        NeedsRunningClusterError: The daemon does not answer, or cannot read them.
    """
    document = health(plan)
    if document["topics"] is None:
        raise unread("the topics", document)
    return {"ok": True, "schema_version": 1, "age_s": document["age_s"], "topics": document["topics"]}


def unread(what: str, document: dict[str, Any]) -> NeedsRunningClusterError:
    """Return the error that names each reason once: most often one keeps every collector from its values."""
    reasons = "; ".join(dict.fromkeys(document["failures"].values())) or "they were not read yet"
    return NeedsRunningClusterError(f"cannot tell {what}: {reasons}", hint="Try again in some seconds.")
