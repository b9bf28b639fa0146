"""What a scale is refused for. Pure."""

from collections.abc import Collection, Sequence

from kraftd.errors import ConfigurationError, RefusedError, unknown_name
from kraftd.operate.scale.journal import Goal, Journal
from kraftd.operate.scale.placement import Placement
from kraftd.operate.scale.targets import Situation, too_many_replicas, topics_of
from kraftd.plan.kinds import default_replication_factor
from kraftd.plan.manifest import Manifest
from kraftd.units import human_size, listed, plural

_SHOWN = 6


def refuse_voters(brokers: int, manifest: Manifest) -> None:
    """Refuse to remove brokers that are voters.

    Raises:
        RefusedError: Naming the fewest brokers that there can be.
    """
    names = {node.node_id: node.name for node in manifest.nodes}
    voters = sorted(voter.node_id for voter in manifest.voters if names.get(voter.node_id, "").startswith("broker"))
    lost = [names[node_id] for node_id in voters if node_id > brokers]
    if lost:
        raise RefusedError(
            f"cannot scale to {brokers}: {listed(lost, _SHOWN)} {'is a voter' if len(lost) == 1 else 'are voters'} of "
            "the quorum, which stays as it was first formatted",
            hint=f"This cluster has at least {voters[-1]} brokers. A smaller one is another cluster: its data can be "
            "copied there.",
            code="voters",
            details={"voters": voters},
        )


def refuse_other_scale(journal: Journal | None, brokers: int | None, *, is_abort: bool) -> None:
    """Refuse another scale than the one that is unfinished.

    Raises:
        RefusedError: Naming what finishes it.
    """
    if journal is None:
        return
    if journal.goal is not None:
        refuse_unfinished(journal, "scale")
    if is_abort and journal.is_removing and not journal.is_aborted:
        raise RefusedError(
            "cannot undo this scale any more: the brokers that leave are empty, and are being removed",
            hint=f"'kraftd scale --brokers {journal.brokers_after}' finishes it; then scale out again.",
            code="too_late",
        )
    if is_abort or (not journal.is_aborted and brokers in (None, journal.brokers_after)):
        return
    finishing = f"'kraftd scale --brokers {journal.brokers_after}' finishes it, and 'kraftd scale --abort' undoes it."
    raise RefusedError(
        f"cannot begin another scale: the one from {journal.brokers_before} to {journal.brokers_after} brokers that "
        f"began at {journal.since} is {'half undone' if journal.is_aborted else 'unfinished'}",
        hint="'kraftd scale --abort' undoes the rest." if journal.is_aborted else finishing,
        code="unfinished_scale",
        details={"brokers_before": journal.brokers_before, "brokers_after": journal.brokers_after},
    )


def refuse_unfinished(journal: Journal, verb: str) -> None:
    """Refuse to begin while another command is unfinished.

    Raises:
        RefusedError: Always, naming it and what finishes it.
    """
    command = "kraftd scale" if journal.goal is None else "kraftd topics reassign"
    again = f"{command} --brokers {journal.brokers_after}" if journal.goal is None else command
    raise RefusedError(
        f"cannot {verb}: {journal.what} is {'half undone' if journal.is_aborted else 'unfinished'}",
        hint=f"'{command} --abort' undoes the rest."
        if journal.is_aborted
        else f"'{again}' finishes it, and '{command} --abort' undoes it.",
        code="unfinished_scale" if journal.goal is None else "unfinished_reassignment",
    )


def refuse_reassignment(situation: Situation, goal: Goal, brokers: Collection[int]) -> None:
    """Refuse a goal that the topics cannot have.

    Args:
        situation: Where the replicas of the chosen topics are.
        goal: What is to be reached.
        brokers: The node ids that there are.

    Raises:
        ConfigurationError: There is no such broker, or the assignment does not fit the topic.
        RefusedError: A topic has more replicas than brokers were given, or would get another number of them.
    """
    named = sorted({*goal.brokers, *(broker for replicas in goal.assignment for broker in replicas)})
    if unknown := [node_id for node_id in named if node_id not in brokers]:
        raise ConfigurationError(
            f"cannot move replicas to broker {unknown[0]}: there is none",
            hint=f"Brokers: {', '.join(map(str, sorted(brokers)))}.",
            details={"unknown": unknown, "known": sorted(brokers)},
        )
    if topics := too_many_replicas(situation.placement, len(goal.brokers), ()):
        raise RefusedError(
            f"cannot move {listed(topics, _SHOWN)} to {plural(len(goal.brokers), 'broker')}: "
            f"{'it has' if len(topics) == 1 else 'they have'} more replicas",
            hint="Give more brokers; 'kraftd scale --replication-factor' gives topics fewer replicas.",
            code="too_many_replicas",
            details={"topics": topics},
        )
    if goal.assignment:
        _refuse_assignment(situation.placement, goal)


def _refuse_assignment(placement: Placement, goal: Goal) -> None:
    (name,) = goal.topics
    before = [placement[key] for key in sorted(placement)]
    if any(len(set(replicas)) != len(replicas) for replicas in goal.assignment):
        raise ConfigurationError(f"cannot move {name}: a broker appears twice in one partition")
    if len(before) != len(goal.assignment):
        raise ConfigurationError(
            f"cannot move {name}: it has {plural(len(before), 'partition')}, {len(goal.assignment)} were given",
            hint="Give the replicas of each partition in turn, as 1:2,2:3.",
        )
    if any(len(old) != len(new) for old, new in zip(before, goal.assignment, strict=True)):
        raise RefusedError(
            f"cannot move {name}: a partition would have another number of replicas",
            hint=f"'kraftd scale --replication-factor R --topic {name}' changes it, with the min.insync.replicas.",
            code="other_replication_factor",
        )


def refuse_factor(replication_factor: int | None, brokers: int) -> None:
    """Refuse more replicas than brokers.

    Raises:
        ConfigurationError: With both numbers.
    """
    if replication_factor is not None and not 1 <= replication_factor <= brokers:
        raise ConfigurationError(
            f"cannot keep {replication_factor} replicas of a partition on {brokers} brokers",
            hint=f"Give --replication-factor a number from 1 to {brokers}.",
        )


def refuse_unknown_topics(situation: Situation, chosen: Sequence[str]) -> None:
    """Refuse topics that do not exist.

    Raises:
        UnknownNameError: With the nearest name.
    """
    for name in chosen:
        if name not in situation.topics:
            raise unknown_name(
                f"cannot change the replicas of {name}: there is no such topic", name, [*situation.topics]
            )


def refuse_too_few(situation: Situation, brokers: int, replication_factor: int | None, chosen: Collection[str]) -> None:
    """Refuse fewer brokers than a topic has replicas.

    Raises:
        RefusedError: Naming the topics.
    """
    changed = topics_of(situation, chosen) if replication_factor is not None else ()
    topics = too_many_replicas(situation.placement, brokers, changed)
    if topics:
        raise RefusedError(
            f"cannot scale to {brokers}: {listed(topics, _SHOWN)} {'has' if len(topics) == 1 else 'have'} more "
            "replicas",
            hint=f"--replication-factor {default_replication_factor(brokers)} gives them fewer.",
            code="too_many_replicas",
            details={"topics": topics},
        )


def refuse_dead(needed: Collection[int], alive: Collection[int]) -> None:
    """Refuse to move replicas while a broker is down: a move to it, or from it, would wait for it.

    Raises:
        RefusedError: Naming the brokers.
    """
    dead = sorted(set(needed) - set(alive))
    if dead:
        names = [f"broker-{node_id}" for node_id in dead]
        raise RefusedError(
            f"cannot move replicas while {listed(names, _SHOWN)} {'is' if len(dead) == 1 else 'are'} down",
            hint=f"'kraftd start' starts what is down; 'kraftd why {names[0]}' tells why it ended.",
            code="broker_down",
            details={"brokers": dead},
        )


def refuse_foreign_moves(situation: Situation, journal: Journal | None) -> None:
    """Refuse to move replicas while something else does.

    Raises:
        RefusedError: Naming partitions.
    """
    if journal is None and situation.reassignments:
        moving = [f"{topic}-{partition}" for topic, partition in sorted(situation.reassignments)]
        raise RefusedError(
            f"cannot move replicas while another program does: {listed(moving, _SHOWN)}",
            hint="Wait for it. 'kraftd kafka reassign-partitions --list' shows what it moves.",
            code="moved_by_others",
            details={"partitions": moving},
        )


def refuse_full_disk(needed_bytes: int, free_bytes: int) -> None:
    """Refuse copies for which there is no room.

    Raises:
        RefusedError: With both sizes.
    """
    if needed_bytes > free_bytes:
        raise RefusedError(
            f"cannot copy {human_size(needed_bytes)}: {human_size(free_bytes)} of the disk can be used",
            hint="Free disk space, or give topics a shorter retention.",
            code="disk_full",
            details={"needed_bytes": needed_bytes, "free_bytes": free_bytes},
        )
