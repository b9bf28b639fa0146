"""Whether Kafka is asked now. Pure."""

from enum import Enum, auto

from kraftd.spec.program import Kind
from kraftd.watch.snapshot import ServiceState, Snapshot

LEFT_TO_START_S = 15.0
"""For so long the collector leaves the cores to what comes up: it would take 0.3 s of their CPU in a start of 4 s."""


class Turn(Enum):
    """What a turn of the collector is for."""

    WAIT = auto()
    ASK = auto()
    GIVE_UP = auto()


def next_turn(newest: Snapshot | None, *, has_seen_kafka: bool, waited_s: float) -> Turn:
    """Return what to do: ask while a broker serves, but at first leave a start alone.

    Args:
        newest: The newest look at the programs; None before the first.
        has_seen_kafka: Whether Kafka ever answered.
        waited_s: Seconds since the daemon came up.
    """
    programs = newest.programs if newest else ()
    is_coming_up = any(each.service_state is ServiceState.STARTING for each in programs)
    if newest is None or (not has_seen_kafka and waited_s < LEFT_TO_START_S and is_coming_up):
        return Turn.WAIT
    return Turn.ASK if any(each.ready for each in programs if each.kind is Kind.BROKER) else Turn.GIVE_UP
