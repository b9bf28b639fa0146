"""From settings to the plan: node ids, ports, voters, replicas, topics, programs."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kraftd.errors import ConfigurationError
from kraftd.plan import kinds
from kraftd.plan.checks import contradictions
from kraftd.plan.kinds import (
    MIN_IN_SYNC_REPLICAS,
    TOOL_DEFINITIONS,
    App,
    Daemon,
    Executable,
    Node,
    Properties,
    Selection,
    Tool,
    ToolDefinition,
    default_min_in_sync_replicas,
    default_replication_factor,
    kafka_listener,
    min_in_sync_replicas,
)
from kraftd.plan.layout import Layout
from kraftd.plan.manifest import Manifest
from kraftd.plan.plan import Access, LogRotation, Plan, Topic, Voter, access_to, has_remote_storage
from kraftd.plan.program import LOOPBACK, Listener, Purpose
from kraftd.plan.settings import PropertyValue, Settings, TopicSettings
from kraftd.units import parse_size

_PORT_BASES = {Purpose.CLIENT: 9091, Purpose.CONTROLLER: 10091, Purpose.JMX: 9998, Purpose.METRICS: 7070}
"""What is added to a node's id."""

TIE_BREAKER_ID = 101
_DEFAULT_PARTITIONS = 4
_READ_BY_CONTROLLERS = re.compile(
    r"broker\.session\.timeout\.ms|controller\.quorum\..+|(auto\.)?leader\.(re|im)balance\..+"
    r"|num\.partitions|default\.replication\.factor|min\.insync\.replicas|delete\.topic\.enable"
    r"|unclean\.leader\.election\..+|metadata\.(log\.max|log\.segment|max)\..+|unstable\..+|.+\.policy\.class\.name"
    r"|authorizer\.class\.name|super\.users|allow\.everyone\.if\.no\.acl\.found"
    r"|remote\.log\.storage\.system\.enable|log\.cleaner\.(min|max)\.compaction\.lag\.ms"
    r"|group\.(consumer|share|streams)\..+"
)
"""What the active controller decides by for all brokers, from its own file (ControllerServer of Kafka 3.9 and 4.3)."""

_READ_WITH_REMOTE_STORAGE = re.compile(r"log\.(local\.)?retention\.(ms|minutes|hours|bytes)|log\.cleanup\.policy")
"""What a topic's configuration is checked against where it has remote storage, and only there: the tie-breaker would
otherwise be restarted for each change of a retention, which brokers take while they run."""

_NONE_INSTALLED: Mapping[str, Executable] = {}


def build_plan(
    settings: Settings,
    layout: Layout,
    kafka_version: str,
    manifest: Manifest | None,
    installed: Mapping[str, Executable] = _NONE_INSTALLED,
    tools: Sequence[ToolDefinition] = TOOL_DEFINITIONS,
) -> Plan:
    """Return the plan of a configuration. A formatted cluster keeps its voters: later brokers are brokers only.

    Args:
        settings: The user's settings.
        layout: The paths of the cluster.
        kafka_version: The exact version.
        manifest: The manifest of the first format; None before it.
        installed: The tools on this machine, by name; an enabled tool that is absent is left out of the plan.
        tools: Those that kraftd supports.

    Raises:
        ConfigurationError: Values contradict each other; every contradiction is named.
    """
    nodes = _nodes(settings, _voter_ids(settings.cluster.brokers, manifest))
    access = access_to(node.client for node in nodes if node.client)
    daemon = _daemon(settings)
    plan = Plan(
        *(settings.cluster.name, kafka_version, layout, access),
        nodes=nodes,
        voters=_voters(nodes),
        topics=tuple(declared_topic(topic, settings.cluster.brokers, nodes) for topic in settings.topic),
        apps=_apps(settings, access, daemon),
        daemon=daemon,
        tools=_tools(settings, installed, tools),
        kafka_home=_home(settings.kafka.home),
        java_home=_home(settings.java.home),
        java_options=settings.java.options,
        min_free_disk_bytes=_size_bytes(settings.disk.min_free),
        log_rotation=_log_rotation(settings),
    )
    return _consistent(settings, plan)


def _log_rotation(settings: Settings) -> LogRotation:
    return LogRotation(parse_size(settings.logs.max_size), settings.logs.keep, settings.logs.daily)


def _home(path: str) -> Path | None:
    return Path(path) if path else None


def _size_bytes(size: str) -> int:
    return 0 if size == "0" else parse_size(size)


def _consistent(settings: Settings, plan: Plan) -> Plan:
    if problems := contradictions(settings, plan):
        raise ConfigurationError(
            "cannot make a plan:\n" + "\n".join(f"  {problem}" for problem in problems),
            hint="'kraftd config' shows each value and where it came from.",
            details={"problems": list(problems)},
        )
    return plan


def _voters(nodes: Sequence[Node]) -> tuple[Voter, ...]:
    listeners = ((node.node_id, node.controller) for node in nodes)
    return tuple(Voter(node_id, listener.host, listener.port) for node_id, listener in listeners if listener)


def _voter_ids(brokers: int, manifest: Manifest | None) -> tuple[int, ...]:
    if manifest is not None:
        return tuple(voter.node_id for voter in manifest.voters)
    if brokers == 2:
        return (1, 2, TIE_BREAKER_ID)
    return tuple(range(1, min(brokers, 3) + 1))


def _nodes(settings: Settings, voter_ids: Sequence[int]) -> tuple[Node, ...]:
    metrics = (Purpose.METRICS,) if settings.metrics_agent.enabled else ()
    brokers = []
    for node_id in range(1, settings.cluster.brokers + 1):
        voter = (Purpose.CONTROLLER,) if node_id in voter_ids else ()
        listeners = _listeners(settings, node_id, (Purpose.CLIENT, *voter, Purpose.JMX, *metrics))
        heap_bytes = parse_size(settings.cluster.heap)
        brokers.append(kinds.broker(node_id, listeners, heap_bytes, _broker_config(settings, node_id)))
    controllers = [
        kinds.controller(
            node_id,
            _listeners(settings, node_id, (Purpose.CONTROLLER, *metrics)),
            parse_size(settings.controller.heap),
            _controller_config(settings),
        )
        for node_id in voter_ids
        if node_id >= TIE_BREAKER_ID
    ]
    return (*brokers, *controllers)


def _listeners(settings: Settings, node_id: int, purposes: Iterable[Purpose]) -> tuple[Listener, ...]:
    offset = node_id + settings.cluster.port_offset
    return tuple(kafka_listener(purpose, _PORT_BASES[purpose] + offset) for purpose in purposes)


def _broker_config(settings: Settings, node_id: int) -> Properties:
    own = settings.broker.nodes.get(node_id)
    merged = {**settings.broker.config, **(own.config if own else {})}
    return text_properties(merged)


def _controller_config(settings: Settings) -> Properties:
    config = dict(text_properties(settings.broker.config))
    read = [_READ_BY_CONTROLLERS]
    if has_remote_storage(config):
        read.append(_READ_WITH_REMOTE_STORAGE)
    return tuple((key, value) for key, value in config.items() if any(each.fullmatch(key) for each in read))


def text_properties(values: Mapping[str, PropertyValue]) -> tuple[tuple[str, str], ...]:
    """Return properties as Kafka writes their values."""
    return tuple((key, str(value).lower() if isinstance(value, bool) else str(value)) for key, value in values.items())


def declared_topic(topic: TopicSettings, brokers: int, nodes: Sequence[Node]) -> Topic:
    """Return the topic that a ``[[topic]]`` of a cluster with so many brokers comes to."""
    assignment = _assignment(topic, brokers)
    return Topic(topic.name, assignment, topic_config(len(assignment[0]), topic.config, nodes), _stated(topic))


def topic_config(
    replication_factor: int, config: Mapping[str, PropertyValue], nodes: Sequence[Node]
) -> tuple[tuple[str, str], ...]:
    """Return the configuration of a new topic: what is stated, and the min.insync.replicas of its own replicas.

    Args:
        replication_factor: The replicas of each partition.
        config: What is stated.
        nodes: Where the user's configuration of a broker has a min.insync.replicas, that holds.
    """
    min_isr = min_in_sync_replicas(replication_factor)
    own: dict[str, PropertyValue] = {}
    is_stated = any(MIN_IN_SYNC_REPLICAS in dict(node.config) for node in nodes)
    if max(min_isr, default_min_in_sync_replicas(nodes)) > 1 and not is_stated:
        own[MIN_IN_SYNC_REPLICAS] = min_isr
    return text_properties({**own, **config})


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
    return kinds.daemon(
        daemon.port + settings.cluster.port_offset,
        interval_s=daemon.interval_s,
        lag_interval_s=daemon.lag_interval_s,
        canary=daemon.probe,
        selection=Selection(
            topics_allow=daemon.topics_allow,
            topics_deny=daemon.topics_deny,
            groups_allow=daemon.groups_allow,
            groups_deny=daemon.groups_deny,
            max_partitions=daemon.max_partitions,
            max_groups=daemon.max_groups,
            max_group_partitions=daemon.max_group_partitions,
        ),
        allowed_hosts=tuple(name.lower().strip("[]") for name in daemon.allowed_hosts),
        watchdog=kinds.WatchdogLimits(**settings.watchdog.model_dump()),
        backups=kinds.ScheduledBackups(**settings.backup.model_dump()) if settings.backup.schedule else None,
    )


def tools_asked_for(
    settings: Settings, tools: Sequence[ToolDefinition] = TOOL_DEFINITIONS
) -> tuple[ToolDefinition, ...]:
    """Return the enabled tools."""
    return tuple(tool for tool in tools if settings.tools[tool.name].enabled)


def _tools(
    settings: Settings, installed: Mapping[str, Executable], tools: Sequence[ToolDefinition]
) -> tuple[Tool, ...]:
    offset = settings.cluster.port_offset
    return tuple(
        kinds.tool(each, settings.tools[each.name].port + offset, installed[each.name], _options(settings, each))
        for each in tools_asked_for(settings, tools)
        if each.name in installed
    )


def _options(settings: Settings, tool: ToolDefinition) -> Mapping[str, str]:
    table = settings.tools[tool.name]
    return {option.key: getattr(table, option.key) for option in tool.options}


def _apps(settings: Settings, access: Access, daemon: Daemon) -> tuple[App, ...]:
    offset = settings.cluster.port_offset
    apps: list[App] = []
    # Not the consumer's too: the producer would be restarted for a change of its port. The status page leads there.
    links = {"APP_LINKS": f"Status={daemon.url}"}
    if settings.producer.enabled:
        kafka = {
            **access.environment,
            "KAFKA_TOPIC": settings.producer.topic,
            **links,
        }
        apps.append(_app("producer", "producer", settings.producer.port + offset, kafka, settings.producer.env))
        links["APP_LINKS"] += f",Producer={apps[0].url}"
    if settings.consumer.enabled:
        kafka = {
            **access.environment,
            "KAFKA_TOPIC": settings.consumer.topic,
            "KAFKA_GROUP_ID": settings.consumer.group,
            "APP_PRODUCER_URL": apps[0].url.rstrip("/") if apps else "off",
            "APP_MEMBER_FILE": "member.json",
            **links,
        }
        for number in range(1, settings.consumer.instances + 1):
            name = "consumer" if number == 1 else f"consumer-{number}"
            port = settings.consumer.port + offset + number - 1
            apps.append(_app(name, "consumer", port, kafka, settings.consumer.env))
    return tuple(apps)


def _app(name: str, section: str, port: int, kafka: Mapping[str, str], env: Mapping[str, str]) -> App:
    environment = {**kafka, "APP_HOST": LOOPBACK, "APP_PORT": str(port), **env}
    return kinds.app(name, section, port, tuple(environment.items()))
