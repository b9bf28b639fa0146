"""Contradictions between settings, and the properties, variables and options that kraftd sets itself."""

from collections.abc import Iterator, Mapping, Sequence

from kraftd.plan.plan import Plan, Port, Topic
from kraftd.plan.settings import Settings, TopicSettings

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
    "APP_HOST": "the apps listen on loopback only",
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


_MAX_PORT = 65535


def owned_jvm_option(option: str) -> str:
    """Return why kraftd sets a JVM option itself, and the setting to use instead; empty if users may set it."""
    return next((reason for start, reason in _JVM_OPTIONS.items() if option.startswith(start)), "")


def contradictions(settings: Settings, plan: Plan) -> list[str]:
    """Return a message for every contradiction between settings.

    Args:
        settings: The user's settings.
        plan: The plan made from them.
    """
    return [
        *topic_problems(settings.topic, plan.topics, settings.cluster.brokers),
        *_app_problems(settings),
        *_property_problems(settings),
        *_variable_problems(settings),
        *_option_problems(settings),
        *_backup_problems(settings),
        *_port_problems(plan.ports),
    ]


def topic_problems(topics: Sequence[TopicSettings], planned: Sequence[Topic], brokers: int) -> Iterator[str]:
    """Yield a message for every contradiction between declared topics, or with the number of brokers."""
    names = [topic.name for topic in topics]
    yield from (f"topic {name}: declared twice" for name in dict.fromkeys(names) if names.count(name) > 1)
    first: dict[str, str] = {}
    for name in names:
        if (other := first.setdefault(name.replace(".", "_"), name)) != name:
            yield f"topic {name}: Kafka refuses it beside {other}: in its metrics '.' and '_' are the same"
    for topic, each in zip(topics, planned, strict=True):
        for problem in _assignment_problems(topic, each, brokers):
            yield f"topic {topic.name}: {problem}"


def _app_problems(settings: Settings) -> Iterator[str]:
    names = [topic.name for topic in settings.topic]
    for section, app in (("producer", settings.producer), ("consumer", settings.consumer)):
        if app.enabled and app.topic not in names:
            yield f'{section}.topic = "{app.topic}": not declared; add a [[topic]] with this name'


def _assignment_problems(topic: TopicSettings, planned: Topic, brokers: int) -> Iterator[str]:
    wanted = topic.replication_factor
    if wanted is not None and wanted > brokers:
        yield f"replication_factor = {wanted}: {_there_are(brokers)}; lower it or raise cluster.brokers"
    if not topic.assignment:
        return
    stated = f'assignment = "{topic.assignment}"'
    unknown = sorted({broker for replicas in planned.assignment for broker in replicas if not 1 <= broker <= brokers})
    if unknown:
        yield f"{stated}: no broker {', '.join(map(str, unknown))}; {_there_are(brokers)}"
    if any(len(set(replicas)) != len(replicas) for replicas in planned.assignment):
        yield f"{stated}: a broker appears twice in one partition"
    counts = sorted({len(replicas) for replicas in planned.assignment})
    if len(counts) > 1:
        yield f"{stated}: every partition needs the same number of replicas"
    elif wanted not in (None, *counts):
        yield f"{stated}: contradicts replication_factor = {wanted}; leave one of the two out"
    if topic.partitions not in (None, planned.partitions):
        yield f"{stated}: contradicts partitions = {topic.partitions}; leave one of the two out"


def _there_are(brokers: int) -> str:
    return "there is only broker 1" if brokers == 1 else f"there are brokers 1 to {brokers}"


def _property_problems(settings: Settings) -> Iterator[str]:
    nodes = settings.broker.nodes
    tables = {"broker.config": settings.broker.config}
    tables |= {f"broker.{node_id}.config": node.config for node_id, node in nodes.items()}
    for table, config in tables.items():
        for key, value in config.items():
            if key in OWNED_PROPERTIES:
                yield f'{table}."{key}" = "{value}": kraftd sets it: {OWNED_PROPERTIES[key]}'
    for node_id in nodes:
        if not 1 <= node_id <= settings.cluster.brokers:
            yield f"broker.{node_id}: no such broker; {_there_are(settings.cluster.brokers)}"


def _variable_problems(settings: Settings) -> Iterator[str]:
    tables: Mapping[str, Mapping[str, str]] = {"producer": settings.producer.env, "consumer": settings.consumer.env}
    for section, env in tables.items():
        for name in env:
            if name in OWNED_VARIABLES:
                yield f"{section}.env.{name}: kraftd sets it: {OWNED_VARIABLES[name].format(section=section)}"


def _option_problems(settings: Settings) -> Iterator[str]:
    for option in settings.java.options:
        reason = owned_jvm_option(option)
        if reason:
            yield f'java.options "{option}": kraftd sets it: {reason}'


def _backup_problems(settings: Settings) -> Iterator[str]:
    backup = settings.backup
    if backup.schedule and not backup.target:
        yield f'backup.schedule = "{backup.schedule}": backup.target says where, and is not set'


def _port_problems(ports: tuple[Port, ...]) -> Iterator[str]:
    first: dict[int, Port] = {}
    for port in ports:
        if port.number > _MAX_PORT:
            keys = " or ".join(filter(None, (port.setting, "cluster.port_offset")))
            yield f"port {port.number} of {port.owner} is beyond {_MAX_PORT}; lower {keys}"
        other = first.setdefault(port.number, port)
        if other is not port:
            keys = " or ".join(dict.fromkeys(filter(None, (other.setting, port.setting))))
            yield f"port {port.number} is used by both {other.owner} and {port.owner}; change {keys}"
