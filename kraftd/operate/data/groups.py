"""`kraftd groups`: consumer groups as Kafka has them now, and what moves or removes their offsets."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from kraftd.errors import KraftdError, NeedsRunningClusterError, RefusedError, UnknownNameError, unknown_name
from kraftd.escapes import named, typed
from kraftd.health.report.documents import GroupPartition, GroupSummary, TimeLag
from kraftd.kafka.model import STREAMS, Failure, Groups, GroupState, Partition, TopicPartition
from kraftd.operate.data.access import KafkaData, already_deleted, refusal
from kraftd.operate.data.resets import Bounds, Move, ResetKind, ResetTo, reset_moves
from kraftd.operate.data.topics import chosen_partitions, chosen_topics, offsets_of
from kraftd.operate.status import lag
from kraftd.plan.plan import Plan
from kraftd.units import plural

_WITHOUT_MEMBERS = ("Empty", "Dead")


@dataclass(frozen=True, slots=True)
class ListedGroup:
    """One group.

    Attributes:
        lag: The daemon's; None where it is not known.
        reason: Why its members are not known; None where they are, or where groups of its kind cannot be described.
    """

    group: str
    state: str | None
    kind: str | None
    coordinator: int
    members: int | None
    lag: int | None
    time_lag: TimeLag | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class DescribedMember:
    """One member, with the partitions that it reads, each as ``topic-0``; None where they could not be read."""

    member_id: str
    client_id: str
    host: str
    assigned: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class DescribedPartition:
    """A group on one partition.

    Attributes:
        lag: Records that can still be read, as the daemon counts them; without it, the offsets between. Where nothing
            was committed, those from the start of the log on.
        member: The id of the member that reads it.
    """

    topic: str
    partition: int
    committed: int | None
    start: int | None
    end: int | None
    lag: int | None
    time_lag: TimeLag | None
    member: str | None


@dataclass(frozen=True, slots=True)
class GroupDescription:
    """What ``kraftd groups describe --json`` prints of a group.

    Attributes:
        reason: Why its commits are not known, or only some of them; None where all are.
    """

    group: str
    state: str | None
    kind: str | None
    coordinator: int
    members: tuple[DescribedMember, ...] | None
    lag: int | None
    time_lag: TimeLag | None
    partitions: tuple[DescribedPartition, ...]
    reason: str | None


Lags = Mapping[str, GroupSummary]
"""What the daemon knows of groups, by name."""


def group_lags(plan: Plan) -> Lags:
    """Return the lag of groups, as the daemon measured it; none without it."""
    try:
        return {each.group: each for each in lag(plan, None).groups}
    except NeedsRunningClusterError:
        return {}


def list_groups(kafka: KafkaData, lags: Lags) -> tuple[tuple[ListedGroup, ...], Mapping[int, Failure]]:
    """Return every group, and why brokers did not name theirs, by node id."""
    found = kafka.groups()
    listed = (
        ListedGroup(
            group=name,
            state=group.state,
            kind=group.kind,
            coordinator=group.coordinator,
            members=None if group.members is None else len(group.members),
            lag=lags[name].lag if name in lags else None,
            time_lag=lags[name].time_lag if name in lags else None,
            reason=found.failures[name].text if name in found.failures else None,
        )
        for name, group in found.groups.items()
    )
    return tuple(listed), found.broker_failures


def chosen_groups(found: Groups, names: Iterable[str]) -> tuple[GroupState, ...]:
    """Return the named groups; names may be in the escaped form.

    Raises:
        UnknownNameError: There is no such group, or a broker that may coordinate it does not answer.
    """
    chosen = []
    for name in dict.fromkeys(typed(name, found.groups) for name in names):
        if name not in found.groups:
            refuse_unlisted(found, f"cannot find the group {named(name)}")
            raise unknown_name(f"cannot find the group {named(name)}", name, list(found.groups))
        if name in found.failures:
            raise refusal(f"cannot read the group {named(name)}", found.failures[name])
        chosen.append(found.groups[name])
    return tuple(chosen)


def refuse_unlisted(found: Groups, what: str) -> None:
    """Check that every broker named its groups: any group may be one of the others'.

    Args:
        found: The groups that were named.
        what: What cannot be done without the others.

    Raises:
        KraftdError: A broker did not.
    """
    for node_id, failure in found.broker_failures.items():
        raise refusal(f"{what}: broker {node_id} did not name its groups", failure)


def commits_of(kafka: KafkaData, groups: Iterable[GroupState]) -> Mapping[str, Mapping[TopicPartition, int]]:
    """Return the committed offsets of groups, by name.

    Raises:
        KraftdError: Those of one cannot be read.
    """
    found = kafka.committed(groups)
    for name, failure in found.failures.items():
        raise refusal(f"cannot read the offsets of the group {named(name)}", failure)
    return found.values


def describe_groups(
    kafka: KafkaData, names: Sequence[str], lags: Lags
) -> tuple[tuple[GroupDescription, ...], Mapping[int, Failure]]:
    """Return the named groups, or all, with members, assignment and lag; and why brokers did not name theirs.

    Raises:
        UnknownNameError: There is no such group.
    """
    metadata = kafka.metadata()
    found = kafka.groups(metadata.brokers)
    known = {each.key: each for each in metadata.partitions}
    groups = tuple(_within(known, group) for group in chosen_groups(found, names or found.groups))
    committed = kafka.committed(groups)
    commits = committed.values
    wanted = {group.name: _partitions_of(group, commits.get(group.name, {}), known) for group in groups}
    partitions = {known[key] for keys in wanted.values() for key in keys if key in known}
    offsets = offsets_of(kafka, sorted(partitions, key=lambda partition: partition.key))
    described = []
    for group in groups:
        summary = lags.get(group.name)
        own = {(each.topic, each.partition): each for each in (summary.partitions or ())} if summary else {}
        rows = tuple(
            _row(
                key,
                commits.get(group.name, {}).get(key),
                (offsets.starts.values.get(key), offsets.ends.values.get(key)),
                own.get(key),
                _member_of(group, key),
            )
            for key in sorted(wanted[group.name])
        )
        described.append(_description(group, summary, rows, committed.failures.get(group.name)))
    return tuple(described), found.broker_failures


def _within(existing: Collection[TopicPartition], group: GroupState) -> GroupState:
    """Return a group whose members read what exists only, which is not sure of the tasks of a streams group."""
    if group.kind != STREAMS or group.members is None:
        return group
    members = tuple(
        replace(each, assigned=tuple(key for key in each.assigned or () if key in existing)) for each in group.members
    )
    return replace(group, members=members)


def _partitions_of(
    group: GroupState, commits: Mapping[TopicPartition, int], existing: Iterable[TopicPartition]
) -> set[TopicPartition]:
    """Return what a group read or reads, and the other partitions of these topics: it has not begun to read those."""
    read = set(commits) | {each for member in group.members or () for each in member.assigned or ()}
    topics = {topic for topic, _ in read}
    return read | {key for key in existing if key[0] in topics}


def _member_of(group: GroupState, key: TopicPartition) -> str | None:
    return next((member.member_id for member in group.members or () if key in (member.assigned or ())), None)


def _row(
    key: TopicPartition,
    committed: int | None,
    bounds: tuple[int | None, int | None],
    seen: GroupPartition | None,
    member: str | None,
) -> DescribedPartition:
    start, end = bounds
    is_known = end is not None and (committed is not None or start is not None)
    between = max(0, end - max(committed or 0, start or 0)) if end is not None and is_known else None
    # The daemon's count leaves out what nobody can read; it is of another moment where the commit is.
    is_of_now = seen is not None and seen.committed == committed and seen.lag is not None
    return DescribedPartition(
        *key,
        committed=committed,
        start=start,
        end=end,
        lag=seen.lag if seen is not None and is_of_now else between,
        time_lag=seen.time_lag if seen is not None and is_of_now else None,
        member=member,
    )


def _description(
    group: GroupState, summary: GroupSummary | None, rows: tuple[DescribedPartition, ...], failure: Failure | None
) -> GroupDescription:
    if failure is not None:
        # A commit that could not be read is not one that was never made, from which the whole log would be the lag.
        rows = tuple(row if row.committed is not None else replace(row, lag=None, time_lag=None) for row in rows)
    lags = [row.lag for row in rows]
    members = None
    if group.members is not None:
        members = tuple(
            DescribedMember(
                each.member_id,
                each.client_id,
                each.host,
                None if each.assigned is None else tuple(f"{topic}-{index}" for topic, index in each.assigned),
            )
            for each in group.members
        )
    return GroupDescription(
        group=group.name,
        state=group.state,
        kind=group.kind,
        coordinator=group.coordinator,
        members=members,
        lag=None if None in lags or failure is not None or group.is_share else sum(each or 0 for each in lags),
        time_lag=summary.time_lag if summary is not None else None,
        partitions=rows,
        reason=failure.text if failure is not None else None,
    )


def check_empty(groups: Iterable[GroupState], verb: str) -> None:
    """Check that groups have no member, which Kafka demands of a change from outside.

    Raises:
        RefusedError: A group is active.
    """
    for group in groups:
        if group.members or (group.state or "Empty") not in _WITHOUT_MEMBERS:
            members = plural(len(group.members), "member") if group.members else "members"
            raise RefusedError(
                f"cannot {verb} the group {named(group.name)}: it is active ({group.state}, {members})",
                hint="Stop its consumers first; those of kraftd: 'kraftd stop consumer'.",
                code="active_group",
                details={"group": group.name, "state": group.state},
            )


def check_commits(groups: Iterable[GroupState], verb: str) -> None:
    """Check that groups are of a kind that commits offsets.

    Raises:
        RefusedError: One is a share group.
    """
    for group in groups:
        if group.is_share:
            raise RefusedError(
                f"cannot {verb} the group {named(group.name)}: it is a share group, which commits no offsets",
                hint="Kafka's own tool shows and resets what it has read: 'kraftd kafka share-groups'.",
                code="share_group",
                details={"group": group.name},
            )


@dataclass(frozen=True, slots=True)
class PlannedMoves:
    """Where the offsets of a group are to move."""

    group: GroupState
    moves: tuple[Move, ...]


def planned_reset(
    kafka: KafkaData, name: str, topics: Sequence[str], to: ResetTo, partitions: Sequence[int] = ()
) -> PlannedMoves:
    """Return where a reset moves an empty group: in the named topics, or in all that it committed in.

    Where partitions are named, only these of each topic are moved.

    Raises:
        UnknownNameError: There is no such group or topic, or the group committed nowhere.
        RefusedError: The group is active, or a share group.
        ConfigurationError: A topic has no such partition.
        KraftdError: A partition's offsets are not known.
    """
    metadata = kafka.metadata()
    (group,) = chosen_groups(kafka.groups(metadata.brokers), [name])
    check_commits([group], "reset")
    check_empty([group], "reset")
    own = commits_of(kafka, [group]).get(group.name, {})
    # A topic that was deleted keeps its commits for a while.
    existing = [topic for topic, _ in own if topic in metadata.topics.values]
    chosen = chosen_topics(metadata, topics or sorted(set(existing)))
    if not chosen:
        raise UnknownNameError(
            f"cannot reset the group {named(group.name)}: it committed no offset in any topic that exists",
            hint="Name the topics with --topic.",
        )
    moved = chosen_partitions(chosen, partitions)
    return PlannedMoves(group, reset_moves(bounds_of(kafka, moved, to), own, to))


def bounds_of(kafka: KafkaData, partitions: Sequence[Partition], to: ResetTo | None) -> dict[TopicPartition, Bounds]:
    """Return the bounds of partitions, with the offset at a time where that is wanted.

    Raises:
        KraftdError: Those of a partition are not known.
    """
    offsets = offsets_of(kafka, partitions)
    at_time: Mapping[TopicPartition, int] = {}
    failures = {**offsets.starts.failures, **offsets.ends.failures}
    if to is not None and to.target is ResetKind.TIME:
        found = kafka.mixed_offsets((partition, to.value) for partition in partitions)
        at_time, failures = found.values, {**failures, **found.failures}
    if failures:
        (topic, index), failure = next(iter(failures.items()))
        raise refusal(f"cannot read the offsets of partition {index} of the topic {named(topic)}", failure)
    keys = (partition.key for partition in partitions)
    return {key: Bounds(offsets.starts.values[key], offsets.ends.values[key], at_time.get(key)) for key in keys}


def move_offsets(kafka: KafkaData, planned: PlannedMoves) -> tuple[Move, ...]:
    """Move the offsets of a group, and return what moved.

    Raises:
        RefusedError: A consumer joined meanwhile.
        KraftdError: Kafka refused a partition; the others have moved.
    """
    moves = tuple(move for move in planned.moves if move.is_needed)
    if not moves:
        return ()
    failures = kafka.commit_offsets(planned.group, {move.key: move.after for move in moves})
    if failures:
        (topic, index), failure = next(iter(failures.items()))
        what = f"cannot move the group {named(planned.group.name)} in partition {index} of the topic {named(topic)}"
        if failure.error in ("UNKNOWN_MEMBER_ID", "ILLEGAL_GENERATION", "REBALANCE_IN_PROGRESS"):
            raise RefusedError(
                f"{what}: a consumer has joined it", hint="Stop its consumers first.", code="active_group"
            )
        raise refusal(what, failure)
    return moves


def move_all(kafka: KafkaData, planned: Iterable[PlannedMoves]) -> list[tuple[str, tuple[Move, ...]]]:
    """Move the offsets of groups one after the other, and return their names, each with what moved.

    Raises:
        KraftdError: As move_offsets; the text and the details name the groups before it, which have moved.
    """
    moved: list[tuple[str, tuple[Move, ...]]] = []
    for each in planned:
        with _naming("moved", [name for name, moves in moved if moves]):
            moved.append((each.group.name, move_offsets(kafka, each)))
    return moved


@contextmanager
def _naming(what_was_done: str, groups: Sequence[str]) -> Iterator[None]:
    """Add to the text and the details of an error the groups before the refused one."""
    try:
        yield
    except KraftdError as error:
        if groups:
            error.args = (f"{error} ({what_was_done}: {', '.join(map(named, groups))})",)
            error.details[what_was_done] = list(groups)
        raise


def empty_groups(
    kafka: KafkaData, names: Sequence[str], topics: Sequence[str] = ()
) -> dict[GroupState, Mapping[TopicPartition, int]]:
    """Return groups that may be deleted, each with its commits, or only those in some topics.

    Raises:
        UnknownNameError: There is no such group, or none of them committed in such a topic.
        RefusedError: One is active, or a share group whose offsets in topics are to go.
        KraftdError: The commits of one cannot be read.
    """
    groups = chosen_groups(kafka.groups(), names)
    if topics:
        check_commits(groups, "delete offsets of")
    check_empty(groups, "delete")
    commits = commits_of(kafka, groups)
    # A topic that was deleted keeps its commits for a while.
    known = sorted({topic for own in commits.values() for topic, _ in own})
    for topic in topics:
        if topic not in known:
            raise unknown_name(f"cannot delete offsets in the topic {named(topic)}: there are none", topic, known)
    owns = {group: commits.get(group.name, {}) for group in groups}
    return {
        group: {key: offset for key, offset in own.items() if not topics or key[0] in topics}
        for group, own in owns.items()
    }


def delete_groups(kafka: KafkaData, groups: Iterable[GroupState]) -> tuple[str, ...]:
    """Delete groups with their offsets, and return their names.

    Raises:
        KraftdError: Kafka refused one; the text names what was deleted.
    """
    chosen = tuple(groups)
    failures = kafka.delete_groups(chosen)
    done = tuple(group.name for group in chosen if group.name not in failures)
    if failures:
        name, failure = next(iter(failures.items()))
        what = f"cannot delete the group {named(name)}{already_deleted(done)}"
        if failure.error == "NON_EMPTY_GROUP":
            raise RefusedError(f"{what}: a consumer has joined it", hint="Stop it first.", code="active_group")
        raise refusal(what, failure)
    return done


def remove_offsets(kafka: KafkaData, lost: Mapping[GroupState, Iterable[TopicPartition]]) -> None:
    """Remove the offsets of groups in partitions, one group after the other.

    Raises:
        KraftdError: Kafka refused one; the text and the details name the groups before it, which have none there now.
    """
    done: list[str] = []
    for group, partitions in lost.items():
        with _naming("removed", done):
            _remove_offsets(kafka, group, list(partitions))
        done.append(group.name)


def _remove_offsets(kafka: KafkaData, group: GroupState, partitions: Sequence[TopicPartition]) -> None:
    failures = kafka.remove_offsets(group, partitions) if partitions else {}
    if failures:
        (topic, index), failure = next(iter(failures.items()))
        what = f"the offset of the group {named(group.name)} in partition {index} of the topic {named(topic)}"
        raise refusal(f"cannot remove {what}", failure)
