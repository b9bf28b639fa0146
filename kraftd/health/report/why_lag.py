"""`kraftd explain lag GROUP`: the facts behind a group's lag, or behind its absence. Pure."""

import shlex
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from kraftd.health.lag.status import LagStatus
from kraftd.health.report.documents import GroupPartition, GroupSummary, HealthDocument, StatusDocument, TimeLag
from kraftd.health.report.why import Statement, StateRecords, broker_with, indented, observer, why
from kraftd.kafka.model import Gap, TopicPartition
from kraftd.plan.program import DAEMON, Kind
from kraftd.units import count, duration, plural

_PARTITIONS_SHOWN = 10
_NO_DAMAGE: Mapping[TopicPartition, Gap] = MappingProxyType({})
_RESET = "where it begins follows from its auto.offset.reset, which Kafka does not know"
_EMPTY_NAME = "''"

_STATUS_TEXTS = {
    LagStatus.OK: "it keeps up",
    LagStatus.WARN: "it falls further behind: the lag grew with every measurement",
    LagStatus.STALL: "it is stalled: it has members, but the commit did not move",
    LagStatus.STOP: "it stopped: it has no member that could move the commit",
    LagStatus.REWIND: "its commit went back",
    LagStatus.EMPTY: "nobody reads it: it has no members, and the commit did not move",
}


def explain_lag(
    document: StatusDocument,
    group: str,
    records: StateRecords,
    now_s: float,
    damage: Mapping[TopicPartition, Gap] = _NO_DAMAGE,
) -> Iterator[Statement]:
    """Yield the chain behind a group's lag.

    Args:
        document: The status or health of the cluster.
        group: The group's name.
        records: The records of the state directory.
        now_s: Seconds since the Unix epoch.
        damage: What the group cannot read, by partition.
    """
    found = group_named(document, group)
    about = _about(group)
    if found is None or not isinstance(document, HealthDocument):
        yield Statement(0, about, "its lag is not known", observer(document))
        yield from indented(_unread(document, records, now_s))
        return
    yield Statement(0, about, _answer(found), f"commits and log ends, read {document.groups_age_s or 0:.1f} s ago")
    yield from indented(_coordinator(document, found, records, now_s))
    if found.reason:
        yield Statement(1, about, found.reason, "Kafka")
    if found.uncommitted_partitions:
        uncommitted = plural(found.uncommitted_partitions, "partition")
        text = f"has no commit on {uncommitted} of its topics: counted from the start of the log ({_RESET})"
        yield Statement(1, about, text, "Kafka")
    if found.partitions is None and found.committed_partitions:
        text = "has more partitions than daemon.max_group_partitions allows: only its totals are kept"
        yield Statement(1, about, text, "kraftd.toml")
    for partition in most_behind(found):
        yield from indented(_partition(document, partition, records, now_s))
        yield from _damaged(group, damage.get((partition.topic, partition.partition)))
    if len(found.partitions or ()) > _PARTITIONS_SHOWN:
        rest = plural(len(found.partitions or ()) - _PARTITIONS_SHOWN, "more partition")
        text = f"has {rest} with less lag: 'kraftd lag --group {shlex.quote(group)}'"
        yield Statement(1, about, text, observer(document))


def most_behind(group: GroupSummary) -> list[GroupPartition]:
    """Return the partitions of a group that are explained: those of unknown lag, then those with the most."""
    return sorted(group.partitions or (), key=_by_lag)[:_PARTITIONS_SHOWN]


def _damaged(group: str, gap: Gap | None) -> Iterator[Statement]:
    if gap is None:
        return
    until = f"to {count(gap.end - 1)}" if gap.is_end_known else "on"
    text = f"cannot be read from offset {count(gap.begin)} {until}: {gap.reason}"
    where = f"--topic {shlex.quote(gap.topic)} --partition {gap.partition} --to {gap.end}"
    skips = f"; 'kraftd groups reset {shlex.quote(group)} {where}' skips it" if gap.is_end_known else ""
    yield Statement(2, f"partition {gap.topic}-{gap.partition}", f"{text}{skips}", "its log")


def group_named(document: StatusDocument, group: str) -> GroupSummary | None:
    """Return a group's record; None where there is none, or the groups are not known."""
    groups = document.groups if isinstance(document, HealthDocument) else None
    return next((each for each in groups or () if each.group == group), None)


def may_be_unseen(document: StatusDocument) -> bool:
    """Return whether a group may exist that the document does not have."""
    if not isinstance(document, HealthDocument) or document.groups is None or document.dropped.groups:
        return True
    return any(each.what in ("groups of broker", "group") for each in document.missing)


def _about(group: str) -> str:
    return f"group {group or _EMPTY_NAME}"


def _answer(group: GroupSummary) -> str:
    if group.lag is None or group.committed_partitions is None:
        at_least = f", but at least {plural(group.known_lag, 'record')}" if group.known_lag else ""
        return f"its lag is not known{at_least}"
    partitions = group.committed_partitions + (group.uncommitted_partitions or 0)
    offsets = f"is {plural(group.lag, 'record')} behind over {plural(partitions, 'partition')}"
    return f"{offsets}{_wait(group.time_lag)}{_status(group.status)}"


def _wait(age: TimeLag | None) -> str:
    if age is None or age.at_most_s == 0:
        return ""
    if age.at_most_s is None:
        return f"; the oldest unread record waits more than {duration(age.at_least_s)}"
    bounds = f"between {duration(age.at_least_s)} and {duration(age.at_most_s)}"
    return f"; the oldest unread record waits {bounds}"


def _status(status: LagStatus | None) -> str:
    return f"; {_STATUS_TEXTS[status]}" if status else ""


def _coordinator(
    document: StatusDocument, group: GroupSummary, records: StateRecords, now_s: float
) -> Iterator[Statement]:
    members = group.members
    who = "an unknown number of members" if members is None else plural(members, "member")
    state = f"is {group.state or 'in an unknown state'} with {who}"
    broker = broker_with(document, group.coordinator)
    name = broker.name if broker else f"broker {group.coordinator}"
    yield Statement(0, _about(group.group), f"{state}; {name} coordinates it", "Kafka")
    if broker is not None and not broker.ready:
        yield from indented(why(document, name, records, now_s))


def _partition(
    document: StatusDocument, partition: GroupPartition, records: StateRecords, now_s: float
) -> Iterator[Statement]:
    about = f"partition {partition.topic}-{partition.partition}"
    committed = "no commit" if partition.committed is None else f"committed at {count(partition.committed)}"
    if partition.lag is None or partition.end is None:
        yield Statement(0, about, f"{committed}, its lag is not known: {partition.reason}", "Kafka")
        yield from indented(_leader(document, partition, records, now_s))
        return
    lag = f"{committed} of {count(partition.end)}: {count(partition.lag)} behind"
    yield Statement(0, about, f"{lag}{_wait(partition.time_lag)}{_status(partition.status)}", "Kafka")
    yield from indented(_unreadable(partition, about))
    if partition.ahead_of_end:
        text = "the commit lies beyond the end: the topic was recreated, or its log was truncated"
        yield Statement(1, about, text, "Kafka")
    if partition.retention_margin is not None and partition.retention_margin < 0:
        lost = plural(-partition.retention_margin, "record")
        yield Statement(1, about, f"lost {lost} to retention before the group read them", "Kafka")
    yield from indented(_leader(document, partition, records, now_s))


def _unreadable(partition: GroupPartition, about: str) -> Iterator[Statement]:
    """Yield why the lag is less than the offsets between commit and end."""
    held = partition.held_back
    if held is not None:
        age = "of unknown age" if held.age_s is None else f"open for {duration(held.age_s)}"
        owner = f"producer {held.producer_id}"
        if held.transactional_id is not None:
            owner += f" (transactional.id {held.transactional_id or _EMPTY_NAME})"
        text = f"an open transaction of {owner}, {age}, holds back all from offset {count(held.offset)} on"
        silent = (
            "" if held.last_record_age_s is None else f"; its last record is {duration(held.last_record_age_s)} old"
        )
        ends = "" if held.timeout_s is None else f"; its coordinator aborts it after {duration(held.timeout_s)}"
        yield Statement(0, about, f"{text} from consumers that read only what is committed{silent}{ends}", "Kafka")
    lost = max(0, -(partition.retention_margin or 0))
    hidden = (partition.offset_lag or 0) - (partition.lag or 0) - lost
    if hidden > 0:
        held_records = 0 if held is None or partition.end is None else partition.end - held.offset
        text = f"{plural(hidden, 'offset')} between commit and end cannot be read"
        why_not = "markers of transactions, records of aborted ones, or removed by compaction"
        yield Statement(0, about, f"{text}: {'held back, ' if held_records else ''}{why_not}", "the batches' headers")


def _leader(
    document: StatusDocument, partition: GroupPartition, records: StateRecords, now_s: float
) -> Iterator[Statement]:
    about = f"partition {partition.topic}-{partition.partition}"
    if partition.leader is not None:
        broker = broker_with(document, partition.leader)
        if broker is None or broker.ready:
            return
        yield Statement(0, about, f"is led by {broker.name}", "Kafka")
        yield from indented(why(document, broker.name, records, now_s))
        return
    yield Statement(0, about, f"has no leader; its replicas are on {_names(document, partition)}", "Kafka")
    for node_id in partition.replicas:
        broker = broker_with(document, node_id)
        if broker is not None and not broker.ready:
            yield from indented(why(document, broker.name, records, now_s))


def _unread(document: StatusDocument, records: StateRecords, now_s: float) -> Iterator[Statement]:
    """Yield why a group is not known: the daemon, the collection, or the brokers."""
    if isinstance(document, HealthDocument):
        yield from _unread_parts(document)
    else:
        yield Statement(0, DAEMON, "is the source of the lag of groups, and does not answer", "its port")
        yield from indented(why(document, DAEMON, records, now_s))
    for node in document.nodes:
        if node.kind is Kind.BROKER and not node.ready:
            yield from why(document, node.name, records, now_s)


def _unread_parts(document: HealthDocument) -> Iterator[Statement]:
    """Yield the parts that the daemon could not read, or excludes."""
    reasons: dict[str, list[str]] = {}
    for part, reason in document.failures.items():
        if part in ("groups", "lag", "topics"):
            reasons.setdefault(reason, []).append(part)
    for reason, parts in reasons.items():
        yield Statement(0, " and ".join(parts), f"could not be read: {reason}", observer(document))
    for each in document.missing:
        if each.what == "groups of broker":
            text = f"did not list its groups, this one may be among them: {each.text}"
            yield Statement(0, f"broker {each.name}", text, "Kafka")
    if document.dropped.groups:
        left_out = plural(document.dropped.groups, "group")
        text = f"leave out {left_out}, perhaps this one: groups_allow, groups_deny, max_groups"
        yield Statement(0, "the settings of [daemon]", text, "kraftd.toml")


def _names(document: StatusDocument, partition: GroupPartition) -> str:
    brokers = ((node_id, broker_with(document, node_id)) for node_id in partition.replicas)
    return ", ".join(broker.name if broker else f"broker {node_id}" for node_id, broker in brokers)


def _by_lag(partition: GroupPartition) -> tuple[int, int]:
    """Order partitions with unknown lag first, then by lag, the greatest first."""
    return (0, 0) if partition.lag is None else (1, -partition.lag)
