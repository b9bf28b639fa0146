"""The history of the last 15 minutes in a few numbers, and the current rates. Pure; one moment every five seconds.

A number that was not known at a moment is None: a gap, not a zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kraftd.health.lag.view import KafkaView, Offsets
from kraftd.health.programs.state import ProcessUsage, Snapshot
from kraftd.kafka.model import TopicPartition

KEPT_S = 900.0
STEP_S = 5.0

_FRESH_S = 30.0
_FRESH_CYCLES = 3


@dataclass(frozen=True, slots=True)
class Moment:
    """One point in time.

    Attributes:
        time_s: Seconds since the Unix epoch.
        produced_per_s: Growth of all end offsets, of records and of transactions' markers.
        lag: Of all groups together; None where that of one group is not known.
        round_trip_s: Of the canary's record through the slowest broker.
        answer_s: The slowest broker's answer to ApiVersions.
    """

    time_s: float
    produced_per_s: float | None
    lag: int | None
    round_trip_s: float | None
    answer_s: float | None


@dataclass(frozen=True, slots=True)
class Rates:
    """The current rates.

    Attributes:
        topics: Growth of a topic's end offsets, per second; absent where two readings of them are not known.
        cpu: Cores that a program uses, by name; absent before it was seen twice.
    """

    topics: Mapping[str, float] = field(default_factory=dict)
    cpu: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class History:
    """The history of a cluster.

    Attributes:
        moments: Oldest first.
        offsets: The reading that the next growth is measured from.
        usages: What the programs' processes had used at the newest moment.
    """

    moments: tuple[Moment, ...] = ()
    rates: Rates = field(default_factory=Rates)
    offsets: Offsets | None = None
    usages: Mapping[str, ProcessUsage] = field(default_factory=dict)


def extended(history: History, snapshot: Snapshot, lag_interval_s: float) -> History:
    """Return a history with a snapshot, where a step has passed since its newest moment.

    Moments that lie after the snapshot are dropped: the clock went back.

    Args:
        history: The history so far.
        snapshot: The newest observation.
        lag_interval_s: How often offsets and lags are measured: values that are older than some of these intervals do
            not count as known.
    """
    now_s = snapshot.taken_at_s
    kept = tuple(each for each in history.moments if now_s - KEPT_S < each.time_s <= now_s)
    if kept and now_s - kept[-1].time_s < STEP_S:
        return history
    kafka = snapshot.kafka
    fresh_s = max(_FRESH_S, _FRESH_CYCLES * lag_interval_s)
    topics, offsets = _topic_rates(history, kafka, now_s, fresh_s)
    cpu = _cpu(history, snapshot, now_s - kept[-1].time_s) if kept else {}
    moment = Moment(
        time_s=now_s,
        produced_per_s=sum(topics.values()) if topics else None,
        lag=_lag(kafka, now_s, fresh_s),
        round_trip_s=_round_trip_s(kafka, now_s),
        answer_s=max(
            (each.latency_s for each in snapshot.contacts.values() if each.latency_s is not None), default=None
        ),
    )
    return History((*kept, moment), Rates(topics, cpu), offsets, snapshot.usages)


def _topic_rates(
    history: History, kafka: KafkaView, now_s: float, fresh_s: float
) -> tuple[Mapping[str, float], Offsets | None]:
    """Return the rate of each topic, and the reading that the next is measured from."""
    offsets, before = kafka.offsets, history.offsets
    if offsets is None or not 0 <= now_s - offsets.taken_at_s < fresh_s:
        return {}, None
    if before is None or before.taken_at_s > offsets.taken_at_s:
        return {}, offsets
    took_s = offsets.taken_at_s - before.taken_at_s
    if not took_s:
        return history.rates.topics, offsets
    return _growth(before.ends.values, offsets.ends.values, took_s), offsets


def _growth(
    before: Mapping[TopicPartition, int], now: Mapping[TopicPartition, int], took_s: float
) -> Mapping[str, float]:
    rates: dict[str, float] = {}
    for key, end in now.items():
        if key in before:
            # An end that went back belongs to another log: the topic was recreated.
            rates[key[0]] = rates.get(key[0], 0.0) + max(0, end - before[key]) / took_s
    return rates


def _cpu(history: History, snapshot: Snapshot, took_s: float) -> Mapping[str, float]:
    return {
        name: max(0.0, usage.cpu_s - before.cpu_s) / took_s
        for name, usage in snapshot.usages.items()
        if (before := history.usages.get(name)) is not None and before.started_at_s == usage.started_at_s
    }


def _lag(kafka: KafkaView, now_s: float, fresh_s: float) -> int | None:
    if kafka.lags is None or kafka.lags_taken_at_s is None or not 0 <= now_s - kafka.lags_taken_at_s < fresh_s:
        return None
    totals = [group.total for group in kafka.lags.values()]
    # A group that never commits has no lag, and must not hide that of the others.
    counted = [total.lag for total in totals if total.partitions or total.lag is not None]
    known = [lag for lag in counted if lag is not None]
    return sum(known) if len(known) == len(counted) and (known or not totals) else None


def _round_trip_s(kafka: KafkaView, now_s: float) -> float | None:
    if kafka.canary is None or not 0 <= now_s - kafka.canary.taken_at_s < _FRESH_S:
        return None
    return max((each.write_s + each.read_s for each in kafka.canary.brokers.values.values()), default=None)
