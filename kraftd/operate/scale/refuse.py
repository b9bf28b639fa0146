"""What a scale is refused for. Pure."""

from collections.abc import Collection, Sequence

from kraftd.errors import ConfigurationError, RefusedError, unknown_name
from kraftd.operate.scale.journal import Journal
from kraftd.operate.scale.targets import Situation, too_many_replicas, topics_of
from kraftd.plan.kinds import default_replication_factor
from kraftd.plan.manifest import Manifest
from kraftd.units import human_size

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
            f"cannot scale to {brokers}: {_listed(lost)} {'is a voter' if len(lost) == 1 else 'are voters'} of the "
            "quorum, which stays as it was first formatted",
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
            f"cannot scale to {brokers}: {_listed(topics)} {'has' if len(topics) == 1 else 'have'} more replicas",
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
            f"cannot move replicas while {_listed(names)} {'is' if len(dead) == 1 else 'are'} down",
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
            f"cannot move replicas while another program does: {_listed(moving)}",
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


def refuse_changed(is_changed: bool, origin: str) -> None:
    """Refuse to scale where the configuration differs in more than the number of brokers.

    Raises:
        RefusedError: Always where it does.
    """
    if is_changed:
        raise RefusedError(
            f"cannot scale: {origin} has changed since the cluster was started, not only in the number of brokers",
            hint="'kraftd apply' makes the cluster follow it; or undo the change.",
            code="configuration_changed",
        )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
