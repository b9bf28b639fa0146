"""The Java command line of a Kafka node, as an argument list: no shell, none of Kafka's scripts.

The flags are those of Kafka's scripts (kafka-run-class.sh, kafka-server-start.sh), with JMX on loopback only.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kraftd.errors import ConfigurationError
from kraftd.plan.kinds import Node
from kraftd.plan.plan import WRITER_KEEPS_FILES, Plan
from kraftd.plan.program import Kind
from kraftd.render.logging_config import logging_option
from kraftd.units import format_size

MAIN_CLASS = "kafka.Kafka"
PROPERTIES = "server.properties"
ARCHIVE_OPTION = "-XX:AOTCache="
TEMPORARY_OPTION = "-Djava.io.tmpdir="
"""Where Snappy and zstd unpack their native libraries. Where nothing there may be executed, as in many a ``/tmp``, a
broker refuses the records that these compressed, with an unknown server error, until its end."""

_COLLECTOR = re.compile(r"-XX:\+Use\w+GC")
_G1 = (
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
)
_BEHAVIOR = (
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:+PerfDisableSharedMem",
    # Otherwise the JVM warns when the daemon loads the metrics agent.
    "-XX:+EnableDynamicAgentLoading",
)
_LATE_C2 = (
    "-XX:Tier4InvocationThreshold=25000",
    "-XX:Tier4MinInvocationThreshold=3000",
    "-XX:Tier4CompileThreshold=75000",
    "-XX:Tier4BackEdgeThreshold=200000",
)
"""Five times HotSpot's defaults, so that C2 skips code that is hot only during the boot.

C2 takes 0.4 s of a broker's boot or less, instead of 0.9-1.5 s. At ten times the boot takes little less, but brokers
under load are slow for a minute longer.
"""


@dataclass(frozen=True, slots=True)
class MetricsAgent:
    """The JMX metrics agent on this machine.

    Attributes:
        jar: Its jar, whose path has no ``=``: the JVM takes that for the end of the path.
        rules: The file that names the metrics.
    """

    jar: Path
    rules: Path


@dataclass(frozen=True, slots=True)
class JvmLaunch:
    """The Java and the jars that run a node on this machine.

    Attributes:
        classpath: Every jar by its path: a wildcard has the file system's order, which breaks the start-up archive.
        archive: The start-up archive for this JDK, class path and module flags; None to start without one.
        has_own_temporary: Whether a node unpacks native libraries in a directory of its own, not in the system's.
        metrics_agent: None to run nodes without it.
    """

    java: Path
    java_major: int
    classpath: tuple[Path, ...]
    archive: Path | None = None
    has_own_temporary: bool = True
    metrics_agent: MetricsAgent | None = None

    @property
    def archive_options(self) -> tuple[str, ...]:
        """The flags that make the JVM use the archive."""
        return (f"{ARCHIVE_OPTION}{self.archive}",) if self.archive else ()


def node_command(
    plan: Plan, node: Node, launch: JvmLaunch, archive_options: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Return the argv of a node.

    Args:
        plan: The cluster.
        node: One of its nodes.
        launch: The Java and jars that run it.
        archive_options: Flags of a training run, in place of those that use the archive.

    Raises:
        ConfigurationError: A jar's path contains a colon.
    """
    layout = plan.layout
    logs = layout.logs(node.name)
    return (
        str(launch.java),
        *plan.marker(node.name).arguments,
        *_heap_and_collector(node, plan.java_options),
        *(launch.archive_options if archive_options is None else archive_options),
        *_modules(node, launch.java_major),
        *_BEHAVIOR,
        *_reports(logs, plan.log_rotation.max_bytes),
        "-Djava.awt.headless=true",
        *((f"{TEMPORARY_OPTION}{layout.temporary(node.name)}",) if launch.has_own_temporary else ()),
        f"-Dkafka.logs.dir={logs}",
        f"-Dkafka.logs.pattern={str(logs).replace('%', '%%')}",
        logging_option(plan.kafka_version, layout.config(node.name)),
        *plan.java_options,
        "-cp",
        _class_path(launch.classpath),
        MAIN_CLASS,
        str(layout.config(node.name) / PROPERTIES),
    )


def _reports(logs: Path, max_bytes: int) -> tuple[str, ...]:
    """Return where the JVM writes what it says of itself, bounded in number and size."""
    return (
        f"-XX:ErrorFile={logs}/hs_err_%p.log",
        # Under a name of its own the JVM writes one at most: it replaces none.
        f"-XX:HeapDumpPath={logs}/heap.hprof",
        # Only errors reach the console; the archive alone would print warnings at each start.
        "-Xlog:disable",
        "-Xlog:all=error:stderr",
        f'-Xlog:gc*:file="{logs}/gc.log":time,tags:filecount={WRITER_KEEPS_FILES},filesize={format_size(max_bytes).upper()}',
    )


def metrics_agent_argument(node: Node, agent: MetricsAgent | None) -> str:
    """Return what the JVM of a node takes to load the metrics agent; empty for a node without it."""
    if agent is None or node.metrics is None:
        return ""
    return f"{agent.jar}={node.metrics.host}:{node.metrics.port}:{agent.rules}"


def _class_path(jars: Sequence[Path]) -> str:
    for jar in jars:
        if ":" in str(jar):
            raise ConfigurationError(
                f"cannot put {jar} on the class path: Java reads the colon as the end of a path",
                hint="Set XDG_CACHE_HOME or kafka.home to a path without a colon.",
                code="unwritable_value",
            )
    return ":".join(str(jar) for jar in jars)


def _heap_and_collector(node: Node, java_options: Sequence[str]) -> tuple[str, ...]:
    heap = format_size(node.heap_bytes)
    if node.kind is Kind.CONTROLLER:
        collector = _collector(("-XX:+UseSerialGC",), java_options)
        return ("-Xms64m", f"-Xmx{heap}", *collector, "-XX:TieredStopAtLevel=1")
    return (f"-Xms{heap}", f"-Xmx{heap}", "-server", *_collector(_G1, java_options), "-XX:MaxInlineLevel=15", *_LATE_C2)


def _collector(own: tuple[str, ...], java_options: Sequence[str]) -> tuple[str, ...]:
    """Return kraftd's choice of a collector, or nothing if the user chose one: the JVM refuses two."""
    chosen = [option for option in java_options if _COLLECTOR.fullmatch(option)]
    return () if chosen and own[0] not in chosen else own


def _modules(node: Node, java_major: int) -> tuple[str, ...]:
    """Return the flags that decide the JVM's modules, the same for all nodes, so that they can share one archive."""
    native = ("--enable-native-access=ALL-UNNAMED",) if java_major >= 22 else ()
    unsafe = ("--sun-misc-unsafe-memory-access=allow",) if java_major >= 23 else ()
    # JMX is started in the running JVM (host.jvm), because JMX started by flags also listens on every address.
    host = (f"-Djava.rmi.server.hostname={node.jmx.host}",) if node.jmx else ()
    return (*native, *unsafe, "--add-modules=jdk.management.agent", *host)
