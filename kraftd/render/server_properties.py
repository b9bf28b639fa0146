"""server.properties of brokers and controllers."""

from kraftd.plan.kinds import Node, default_min_in_sync_replicas, default_replication_factor, min_in_sync_replicas
from kraftd.plan.plan import Access, Plan, has_remote_storage
from kraftd.plan.program import Kind, Listener

_SMALL_HEAP_BYTES = 512 * 1024**2

_TIMERS = {
    # If every node is a voter, all brokers that stop together must be approved before two of them have closed their
    # logs, and a broker that was not approved at once asks again after this time.
    "broker.heartbeat.interval.ms": "200",
    "broker.session.timeout.ms": "5000",
    "controller.quorum.election.backoff.max.ms": "500",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.request.timeout.ms": "1000",
    "initial.broker.registration.timeout.ms": "120000",
    "leader.imbalance.check.interval.seconds": "30",
}
"""Shorter than Kafka's defaults: a killed broker's new process is refused until the old session ends, and leads no
partition until the next check of the imbalance."""

_FIRST_ELECTION_TIMEOUT_MS = "200"
"""For the first voter. A start waits for an election, and two voters with equal timeouts often become candidates at
the same time, so that neither wins (median of 8 starts of two brokers: 2.5 s instead of 3.4 s)."""

_FETCH_TIMEOUT_MS = 1000
_BETWEEN_FETCH_TIMEOUTS_MS = 250
"""How much longer each voter waits for a silent leader than the one before it. All notice at the same moment that it is
gone: with equal timeouts two become candidates together, neither wins, and the failover takes 0.8 s longer. Voters that
are no brokers come first: while one of them leads, the end of a broker needs no election."""

_TOPICS = {
    # How many partitions a topic has whose creator does not say: the active controller decides.
    "num.partitions": "4",
    "unclean.leader.election.enable": "false",
}

_RETENTION = {"log.retention.bytes": "1073741824"}

_BROKER = {
    **_RETENTION,
    "auto.create.topics.enable": "false",
    "compression.type": "gzip",
    "group.initial.rebalance.delay.ms": "0",
    "log.retention.check.interval.ms": "300000",
    "log.retention.hours": "168",
    "log.segment.bytes": "1073741824",
    # Kafka's default has no room for a key or header beside 1 MiB, the longest value that the producer app takes.
    "message.max.bytes": str(1024 * 1024 + 64 * 1024),
    "num.io.threads": "4",
    "num.network.threads": "2",
    "num.recovery.threads.per.data.dir": "2",
    "offsets.topic.num.partitions": "4",
    # A follower that hears of a new leader before the leader itself does asks again after this time. Until then no
    # record with acks=all is acknowledged in the partition, nor, as a broker answers each connection in order, in any
    # other that the same producer has on that leader. Kafka's default is 1000.
    "replica.fetch.backoff.ms": "100",
    "replica.lag.time.max.ms": "10000",
    "socket.receive.buffer.bytes": "102400",
    "socket.request.max.bytes": "104857600",
    "socket.send.buffer.bytes": "102400",
    "transaction.state.log.num.partitions": "4",
}

_CONTROLLER = {
    "background.threads": "2",
    "num.io.threads": "2",
    "num.network.threads": "1",
}


def server_properties(plan: Plan, node: Node) -> str:
    """Return the server.properties of a node; the user's properties override defaults, but not those kraftd sets."""
    defaults = {**_TIMERS, **_TOPICS, **(_BROKER if node.kind is Kind.BROKER else _CONTROLLER), **_replication(plan)}
    if node.kind is Kind.BROKER:
        defaults["log.cleaner.dedupe.buffer.size"] = _cleaner_buffer_bytes(node)
    elif has_remote_storage(dict(node.config)):
        # A topic with it may not keep more than this on the disks of brokers: the active controller checks that.
        defaults |= _RETENTION
    values = {**defaults, **_quorum(plan, node), **dict(node.config), **_owned(plan, node)}
    lines = [f"{key}={escaped(values[key])}" for key in sorted(values)]
    return "\n".join([f"# {node.name} of the kraftd cluster {plan.cluster}", *lines, ""])


def client_properties(access: Access) -> str:
    """Return the text of a client's properties file, without the addresses."""
    return "".join(f"{name}={escaped(value)}\n" for name, value in access.properties)


def _cleaner_buffer_bytes(node: Node) -> str:
    """Return the log cleaner's buffer, which is allocated and zeroed at start: Kafka's 128 MiB would cost 0.1 s.

    32 MiB hold 1.2 million keys (24 bytes each, 90 % full) in one pass; a log with more is cleaned in several.
    """
    return str((16 if node.heap_bytes <= _SMALL_HEAP_BYTES else 32) * 1024**2)


def _replication(plan: Plan) -> dict[str, str]:
    """Return the properties that depend on the number of brokers; adding brokers changes no existing topic.

    Kafka writes the min ISR of its own topics, but not that of the offsets' topic, into these when it creates them.
    """
    replicas = default_replication_factor(len(plan.brokers))
    min_isr = str(min_in_sync_replicas(replicas))
    values = {
        "default.replication.factor": str(replicas),
        "min.insync.replicas": str(default_min_in_sync_replicas(plan.nodes)),
        "offsets.topic.replication.factor": str(replicas),
        "transaction.state.log.min.isr": min_isr,
        "transaction.state.log.replication.factor": str(replicas),
    }
    if not plan.kafka_version.startswith("3."):
        values |= {
            "share.coordinator.state.topic.min.isr": min_isr,
            "share.coordinator.state.topic.replication.factor": str(replicas),
        }
    return values


def _quorum(plan: Plan, node: Node) -> dict[str, str]:
    """Return the timeouts by which one voter is a candidate before the others."""
    brokers = {broker.node_id for broker in plan.brokers}
    successors = sorted((voter.node_id for voter in plan.voters), key=brokers.__contains__)
    rank = successors.index(node.node_id) if node.node_id in successors else 0
    timeouts = {"controller.quorum.fetch.timeout.ms": str(_FETCH_TIMEOUT_MS + rank * _BETWEEN_FETCH_TIMEOUTS_MS)}
    if node.node_id == plan.voters[0].node_id:
        timeouts["controller.quorum.election.timeout.ms"] = _FIRST_ELECTION_TIMEOUT_MS
    return timeouts


def _owned(plan: Plan, node: Node) -> dict[str, str]:
    voters = ",".join(f"{voter.node_id}@{voter.host}:{voter.port}" for voter in plan.voters)
    protocols = {listener.name: listener.security_protocol for each in plan.nodes for listener in each.kafka_listeners}
    owned = {
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": voters,
        "listener.security.protocol.map": ",".join(f"{name}:{protocols[name]}" for name in sorted(protocols)),
        "log.dirs": str(plan.layout.data(node.name)),
        "node.id": str(node.node_id),
        "process.roles": ",".join(node.roles),
        "listeners": ",".join(_bound(listener) for listener in node.kafka_listeners),
    }
    if node.client:
        owned["advertised.listeners"] = f"{node.client.name}://{node.client.address}"
        owned["inter.broker.listener.name"] = node.client.name
    return owned


def _bound(listener: Listener) -> str:
    return f"{listener.name}://{listener.host}:{listener.port}"


def escaped(value: str) -> str:
    """Return a value as java.util.Properties reads it: ASCII, everything else as UTF-16 units with a backslash."""
    text = value.replace("\\", "\\\\")
    if text.startswith(" "):
        text = "\\" + text
    units = text.encode("utf-16-be")
    pairs = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    return "".join(chr(unit) if 0x20 <= unit < 0x7F else f"\\u{unit:04X}" for unit in pairs)
