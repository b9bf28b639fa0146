"""The brokers' settings that were changed while they ran.

Kafka keeps such a value, and it wins over server.properties forever. It is in that file too, so that it is forgotten
once the broker was started from there: else the next change of the file would have no effect.
"""

import json
from collections.abc import Iterable, Mapping

from kraftd.errors import KraftdError
from kraftd.host.files import read_text, write_atomically
from kraftd.kafka.model import KafkaAccessError
from kraftd.operate.context import ClusterContext
from kraftd.operate.doors import KafkaDoor
from kraftd.plan.kinds import Node
from kraftd.plan.layout import Layout

_ADMIN_TIMEOUT_S = 3.0


def overrides_of(layout: Layout) -> dict[str, frozenset[str]]:
    """Return the settings by broker; none where the record is absent or damaged."""
    try:
        raw = json.loads(read_text(layout.overrides) or "{}")
        return {str(name): frozenset(map(str, keys)) for name, keys in raw.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def remember_overrides(layout: Layout, added: Mapping[str, Iterable[str]]) -> None:
    """Record settings by broker, before they are changed."""
    known = overrides_of(layout)
    _write(layout, known | {name: known.get(name, frozenset()) | frozenset(keys) for name, keys in added.items()})


def forget_overrides(cluster: ClusterContext, kafka: KafkaDoor, brokers: Iterable[Node]) -> None:
    """Make Kafka forget what was set while these brokers ran; they read it from their files at their last start.

    Raises:
        KraftdError: Kafka refuses.
    """
    known = overrides_of(cluster.layout)
    for broker in brokers:
        keys = known.pop(broker.name, frozenset())
        if not keys:
            continue
        kafka.metadata(())  # the address of the broker
        failure = kafka.alter_broker(broker.node_id, dict.fromkeys(sorted(keys)))
        if failure is not None:
            raise KraftdError(
                f"cannot make {broker.name} forget {', '.join(sorted(keys))} as set while it ran: {failure.text}",
                hint="The same command tries again.",
                code="override_kept",
            )
        _write(cluster.layout, known)


def forget_all_overrides(cluster: ClusterContext) -> tuple[str, ...]:
    """Make Kafka forget every such setting, as all brokers were just started; returns notes where it does not.

    Opens no connection where nothing is on record.
    """
    known = overrides_of(cluster.layout)
    brokers = [broker for broker in cluster.plan.brokers if broker.name in known]
    if not brokers:
        return ()
    try:
        with cluster.doors.open_kafka(cluster.plan.access, _ADMIN_TIMEOUT_S) as kafka:
            forget_overrides(cluster, kafka, brokers)
    except (KafkaAccessError, KraftdError) as error:
        return (str(error),)
    return ()


def _write(layout: Layout, overrides: Mapping[str, Iterable[str]]) -> None:
    if any(overrides.values()):
        text = json.dumps({name: sorted(keys) for name, keys in overrides.items() if keys}, indent=2)
        write_atomically(layout.overrides, text + "\n")
    else:
        layout.overrides.unlink(missing_ok=True)
