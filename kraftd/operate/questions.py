"""`kraftd lag`, `topics` and `health`: what the daemon last saw of Kafka."""

from collections.abc import Mapping

import msgspec

from kraftd.errors import NeedsRunningClusterError
from kraftd.host.http_get import Answer, get
from kraftd.operate.names import unknown_name
from kraftd.spec.plan import Plan
from kraftd.watch.documents import SCHEMA_VERSION, HealthDocument, LagDocument, TopicsDocument

_TIMEOUT_S = 3.0


class _Header(msgspec.Struct):
    """What tells whose document it is, and whether it can be read."""

    state_dir: str
    schema_version: int


def health(plan: Plan, timeout_s: float = _TIMEOUT_S) -> HealthDocument:
    """Return the daemon's health document.

    Raises:
        NeedsRunningClusterError: The daemon does not answer, or one of another version does.
    """
    return health_in(get(plan.daemon.host, plan.daemon.port, "/health", timeout_s=timeout_s), plan)


def health_in(answer: Answer, plan: Plan) -> HealthDocument:
    """Return the document in an answer of ``GET /health``; fields that this version does not know are left out.

    Raises:
        NeedsRunningClusterError: As health.
    """
    if answer.status is None:
        raise _unanswered(plan, answer.body)
    try:
        header = msgspec.json.decode(answer.body, type=_Header)
    except msgspec.DecodeError:
        raise _unanswered(plan, "something else answers there") from None
    # Another cluster's daemon may have taken the port.
    if header.state_dir != str(plan.layout.state_dir):
        raise _unanswered(plan, "something else answers there")
    try:
        if header.schema_version == SCHEMA_VERSION:
            return msgspec.json.decode(answer.body, type=HealthDocument)
    except msgspec.ValidationError:
        pass
    raise NeedsRunningClusterError(
        f"cannot read the answer of the daemon of the cluster {plan.cluster}: it is of another version of kraftd",
        hint="'kraftd restart kraftd' starts the daemon of this version.",
    )


def _unanswered(plan: Plan, reason: str) -> NeedsRunningClusterError:
    return NeedsRunningClusterError(
        f"cannot ask the daemon of the cluster {plan.cluster} at {plan.daemon.host}:{plan.daemon.port}: {reason}",
        hint="'kraftd status' shows what runs, 'kraftd start' starts it.",
    )


def lag(plan: Plan, group: str | None) -> LagDocument:
    """Return the groups with their lag, or one of them; an unknown lag is None.

    Raises:
        NeedsRunningClusterError: The daemon does not answer, or has not read the groups yet.
        UnknownNameError: There is no such group.
    """
    document = health(plan)
    if document.groups is None:
        raise unread("the lag of groups", document.failures)
    chosen = tuple(each for each in document.groups if group in (None, each.group))
    if group is not None and not chosen:
        raise unknown_name(f"cannot find the group {group}", group, [each.group for each in document.groups])
    return LagDocument(ok=True, schema_version=SCHEMA_VERSION, age_s=document.groups_age_s, groups=chosen)


def topics(plan: Plan) -> TopicsDocument:
    """Return the topics.

    Raises:
        NeedsRunningClusterError: The daemon does not answer, or cannot read them.
    """
    document = health(plan)
    if document.topics is None:
        raise unread("the topics", document.failures)
    return TopicsDocument(ok=True, schema_version=SCHEMA_VERSION, age_s=document.age_s, topics=document.topics)


def unread(what: str, failures: Mapping[str, str]) -> NeedsRunningClusterError:
    """Return the error that names each reason once: most often one keeps every collector from its values.

    Args:
        what: What is not known.
        failures: The reasons, by the part of the collection that failed.
    """
    reasons = "; ".join(dict.fromkeys(failures.values())) or "they were not read yet"
    return NeedsRunningClusterError(f"cannot tell {what}: {reasons}", hint="Try again in some seconds.")
