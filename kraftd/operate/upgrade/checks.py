"""What an upgrade is refused for, and what it changes for those who use the cluster. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kraftd.errors import ConfigurationError, RefusedError
from kraftd.kafka.quorum import METADATA_VERSION
from kraftd.operate.rolling.gates import ClosedGate
from kraftd.plan.plan import Plan
from kraftd.plan.versions import line_of, numbers, version_of_jar

KRAFT_VERSION = "kraft.version"
"""The feature whose next level moves the voters into the metadata, from where they never return; kraftd keeps them in
the configuration."""

_NEWEST_METADATA_VERSION: dict[tuple[int, ...], int] = {(3, 9): 21, (4, 0): 25, (4, 1): 27, (4, 2): 29, (4, 3): 30}
"""What the last release of each line can read (MetadataVersion in its sources)."""
_OLDEST_METADATA_VERSION = {3: 1, 4: 7}
_MIB = 1024**2


@dataclass(frozen=True, slots=True)
class Limit:
    """A lowest value that a version introduced: a broker with a lower one does not start.

    Attributes:
        key: The broker's setting.
        topic_key: The same setting of a topic; empty where topics have none.
        since: The first version with it.
    """

    key: str
    topic_key: str
    lowest: int
    since: tuple[int, int]


LIMITS = (
    Limit("log.segment.bytes", "segment.bytes", _MIB, (4, 0)),
    Limit("num.replica.fetchers", "", 1, (4, 2)),
)

_REMOVED = (
    (
        (4, 0),
        re.compile(
            r"inter\.broker\.protocol\.version|(log\.)?message\.format\.version|(log\.)?message\.downconversion\.enable"
            r"|(log\.)?message\.timestamp\.difference\.max\.ms|offsets\.commit\.required\.acks"
            r"|delegation\.token\.master\.key|controlled\.shutdown\.(max\.retries|retry\.backoff\.ms)"
            r"|control\.plane\.listener\.name|reserved\.broker\.max\.id|broker\.id\.generation\.enable"
            r"|password\.encoder\..*|zookeeper\..*"
        ),
    ),
)
"""By the version that removed them: settings that have no effect any more."""

_CHANGES = (
    (
        (4, 0),
        "clients older than Kafka 2.1 (November 2018) are refused: the requests that they send are gone (KIP-896)",
    ),
    (
        (4, 0),
        "records with a time more than an hour ahead of the broker's clock are refused, unless "
        "message.timestamp.after.max.ms allows it (KIP-937); such as those of a restore",
    ),
    ((4, 0), "log.segment.bytes and segment.bytes are at least 1 MiB (KIP-1030)"),
    ((4, 0), "brokers log through Log4j 2: levels set on kafka.log.LogCleaner have no effect any more"),
    ((4, 3), "members of groups with the consumer protocol are assigned partitions at most once a second"),
)
"""By the version that brought them: what changes for users. Read in Kafka's notes on upgrading."""


def version_of(command: Sequence[str]) -> str | None:
    """Return the Kafka version that a node's command line runs, by the name of the server's jar."""
    paths = (path for argument in command for path in argument.split(":"))
    versions = (version_of_jar(path.rpartition("/")[2]) for path in paths)
    return next((version for version in versions if version is not None), None)


def what_changes(before: str, after: str) -> tuple[str, ...]:
    """Return what an upgrade changes for those who use the cluster, a clause each; nothing for a downgrade."""
    return tuple(text for since, text in _CHANGES if numbers(before)[:2] < since <= numbers(after)[:2])


def refuse_path(before: str, after: str, finalized: Mapping[str, int]) -> None:
    """Refuse a version that cannot read what is finalized, or that does not know it any more.

    Raises:
        RefusedError: With the levels.
    """
    level = finalized.get(METADATA_VERSION, 0)
    line = numbers(after)[:2]
    newest, oldest = _NEWEST_METADATA_VERSION.get(line, level), _OLDEST_METADATA_VERSION.get(line[0], level)
    unknown = [name for name in finalized if line < (4, 0) and name not in {METADATA_VERSION, KRAFT_VERSION}]
    details = {"before": before, "after": after, "finalized": dict(finalized)}
    if level > newest or unknown:
        what = f"{METADATA_VERSION} {level}" if level > newest else unknown[0]
        raise RefusedError(
            f"cannot go from Kafka {before} to {after}: {what} is finalized, "
            f"and Kafka {line_of(after)} does not know it",
            hint="No downgrade is possible once it is finalized. A backup ('kraftd backup create') can be restored "
            f"into another cluster of Kafka {line_of(after)}.",
            code="finalized",
            details=details,
        )
    if level < oldest:
        raise RefusedError(
            f"cannot go from Kafka {before} to {after}: {METADATA_VERSION} {level} is finalized, and Kafka "
            f"{line_of(after)} begins at {oldest}",
            hint=f"'kraftd upgrade --finalize' finalizes what Kafka {before} knows; then upgrade.",
            code="too_old",
            details=details,
        )


def refuse_settings(
    after: str,
    brokers: Mapping[str, Mapping[str, str | None]],
    topics: Mapping[str, Mapping[str, str | None]],
) -> None:
    """Refuse settings with which a broker of a version does not start.

    Args:
        after: The version.
        brokers: The settings in force of each broker, by its name.
        topics: The own settings of each topic.

    Raises:
        RefusedError: Naming all of them.
    """
    found = []
    for limit in (each for each in LIMITS if each.since <= numbers(after)[:2]):
        for kind, key, places in (("", limit.key, brokers), ("topic ", limit.topic_key, topics)):
            found += [
                f"{kind}{name}: {key} = {settings[key]}, and Kafka {line_of(after)} takes {limit.lowest} or more"
                for name, settings in places.items()
                if _is_below(settings.get(key), limit.lowest)
            ]
    if found:
        raise RefusedError(
            f"cannot upgrade to Kafka {after}: its brokers do not start with\n"
            + "\n".join(f"  {line}" for line in found),
            hint="Set larger values: 'kraftd topics alter NAME --config segment.bytes=1048576' for a topic, "
            "[broker.config] and 'kraftd apply' for brokers.",
            code="settings",
            details={"settings": found},
        )


def removed_settings(before: str, after: str, plan: Plan, topics: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Return a note for each setting that has no effect after an upgrade."""
    places: list[tuple[str, Iterable[str]]] = [(node.name, [key for key, _ in node.config]) for node in plan.nodes]
    places += [(f"topic {name}", settings) for name, settings in topics.items()]
    return [
        f"{key} of {place} has no effect: Kafka {since[0]}.{since[1]} has removed it"
        for since, pattern in _REMOVED
        if numbers(before)[:2] < since <= numbers(after)[:2]
        for place, keys in places
        for key in keys
        if pattern.fullmatch(key)
    ]


def refuse_closed(closed: Sequence[ClosedGate]) -> None:
    """Refuse to begin while a node is down, or a replica is behind.

    Raises:
        RefusedError: Naming what is missing.
    """
    if not closed:
        return
    nodes = [name for each in closed for name in each.nodes]
    raise RefusedError(
        "cannot begin an upgrade now:\n" + "\n".join(f"  {each.text}" for each in closed),
        hint="'kraftd status' and 'kraftd why' show more; 'kraftd start' starts what is down.",
        code="broker_down" if nodes else "not_in_sync",
        details={
            "gates": [each.gate.value for each in closed],
            "nodes": nodes,
            "partitions": [each.partitions for each in closed if each.partitions],
        },
    )


def refuse_different_versions(running: Mapping[str, str | None], kafka_version: str) -> None:
    """Refuse to finalize before every node runs the version of the cluster.

    Raises:
        RefusedError: Naming the nodes that do not.
    """
    others = {name: version for name, version in running.items() if version != kafka_version}
    if others:
        listed = ", ".join(f"{name} ({version or 'it does not run'})" for name, version in others.items())
        raise RefusedError(
            f"cannot finalize Kafka {kafka_version}: it does not run on every node yet: {listed}",
            hint=f"'kraftd upgrade --to {kafka_version}' finishes the upgrade; 'kraftd start' starts what is down.",
            code="not_upgraded",
            details={"nodes": dict(others)},
        )


def refuse_stale_configuration(is_stale: bool, stated: str, kafka_version: str, origin: str) -> None:
    """Refuse to finalize while the configuration states a version to which no downgrade is possible then.

    Raises:
        ConfigurationError: Always where it does.
    """
    if is_stale:
        raise ConfigurationError(
            f"cannot finalize Kafka {kafka_version} while {origin} states cluster.kafka_version = {stated!r}: "
            "the next start would refuse it",
            hint=f'Set it to "{line_of(kafka_version)}", or remove it.',
            code="stale_version",
        )


def _is_below(value: str | None, lowest: int) -> bool:
    return value is not None and value.lstrip("-").isdecimal() and int(value) < lowest
