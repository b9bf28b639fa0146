"""Kafka's own command-line tools: their main classes, and the options that take the cluster's addresses. Pure.

Read from the jars of 3.9.1, 3.9.2 and 4.3.1; the versions in between from ``bin/*.sh``.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kraftd.errors import ConfigurationError
from kraftd.render.java_command import TEMPORARY_OPTION

_HEAP_BYTES = 256 * 1024**2
"""The heap that Kafka's scripts give their tools; the performance tests need all of it."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool in one Kafka version.

    Attributes:
        name: The name of its script without ``kafka-`` and ``.sh``.
        address_option: The option that takes the cluster's addresses; None if there is none to add.
        is_address_last: Whether that option belongs to a sub-command and so must follow it.
        config_option: The option that takes a file of client properties; None if there is none.
    """

    name: str
    main_class: str
    address_option: str | None = "--bootstrap-server"
    is_address_last: bool = False
    config_option: str | None = "--command-config"

    def arguments(
        self, given: Sequence[str], bootstrap_servers: str, client_config: Path | None = None
    ) -> tuple[str, ...]:
        """Return the arguments, completed with the cluster's addresses and client properties.

        Args:
            given: The user's arguments.
            bootstrap_servers: The addresses.
            client_config: A file of client properties; None if clients need none.
        """
        if self.address_option is None or self._has_addresses(given):
            return tuple(given)
        names = _option_names(given)
        access = [self.address_option, bootstrap_servers]
        if client_config is not None and self.config_option is not None and self.config_option not in names:
            access += [self.config_option, str(client_config)]
        return (*given, *access) if self.is_address_last else (*access, *given)

    def asks_cluster(self, given: Sequence[str]) -> bool:
        """Return whether a call waits for the cluster's brokers, and for nothing else."""
        is_about_tool = not _ABOUT_THE_TOOL.isdisjoint(given)
        return self.address_option is not None and not is_about_tool and not self._has_addresses(given)

    def _has_addresses(self, given: Sequence[str]) -> bool:
        names = _option_names(given)
        return any(name.startswith("--bootstrap-") or name == self._older_address_option for name in names)

    @property
    def _older_address_option(self) -> str | None:
        # In other tools --broker-list is a list of broker ids.
        return "--broker-list" if self.name in _TOOLS_WITH_OLDER_OPTION else None


def _option_names(given: Sequence[str]) -> list[str]:
    return [argument.partition("=")[0] for argument in given]


@dataclass(frozen=True, slots=True)
class _Release:
    """A tool, and the first Kafka release in which it has this form."""

    since: tuple[int, int]
    tool: Tool


_ORG = "org.apache.kafka.tools."
_FIRST = (3, 9)

_ABOUT_THE_TOOL = frozenset({"--help", "-h", "--version", "version-mapping", "feature-dependencies"})
"""Arguments whose answer is in the tool itself; the last two are those of ``features``."""

_TOOLS_WITH_OLDER_OPTION = frozenset(
    {
        "console-producer",
        "consumer-perf-test",
        "get-offsets",
        "replica-verification",
        "verifiable-consumer",
        "verifiable-producer",
    }
)

_SAME_IN_ALL = (
    Tool("client-metrics", _ORG + "ClientMetricsCommand"),
    Tool("cluster", _ORG + "ClusterTool", is_address_last=True, config_option="--config"),
    Tool("configs", "kafka.admin.ConfigCommand"),
    Tool("console-consumer", _ORG + "consumer.ConsoleConsumer", config_option="--consumer.config"),
    Tool("consumer-groups", _ORG + "consumer.group.ConsumerGroupCommand"),
    Tool("consumer-perf-test", _ORG + "ConsumerPerformance", config_option="--consumer.config"),
    Tool("delegation-tokens", _ORG + "DelegationTokenCommand"),
    Tool("delete-records", _ORG + "DeleteRecordsCommand"),
    Tool("e2e-latency", _ORG + "EndToEndLatency", address_option=None),
    Tool("features", _ORG + "FeatureCommand"),
    Tool("get-offsets", _ORG + "GetOffsetShell"),
    Tool("jmx", _ORG + "JmxTool", address_option=None),
    Tool("leader-election", _ORG + "LeaderElectionCommand", config_option="--admin.config"),
    Tool("log-dirs", _ORG + "LogDirsCommand"),
    Tool("metadata-quorum", _ORG + "MetadataQuorumCommand"),
    Tool("reassign-partitions", _ORG + "reassign.ReassignPartitionsCommand"),
    Tool("replica-verification", _ORG + "ReplicaVerificationTool", address_option="--broker-list", config_option=None),
    Tool("storage", "kafka.tools.StorageTool", address_option=None),
    Tool("streams-application-reset", _ORG + "StreamsResetter", config_option="--config-file"),
    Tool("topics", _ORG + "TopicCommand"),
    Tool("transactions", _ORG + "TransactionsCommand"),
    Tool("verifiable-consumer", _ORG + "VerifiableConsumer", config_option="--consumer.config"),
    Tool("verifiable-producer", _ORG + "VerifiableProducer", config_option="--producer.config"),
)

_RELEASES = (
    *(_Release(_FIRST, tool) for tool in _SAME_IN_ALL),
    _Release(_FIRST, Tool("acls", "kafka.admin.AclCommand")),
    _Release((4, 0), Tool("acls", _ORG + "AclCommand")),
    _Release(_FIRST, Tool("broker-api-versions", "kafka.admin.BrokerApiVersionsCommand")),
    _Release((4, 0), Tool("broker-api-versions", _ORG + "BrokerApiVersionsCommand")),
    _Release((4, 4), Tool("configs", _ORG + "ConfigCommand")),
    _Release(_FIRST, Tool("console-producer", "kafka.tools.ConsoleProducer", config_option="--producer.config")),
    _Release((4, 0), Tool("console-producer", _ORG + "ConsoleProducer", config_option="--producer.config")),
    _Release((4, 0), Tool("console-share-consumer", _ORG + "consumer.ConsoleShareConsumer")),
    _Release(_FIRST, Tool("dump-log", "kafka.tools.DumpLogSegments", address_option=None)),
    _Release((4, 3), Tool("dump-log", _ORG + "DumpLogSegments", address_option=None)),
    _Release((4, 0), Tool("groups", _ORG + "GroupsCommand")),
    # Until 4.2 the address is one of several --producer-props, which cannot be added beside the user's own.
    _Release(_FIRST, Tool("producer-perf-test", _ORG + "ProducerPerformance", address_option=None)),
    _Release((4, 2), Tool("producer-perf-test", _ORG + "ProducerPerformance")),
    _Release((4, 0), Tool("share-consumer-perf-test", _ORG + "ShareConsumerPerformance")),
    _Release((4, 0), Tool("share-groups", _ORG + "consumer.group.ShareGroupCommand")),
    _Release((4, 1), Tool("streams-groups", _ORG + "streams.StreamsGroupCommand")),
    _Release((4, 0), Tool("verifiable-share-consumer", _ORG + "VerifiableShareConsumer")),
)


def tools(kafka_version: str) -> dict[str, Tool]:
    """Return the tools of a Kafka version, by name and in the order of their names."""
    major, minor = (int(number) for number in kafka_version.split(".")[:2])
    # A later entry of the same name replaces the earlier one.
    found = {release.tool.name: release.tool for release in _RELEASES if release.since <= (major, minor)}
    return dict(sorted(found.items()))


def find_tool(name: str, kafka_version: str) -> Tool:
    """Return a tool; ``kafka-topics.sh`` and ``kafka-topics`` mean ``topics``.

    Raises:
        ConfigurationError: This Kafka version has no such tool.
    """
    available = tools(kafka_version)
    short = name.removeprefix("kafka-").removesuffix(".sh")
    if short in available:
        return available[short]
    near = difflib.get_close_matches(short, available, n=3)
    meant = f"Did you mean {' or '.join(near)}?" if near else f"Known tools: {', '.join(available)}."
    raise ConfigurationError(
        f"cannot run the tool {name!r}: Kafka {kafka_version} has none of that name",
        hint=meant,
        code="unknown_tool",
        details={"tool": name, "available": list(available)},
    )


def tool_command(
    tool: Tool,
    arguments: Sequence[str],
    *,
    java: Path,
    java_major: int,
    classpath: Sequence[Path],
    logging_option: str,
    temporary: Path | None = None,
) -> tuple[str, ...]:
    """Return the argv of a tool: a small JVM that starts fast and has neither JMX nor settings of a node.

    Args:
        tool: The tool.
        arguments: Its complete arguments.
        java: The java executable.
        java_major: The major version of that Java.
        classpath: The jars of the tools set.
        logging_option: The JVM option that names a logging configuration, which should log warnings to stderr.
        temporary: Where native libraries are unpacked; None for the system's temporary directory.
    """
    # Java 24 and newer warn about Kafka's jars on stderr, which would disturb scripts that read a tool's output.
    quiet = ("--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow")
    return (
        str(java),
        f"-Xmx{_HEAP_BYTES // 1024**2}m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:+PerfDisableSharedMem",
        *(quiet if java_major >= 24 else ()),
        *((f"{TEMPORARY_OPTION}{temporary}",) if temporary else ()),
        logging_option,
        "-cp",
        ":".join(str(jar) for jar in classpath),
        tool.main_class,
        *arguments,
    )
