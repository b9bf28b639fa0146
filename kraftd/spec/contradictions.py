"""What is wrong with settings that are right one by one: each finding names keys, values and the remedy."""

from collections.abc import Iterator, Mapping, Sequence

from kraftd.spec.owned_properties import OWNED_PROPERTIES, OWNED_VARIABLES, owned_jvm_option
from kraftd.spec.plan import Plan, Topic
from kraftd.spec.settings import Settings, TopicSettings

_MAX_PORT = 65535


def contradictions(settings: Settings, plan: Plan, ports: Sequence[tuple[int, str]]) -> list[str]:
    """Return every contradiction between settings, in words.

    Args:
        settings: What the user asks for.
        plan: What follows from it.
        ports: Each port of the plan and who will listen there.
    """
    return [
        *_topic_problems(settings, plan),
        *_property_problems(settings),
        *_variable_problems(settings),
        *_option_problems(settings),
        *_port_problems(ports),
    ]


def _topic_problems(settings: Settings, plan: Plan) -> Iterator[str]:
    names = [topic.name for topic in settings.topic]
    yield from (f"topic {name}: declared twice" for name in dict.fromkeys(names) if names.count(name) > 1)
    for topic, planned in zip(settings.topic, plan.topics, strict=True):
        for problem in _assignment_problems(topic, planned, settings.cluster.brokers):
            yield f"topic {topic.name}: {problem}"
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
        yield f"{stated}: a broker stands twice in one partition"
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
                yield f'{table}."{key}" = "{value}": kraftd decides it: {OWNED_PROPERTIES[key]}'
    for node_id in nodes:
        if not 1 <= node_id <= settings.cluster.brokers:
            yield f"broker.{node_id}: no such broker; {_there_are(settings.cluster.brokers)}"


def _variable_problems(settings: Settings) -> Iterator[str]:
    tables: Mapping[str, Mapping[str, str]] = {"producer": settings.producer.env, "consumer": settings.consumer.env}
    for section, env in tables.items():
        for name in env:
            if name in OWNED_VARIABLES:
                yield f"{section}.env.{name}: kraftd decides it: {OWNED_VARIABLES[name].format(section=section)}"


def _option_problems(settings: Settings) -> Iterator[str]:
    for option in settings.java.options:
        reason = owned_jvm_option(option)
        if reason:
            yield f'java.options "{option}": kraftd decides it: {reason}'


def _port_problems(ports: Sequence[tuple[int, str]]) -> Iterator[str]:
    owners: dict[int, str] = {}
    for port, owner in ports:
        if port > _MAX_PORT:
            keys = " or ".join(key for key in (_port_key(owner), "cluster.port_offset") if key)
            yield f"port {port} of {owner} is beyond {_MAX_PORT}; lower {keys}"
        if port in owners:
            keys = " or ".join(dict.fromkeys(filter(None, (_port_key(owners[port]), _port_key(owner)))))
            yield f"port {port} is wanted by {owners[port]} and by {owner}; change {keys}"
        owners.setdefault(port, owner)


def _port_key(owner: str) -> str:
    """Return the setting of an HTTP port; empty for Kafka's ports, which only the offset moves."""
    program, _, _ = owner.partition(" ")
    section = {"kraftd": "daemon"}.get(program, program.partition("-")[0])
    return f"{section}.port" if owner.endswith("(HTTP)") else ""
