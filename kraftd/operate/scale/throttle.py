"""The throttle of the copies of a reassignment, which is taken away again, also where a command was killed before."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from kraftd.clock import Clock
from kraftd.errors import KraftdError
from kraftd.kafka.model import Failure, KafkaAccessError
from kraftd.operate.scale.doors import ReassigningDoor
from kraftd.operate.scale.journal import Journal, Values
from kraftd.operate.scale.targets import FOLLOWER_RATE, FOLLOWER_REPLICAS, LEADER_RATE, LEADER_REPLICAS

_REPLICAS = (LEADER_REPLICAS, FOLLOWER_REPLICAS)
_RATES = (LEADER_RATE, FOLLOWER_RATE)
_NO_LIMIT = str(2**63 - 1)
_TAKEN_LIMIT_S = 5.0
_POLL_S = 0.1


def with_saved(journal: Journal, kafka: ReassigningDoor, topics: Iterable[str], brokers: Iterable[int]) -> Journal:
    """Return the journal with what the throttle's settings are now, of topics and brokers that it has not yet.

    Raises:
        KafkaAccessError: A broker does not answer.
    """
    new = [name for name in topics if name not in journal.topic_throttles]
    own = kafka.own_settings(new)
    of_topics = {name: {key: own.get(name, {}).get(key) for key in _REPLICAS} for name in new}
    of_brokers: dict[str, dict[str, str | None]] = {}
    for node_id in brokers:
        if str(node_id) not in journal.broker_throttles:
            of_brokers[str(node_id)] = _rates_of(kafka, node_id)
    return replace(
        journal,
        topic_throttles={**journal.topic_throttles, **of_topics},
        broker_throttles={**journal.broker_throttles, **of_brokers},
    )


def throttle(
    kafka: ReassigningDoor,
    topics: Mapping[str, Mapping[str, str | None]],
    brokers: Sequence[int],
    bytes_per_s: int,
    clock: Clock,
) -> None:
    """Throttle copies, before the first of them begins.

    Args:
        kafka: The cluster.
        topics: By topic, which replicas send and which receive.
        brokers: The node ids of the brokers that send or receive.
        bytes_per_s: What each of them may send, and what it may receive.
        clock: The time.

    Raises:
        KraftdError: A topic or a broker refuses.
    """
    _raise_first(kafka.alter_topics(topics))
    set_rate(kafka, brokers, bytes_per_s)
    rates = dict.fromkeys(_RATES, str(bytes_per_s))
    await_rates(kafka, dict.fromkeys(brokers, rates), clock)


def set_rate(kafka: ReassigningDoor, brokers: Iterable[int], bytes_per_s: int) -> None:
    """Set the rate of throttled copies.

    Raises:
        KraftdError: A broker refuses.
    """
    rates = dict.fromkeys(_RATES, str(bytes_per_s))
    failures = {f"broker {node_id}": kafka.alter_broker(node_id, rates) for node_id in brokers}
    _raise_first({name: failure for name, failure in failures.items() if failure is not None})


def await_rates(kafka: ReassigningDoor, wanted: Mapping[int, Values], clock: Clock) -> list[int]:
    """Wait until brokers copy at these rates: a broker learns of a setting a moment after the controller took it.

    Returns:
        The brokers that did not within 5 s.
    """
    deadline_s = clock.monotonic_s() + _TAKEN_LIMIT_S
    while late := [node_id for node_id, rates in wanted.items() if not _has_rates(kafka, node_id, rates)]:
        if clock.monotonic_s() > deadline_s:
            break
        clock.sleep(_POLL_S)
    return late


def take_away(journal: Journal, kafka: ReassigningDoor, clock: Clock) -> tuple[Journal, list[str]]:
    """Put back what the throttle's settings were before, and wait until the brokers have them.

    Returns:
        The journal with what could not be put back, and a sentence for each of these.
    """
    refused = kafka.alter_topics(journal.topic_throttles)
    gone = {name for name, failure in refused.items() if failure.error == "UNKNOWN_TOPIC_OR_PARTITION"}
    of_topics = {name: journal.topic_throttles[name] for name in refused.keys() - gone}
    of_brokers = {}
    notes = [f"topic {name} is still throttled: {refused[name].text}" for name in sorted(of_topics)]
    for name, values in journal.broker_throttles.items():
        failure = kafka.alter_broker(int(name), values)
        if failure is not None:
            of_brokers[name] = values
            notes.append(f"broker {name} is still throttled: {failure.text}")
    put_back = {int(name): values for name, values in journal.broker_throttles.items() if name not in of_brokers}
    notes += [f"broker {node_id} has not lifted its throttle yet" for node_id in await_rates(kafka, put_back, clock)]
    return replace(journal, topic_throttles=of_topics, broker_throttles=of_brokers), notes


def _has_rates(kafka: ReassigningDoor, node_id: int, rates: Values) -> bool:
    try:
        return _rates_of(kafka, node_id) == rates
    except KafkaAccessError:
        return False


def _rates_of(kafka: ReassigningDoor, node_id: int) -> dict[str, str | None]:
    known = kafka.broker_settings(node_id, _RATES)
    return {key: _limit(known[key].value) if key in known else None for key in _RATES}


def _limit(value: str | None) -> str | None:
    return None if value == _NO_LIMIT else value


def _raise_first(failures: Mapping[str, Failure]) -> None:
    for name, failure in failures.items():
        raise KraftdError(
            f"cannot throttle the copies of {name}: {failure.text}",
            hint="'kraftd status' shows which brokers run.",
            code="not_throttled",
            details={"error": failure.error},
        )
