"""Brokers that leave: stopped, unregistered and taken out of the plan, once they have no replica."""

import shutil
from collections.abc import Iterable
from dataclasses import replace

from kraftd.errors import KraftdError, RefusedError
from kraftd.host.files import os_errors_named, write_changed
from kraftd.kafka.model import TopicPartition, TopicState
from kraftd.kafka.round_trip import CANARY_TOPIC
from kraftd.operate.apply.join import following_configuration
from kraftd.operate.context import ClusterContext
from kraftd.operate.render import files_of
from kraftd.operate.scale.doors import ReassigningDoor
from kraftd.operate.start.launch import restart_daemon
from kraftd.operate.start.start import Start
from kraftd.operate.stop.stop import StopOptions, stop_with_lock_held
from kraftd.plan.kinds import Node
from kraftd.units import listed

_RETRY_S = 0.5
_UNREGISTER_LIMIT_S = 20.0
_DELETE_LIMIT_S = 20.0
_SHOWN = 6
_UNKNOWN = "BROKER_ID_NOT_REGISTERED"


def stop_and_unregister(
    cluster: ClusterContext, kafka: ReassigningDoor, leaving: tuple[Node, ...], command: str
) -> None:
    """Stop brokers without replicas, and make the cluster forget them; the caller holds the lock.

    Raises:
        RefusedError: A partition has come to one of them meanwhile.
        KraftdError: The cluster does not forget one, or keeps the canary's topic on one.
    """
    names = tuple(node.name for node in leaving)
    if not names:
        return
    stop_with_lock_held(cluster, StopOptions(names, command=command))
    # Again: the broker that was asked before may have learned late of a topic.
    refuse_replicas(kafka, leaving)
    for node in leaving:
        deadline_s = cluster.clock.monotonic_s() + _UNREGISTER_LIMIT_S
        while (failure := kafka.unregister(node.node_id)) is not None and failure.error != _UNKNOWN:
            if not failure.retriable or cluster.clock.monotonic_s() > deadline_s:
                raise KraftdError(
                    f"cannot unregister {node.name}, which is stopped: {failure.text}",
                    hint="Run the same command again.",
                    code="not_unregistered",
                    details={"error": failure.error},
                )
            cluster.clock.sleep(_RETRY_S)
    _delete_canary_topic(cluster, kafka, leaving)


def refuse_replicas(kafka: ReassigningDoor, leaving: tuple[Node, ...]) -> None:
    """Refuse to remove brokers that have replicas, as of a topic that was created after the others were moved.

    Raises:
        RefusedError: Naming the partitions; or a topic cannot be read.
        KafkaAccessError: No broker answers.
    """
    if not leaving:
        return
    topics = kafka.metadata().topics
    names = listed([node.name for node in leaving], _SHOWN)
    if unread := ", ".join(topics.failures):
        raise RefusedError(
            f"cannot remove {names}: the state of {unread} could not be read", hint="Run the same command again."
        )
    held = _partitions_on(topics.values.values(), leaving)
    held = [(topic, partition) for topic, partition in held if topic != CANARY_TOPIC]
    if held:
        partitions = listed([f"{topic}-{partition}" for topic, partition in held], _SHOWN)
        raise RefusedError(
            f"cannot remove {names}: {partitions} came there meanwhile",
            hint="The same command moves that too, once all brokers run: 'kraftd start' starts what is stopped.",
            code="replicas_left",
            details={"partitions": held},
        )


def _partitions_on(topics: Iterable[TopicState], nodes: tuple[Node, ...]) -> list[TopicPartition]:
    """Return the partitions that have a replica on one of some brokers."""
    node_ids = {node.node_id for node in nodes}
    return [each.key for topic in topics for each in topic.partitions if not node_ids.isdisjoint(each.replicas)]


def _delete_canary_topic(cluster: ClusterContext, kafka: ReassigningDoor, left: tuple[Node, ...]) -> None:
    """Delete the topic that has a partition of each broker, and cannot lose one; the daemon makes it again.

    Raises:
        KraftdError: It stays, with a replica on a broker that has left: no restart would find all replicas in sync.
    """
    deadline_s = cluster.clock.monotonic_s() + _DELETE_LIMIT_S
    while failure := kafka.delete_topics((CANARY_TOPIC,)).get(CANARY_TOPIC):
        if not _partitions_on(kafka.metadata().topics.values.values(), left):
            return
        if not failure.retriable or cluster.clock.monotonic_s() > deadline_s:
            raise KraftdError(
                f"cannot delete the topic {CANARY_TOPIC}, which has replicas on brokers that have left: {failure.text}",
                hint="Run the same command again. Where delete.topic.enable is false, move its partitions to brokers "
                "that stay first, with 'kraftd kafka reassign-partitions'.",
                code="canary_not_deleted",
                details={"error": failure.error},
            )
        cluster.clock.sleep(_RETRY_S)


def take_out(start: Start) -> None:
    """Let plan, files, supervisord, daemon and manifest follow a plan with fewer brokers, which have ended.

    Args:
        start: Of the configuration with fewer brokers; the caller holds the lock.
    """
    store = start.cluster.store
    start = following_configuration(start, store.plan() or start.cluster.plan)
    cluster, plan = start.cluster, start.cluster.plan
    prepared = start.doors.prepare_runtime(plan, cluster.command_context)
    write_changed(files_of(plan, prepared.launch, cluster.command_context))
    cluster.store.write_plan(plan)
    cluster.supervisor.update()
    restart_daemon(cluster)
    manifest = store.manifest()
    if manifest is not None:
        stay = tuple(node for node in manifest.nodes if node.name in plan.names)
        gone = tuple(node.name for node in manifest.nodes if node.name not in plan.names)
        store.write_manifest(replace(manifest, nodes=stay, removed=(*manifest.removed, *gone)))


def delete_data(cluster: ClusterContext, names: tuple[str, ...]) -> None:
    """Delete the data of brokers that have left.

    Raises:
        FileAccessError: The system refuses.
    """
    for name in names:
        path = cluster.layout.data(name)
        if path.is_dir() and not path.is_symlink():
            with os_errors_named("delete", path):
                shutil.rmtree(path)
