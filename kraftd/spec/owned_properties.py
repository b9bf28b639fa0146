"""The server properties that kraftd decides, and the setting to use instead of each."""

_LISTENERS = "kraftd gives every node its own loopback listeners; cluster.port_offset shifts their ports"
_QUORUM = "the voters are fixed when the cluster is first formatted; cluster.brokers decides them"
_DIRECTORIES = "each node's data lies below cluster.state_dir"

OWNED_PROPERTIES = {
    "advertised.listeners": _LISTENERS,
    "broker.id": "a broker's id is its number, from 1 to cluster.brokers",
    "controller.listener.names": _LISTENERS,
    "controller.quorum.bootstrap.servers": _QUORUM,
    "controller.quorum.voters": _QUORUM,
    "inter.broker.listener.name": _LISTENERS,
    "listener.security.protocol.map": _LISTENERS,
    "listeners": _LISTENERS,
    "log.dir": _DIRECTORIES,
    "log.dirs": _DIRECTORIES,
    "metadata.log.dir": _DIRECTORIES,
    "node.id": "a broker's id is its number, from 1 to cluster.brokers",
    "process.roles": _QUORUM,
    "security.inter.broker.protocol": _LISTENERS,
}
"""Property name to the reason and the setting to use."""
