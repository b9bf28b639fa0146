"""From settings to the plan: node ids, ports, voters, topics, programs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from kraftd.errors import ConfigurationError
from kraftd.spec.contradictions import contradictions
from kraftd.spec.layout import Layout
from kraftd.spec.manifest import Manifest
from kraftd.spec.plan import (
    GRAFANA,
    PROMETHEUS,
    App,
    Daemon,
    Executable,
    Kind,
    Listener,
    Node,
    Plan,
    Selection,
    Tool,
    Topic,
    Voter,
)
from kraftd.spec.replication import (
    default_min_in_sync_replicas,
    default_replication_factor,
    min_in_sync_replicas,
)
from kraftd.spec.settings import GrafanaSettings, PrometheusSettings, PropertyValue, Settings, TopicSettings
from kraftd.spec.sizes import parse_size

LOOPBACK = "127.0.0.1"
CLIENT_PORT_BASE = 9091
CONTROLLER_PORT_BASE = 10091
JMX_PORT_BASE = 9998
TIE_BREAKER_ID = 101
_DEFAULT_PARTITIONS = 4
_MIN_ISR = "min.insync.replicas"
_NONE_INSTALLED: Mapping[str, Executable] = {}
_TOOLS = {
    PROMETHEUS: ("/-/ready", "--config.file", "prometheus.yml"),
    GRAFANA: ("/api/health", "--config", "grafana.ini"),
}
"""Of each tool where it tells its health, and under which option and name it takes its configuration."""


def build_plan(
    settings: Settings,
    layout: Layout,
    kafka_version: str,
    manifest: Manifest | None,
    installed: Mapping[str, Executable] = _NONE_INSTALLED,
) -> Plan:
    """Return the plan of a configuration.

    A formatted cluster keeps its voters: more brokers than at the first format are added as brokers only.

    Args:
        settings: What the user asks for.
        layout: Where the files live.
        kafka_version: The exact version, resolved.
        manifest: What the first format fixed; None before it.
        installed: The tools that this machine has, by name; one that is asked for and absent is left out.

    Raises:
        ConfigurationError: Values contradict each other; every contradiction is named.
    """
    nodes = _nodes(settings, _voter_ids(settings.cluster.brokers, manifest))
    plan = Plan(
        cluster=settings.cluster.name,
        kafka_version=kafka_version,
        layout=layout,
        nodes=nodes,
        voters=tuple(Voter(node.node_id, LOOPBACK, node.controller.port) for node in nodes if node.controller),
        topics=tuple(_topic(topic, settings, nodes) for topic in settings.topic),
        apps=_apps(settings, nodes),
        daemon=_daemon(settings),
        tools=_tools(settings, installed),
        kafka_home=Path(settings.kafka.home) if settings.kafka.home else None,
        java_home=Path(settings.java.home) if settings.java.home else None,
        java_options=settings.java.options,
    )
    _refuse(contradictions(settings, plan, ports_of(plan)))
    return plan


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise ConfigurationError(
            "cannot make a plan:\n" + "\n".join(f"  {problem}" for problem in problems),
            hint="'kraftd config' shows each value and where it came from.",
            details={"problems": list(problems)},
        )


def ports_of(plan: Plan) -> list[tuple[int, str]]:
    """Return (port, owner) of everything that will listen, in the order of the plan."""
    found = []
    for node in plan.nodes:
        if node.client:
            found.append((node.client.port, f"{node.name} (client listener)"))
        if node.controller:
            found.append((node.controller.port, f"{node.name} (controller listener)"))
        if node.jmx_port:
            found.append((node.jmx_port, f"{node.name} (JMX)"))
    found.append((plan.daemon.port, "kraftd (HTTP)"))
    found.extend((each.port, f"{each.name} (HTTP)") for each in plan.web_programs)
    return found


def program_ports(plan: Plan, program: str) -> list[tuple[int, str]]:
    """Return (port, owner) of what one program will listen on."""
    return [(port, owner) for port, owner in ports_of(plan) if owner.split(" ", 1)[0] == program]


def _voter_ids(brokers: int, manifest: Manifest | None) -> tuple[int, ...]:
    if manifest is not None:
        return tuple(voter.node_id for voter in manifest.voters)
    if brokers == 2:
        return (1, 2, TIE_BREAKER_ID)
    return tuple(range(1, min(brokers, 3) + 1))


def _nodes(settings: Settings, voter_ids: Sequence[int]) -> tuple[Node, ...]:
    cluster = settings.cluster
    brokers = [
        Node(
            name=f"broker-{node_id}",
            kind=Kind.BROKER,
            node_id=node_id,
            client=_listener("PLAINTEXT", CLIENT_PORT_BASE + node_id + cluster.port_offset),
            controller=_controller(node_id, cluster.port_offset) if node_id in voter_ids else None,
            jmx_port=JMX_PORT_BASE + node_id + cluster.port_offset,
            heap_bytes=parse_size(cluster.heap),
            config=_broker_config(settings, node_id),
        )
        for node_id in range(1, cluster.brokers + 1)
    ]
    controllers = [
        Node(
            name=f"controller-{node_id}",
            kind=Kind.CONTROLLER,
            node_id=node_id,
            client=None,
            controller=_controller(node_id, cluster.port_offset),
            jmx_port=None,
            heap_bytes=parse_size(settings.controller.heap),
        )
        for node_id in voter_ids
        if node_id >= TIE_BREAKER_ID
    ]
    return (*brokers, *controllers)


def _listener(name: str, port: int) -> Listener:
    return Listener(name, "PLAINTEXT", LOOPBACK, port, LOOPBACK)


def _controller(node_id: int, port_offset: int) -> Listener:
    return _listener("CONTROLLER", CONTROLLER_PORT_BASE + node_id + port_offset)


def _broker_config(settings: Settings, node_id: int) -> tuple[tuple[str, str], ...]:
    own = settings.broker.nodes.get(node_id)
    merged = {**settings.broker.config, **(own.config if own else {})}
    return _properties(merged)


def _properties(values: Mapping[str, PropertyValue]) -> tuple[tuple[str, str], ...]:
    return tuple((key, str(value).lower() if isinstance(value, bool) else str(value)) for key, value in values.items())


def _topic(topic: TopicSettings, settings: Settings, nodes: Sequence[Node]) -> Topic:
    assignment = _assignment(topic, settings.cluster.brokers)
    of_brokers = [settings.broker.config, *(node.config for node in settings.broker.nodes.values())]
    min_isr = min_in_sync_replicas(len(assignment[0]))
    own: dict[str, PropertyValue] = {}
    if max(min_isr, default_min_in_sync_replicas(nodes)) > 1 and not any(_MIN_ISR in config for config in of_brokers):
        own[_MIN_ISR] = min_isr
    return Topic(topic.name, assignment, _properties({**own, **topic.config}), _stated(topic))


def _stated(topic: TopicSettings) -> tuple[str, ...]:
    names = ("partitions", "replication_factor", "assignment")
    return names if topic.assignment else tuple(name for name in names if getattr(topic, name))


def _assignment(topic: TopicSettings, brokers: int) -> tuple[tuple[int, ...], ...]:
    if topic.assignment:
        return tuple(tuple(int(part) for part in one.split(":")) for one in topic.assignment.split(","))
    replicas = topic.replication_factor or default_replication_factor(brokers)
    partitions = topic.partitions or _DEFAULT_PARTITIONS
    return tuple(tuple((first + follower) % brokers + 1 for follower in range(replicas)) for first in range(partitions))


def _daemon(settings: Settings) -> Daemon:
    daemon = settings.daemon
    return Daemon(
        host=LOOPBACK,
        port=daemon.port + settings.cluster.port_offset,
        interval_s=daemon.interval_s,
        lag_interval_s=daemon.lag_interval_s,
        probe=daemon.probe,
        selection=Selection(
            topics_allow=daemon.topics_allow,
            topics_deny=daemon.topics_deny,
            groups_allow=daemon.groups_allow,
            groups_deny=daemon.groups_deny,
            max_partitions=daemon.max_partitions,
            max_groups=daemon.max_groups,
            max_group_partitions=daemon.max_group_partitions,
        ),
    )


def tools_asked_for(settings: Settings) -> dict[str, PrometheusSettings | GrafanaSettings]:
    """Return the settings of the tools that the user asks for, by name."""
    tools: dict[str, PrometheusSettings | GrafanaSettings] = {
        PROMETHEUS: settings.prometheus,
        GRAFANA: settings.grafana,
    }
    return {name: each for name, each in tools.items() if each.enabled}


def _tools(settings: Settings, installed: Mapping[str, Executable]) -> tuple[Tool, ...]:
    offset = settings.cluster.port_offset
    return tuple(
        Tool(name, LOOPBACK, each.port + offset, installed[name], *_TOOLS[name])
        for name, each in tools_asked_for(settings).items()
        if name in installed
    )


def _apps(settings: Settings, nodes: Sequence[Node]) -> tuple[App, ...]:
    bootstrap = ",".join(node.client.address for node in nodes if node.client)
    offset = settings.cluster.port_offset
    apps = []
    if settings.producer.enabled:
        kafka = {
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "KAFKA_TOPIC": settings.producer.topic,
            "APP_WORKERS": str(settings.producer.workers),
        }
        apps.append(_app("producer", settings.producer.port + offset, kafka, settings.producer.env))
    if settings.consumer.enabled:
        kafka = {
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "KAFKA_TOPIC": settings.consumer.topic,
            "KAFKA_GROUP_ID": settings.consumer.group,
            "APP_PRODUCER_URL": apps[0].url.rstrip("/") if apps else "off",
        }
        for number in range(1, settings.consumer.instances + 1):
            name = "consumer" if number == 1 else f"consumer-{number}"
            apps.append(_app(name, settings.consumer.port + offset + number - 1, kafka, settings.consumer.env))
    return tuple(apps)


def _app(name: str, port: int, kafka: Mapping[str, str], env: Mapping[str, str]) -> App:
    environment = {**kafka, "APP_HOST": LOOPBACK, "APP_PORT": str(port), **env}
    return App(name, f"kraftd_apps.{name.split('-', 1)[0]}", LOOPBACK, port, tuple(environment.items()))
