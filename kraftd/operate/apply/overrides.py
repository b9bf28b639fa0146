"""The brokers' settings that were changed while they ran.

Kafka keeps such a value, and it wins over server.properties forever. It is in that file too, so that it is forgotten
once the broker was started from there: else the next change of the file would have no effect. A broker that runs as
another incarnation than the one in the record has read its file, whoever started it, and whatever came between.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from kraftd.errors import KraftdError
from kraftd.host.files import read_text, write_atomically
from kraftd.host.processes import Process
from kraftd.kafka.model import KafkaAccessError
from kraftd.operate.context import ClusterContext
from kraftd.operate.doors import KafkaDoor
from kraftd.operate.rolling.journal import identity, is_same, process_of
from kraftd.plan.kinds import Node
from kraftd.plan.layout import Layout

_ADMIN_TIMEOUT_S = 3.0


def overrides_of(layout: Layout) -> dict[str, dict[str, Process | None]]:
    """Return the settings by broker, each with the process that had it set; none where the record is damaged.

    A record of an earlier kraftd has no processes.
    """
    try:
        raw = json.loads(read_text(layout.overrides) or "{}")
        return {str(name): _settings(each) for name, each in raw.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def remember_overrides(cluster: ClusterContext, broker: str, keys: Iterable[str]) -> None:
    """Record settings of a broker, before they are changed."""
    known = overrides_of(cluster.layout)
    now = cluster.find_processes().processes.get(broker)
    _write(cluster.layout, known | {broker: known.get(broker, {}) | dict.fromkeys(keys, now)})


def forget_overrides(cluster: ClusterContext, kafka: KafkaDoor, started: Collection[str]) -> None:
    """Make Kafka forget what was set while an earlier process of a broker ran: the one of now has read its file.

    Args:
        cluster: The cluster.
        kafka: The way to Kafka.
        started: The programs that this command started, for what an earlier kraftd recorded without a process.

    Raises:
        KraftdError: Kafka refuses.
    """
    for broker, keys in _outlived(cluster, started):
        kafka.metadata(())  # the address of the broker
        failure = kafka.alter_broker(broker.node_id, dict.fromkeys(keys))
        if failure is not None:
            raise KraftdError(
                f"cannot make {broker.name} forget {', '.join(keys)} as set while it ran: {failure.text}",
                hint="The same command tries again.",
                code="override_kept",
            )
        known = overrides_of(cluster.layout)
        kept = {key: process for key, process in known.get(broker.name, {}).items() if key not in keys}
        _write(cluster.layout, known | {broker.name: kept})


def forget_overrides_or_note(cluster: ClusterContext, started: Collection[str]) -> tuple[str, ...]:
    """Do what ``forget_overrides`` does, at the end of a start; returns notes where Kafka refuses.

    Opens no connection where there is nothing to forget.
    """
    if not _outlived(cluster, started):
        return ()
    try:
        with cluster.doors.open_kafka(cluster.plan.access, _ADMIN_TIMEOUT_S) as kafka:
            forget_overrides(cluster, kafka, started)
    except (KafkaAccessError, KraftdError) as error:
        return (str(error),)
    return ()


def _outlived(cluster: ClusterContext, started: Collection[str]) -> list[tuple[Node, list[str]]]:
    """Return the brokers that run as another process than the one that had settings changed, with those settings."""
    known = overrides_of(cluster.layout)
    if not known:
        return []
    processes = cluster.find_processes().processes
    found = []
    for broker in cluster.plan.brokers:
        now = processes.get(broker.name)
        keys = [
            key
            for key, then in known.get(broker.name, {}).items()
            if now is not None and (broker.name in started or (then is not None and not is_same(then, now)))
        ]
        if keys:
            found.append((broker, sorted(keys)))
    return found


def _settings(raw: Any) -> dict[str, Process | None]:
    if isinstance(raw, list):
        return dict.fromkeys(map(str, raw))
    return {str(key): None if process is None else process_of(process) for key, process in raw.items()}


def _write(layout: Layout, overrides: Mapping[str, Mapping[str, Process | None]]) -> None:
    document = {
        name: {key: process and identity(process) for key, process in sorted(settings.items())}
        for name, settings in overrides.items()
        if settings
    }
    if document:
        write_atomically(layout.overrides, json.dumps(document, indent=2) + "\n")
    else:
        layout.overrides.unlink(missing_ok=True)
