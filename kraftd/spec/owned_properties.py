"""What kraftd decides of properties, variables and JVM options, and the setting to use instead."""

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

OWNED_VARIABLES = {
    "APP_HOST": "the apps listen on loopback",
    "APP_PORT": "use {section}.port",
    "KAFKA_BOOTSTRAP_SERVERS": "it names every broker of the cluster",
    "KAFKA_GROUP_ID": "use consumer.group",
    "KAFKA_SECURITY_PROTOCOL": "it follows from the brokers' listeners",
    "KAFKA_TOPIC": "use {section}.topic",
}
"""Variable of an app's environment to the reason and the setting to use."""

_HEAP = "use cluster.heap or controller.heap"
_CLASS_PATH = "use kafka.home for other jars"
_JVM_OPTIONS = {
    "-Xms": _HEAP,
    "-Xmx": _HEAP,
    "-XX:InitialHeapSize": _HEAP,
    "-XX:MaxHeapSize": _HEAP,
    "-XX:AOTCache": "'kraftd setup' makes the start-up archive",
    "-cp": _CLASS_PATH,
    "-classpath": _CLASS_PATH,
    "--class-path": _CLASS_PATH,
    "-jar": _CLASS_PATH,
}


def owned_jvm_option(option: str) -> str:
    """Return why a JVM option is kraftd's and the setting to use; empty where it is not."""
    return next((reason for start, reason in _JVM_OPTIONS.items() if option.startswith(start)), "")
