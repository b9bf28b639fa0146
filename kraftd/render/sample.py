"""The commented kraftd.toml that ``kraftd init`` writes, and the profiles that it can be written for."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kraftd.plan.kinds import MONITORING, TOOL_DEFINITIONS, ToolDefinition
from kraftd.units import plural

_COLUMNS = 120
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_GIB = 1024**3

_CLUSTER = """\
# The configuration of a kraftd cluster. Every key is optional; the values shown are the defaults.
# Take the '#' away from a key to change it. 'kraftd config' shows each value and where it came from.
# KRAFTD_<SECTION>_<KEY> in the environment overrides a key, for example KRAFTD_CLUSTER_BROKERS=3.

[cluster]
# Names the state directory and the cluster on the command line: 1 to 32 of a-z, 0-9, '-' and '_'.
#name = "local"
# A minor version for its newest patch, or an exact one. Fixed when the cluster is first formatted.
#kafka_version = "3.9"
# The number of brokers: 1 to 32. The first format fixes the voters of the quorum: brokers added later do not vote.
#brokers = 2
# The heap of each broker: a whole number followed by k, m or g, at least 160m.
#heap = "4g"
# Added to every port, Kafka's and HTTP's, 0 to 55000: for a second cluster on this machine.
#port_offset = 0
# Data, logs and everything else of this cluster; "" is $XDG_STATE_HOME/kraftd/<name>.
#state_dir = ""

[kafka]
# The absolute path of an unpacked Kafka release; "" downloads Kafka's jars once and keeps them in the cache.
#home = ""

[java]
# The absolute path of a JAVA_HOME; "" takes the Java that was installed with kraftd.
#home = ""
# More JVM options for every node, for example ["-Xss1m"].
#options = []

[broker.config]
# Any property of server.properties that kraftd does not set itself, for every broker; what the active controller
# decides by, for the tie-breaker too. Example:
#   "log.retention.hours" = 24
# Properties of one broker go into a table with its id, which overrides this one: [broker.2.config]

[controller]
# The heap of each controller-only node: a whole number followed by k, m or g, at least 64m.
#heap = "192m"

# One [[topic]] for each topic that start creates if it is missing. The first one replaces this default.
#[[topic]]
# Up to 249 letters, digits, '.', '_' and '-'.
#name = "test-topic"
# The number of partitions: 1 to 10000.
#partitions = 4
# Instead of the defaults: replication_factor = 2 (the default is one replica per broker, 3 at most), or
# assignment = "1:2,2:1,1:2,2:1" (broker ids per partition, the preferred leader first).
# The topic's own configuration: "retention.ms" = 3600000 and the like.
#config = {}

[producer]
# Whether the cluster runs a producer app: true or false.
#enabled = true
# Its HTTP port: 1 to 65535.
#port = 8001
# The topic to publish to; it must be one of the topics above.
#topic = "test-topic"
# More environment variables of the app, as text.
#env = {}

[consumer]
# Whether the cluster runs a consumer app: true or false.
#enabled = true
# The HTTP port of the first instance: 1 to 65535. The next instances take the next ports.
#port = 8002
# The topic to read; it must be one of the topics above.
#topic = "test-topic"
# The consumer group that all instances join.
#group = "test-group"
# The number of instances: 1 to 16.
#instances = 1
# More environment variables of the app, as text.
#env = {}

[daemon]
# The port of the health, metrics and status pages: 1 to 65535.
#port = 8000
# Further names that a request may use in Host, such as "host.docker.internal"; "*" allows every name.
#allowed_hosts = []
# Seconds between two observations of the cluster: 0.2 to 3600.
#interval_s = 1.0
# Seconds between two measurements of consumer lag: 0.2 to 3600.
#lag_interval_s = 10.0
# Whether to send canary records through the topic __kraftd_probe: every 10 seconds through a third of the brokers,
# in turn; true or false.
#probe = true
# Topics whose offsets are read: names, in which "*" stands for any text.
#topics_allow = ["*"]
# Which of these to exclude.
#topics_deny = []
# Groups whose lag is measured, in the same way.
#groups_allow = ["*"]
# Which of these to exclude.
#groups_deny = []
# The maximum number of partitions to read; whole topics beyond it are excluded, and counted in the metrics.
#max_partitions = 10000
# The maximum number of groups to measure.
#max_groups = 1000
# The maximum number of pairs of group and partition with series of their own; other groups have their sums.
#max_group_partitions = 20000

[watchdog]
# Whether a program that runs but gives no answer is continued, then ended and restarted: true or false.
#enabled = true
# Seconds without an answer before that, of brokers and controllers: 0.2 to 3600.
#node_silent_s = 30.0
# Seconds without an answer before that, of apps and tools: 0.2 to 3600.
#app_silent_s = 15.0
# Seconds for which a program that does not listen yet may write nothing to its logs: 0.2 to 3600.
#start_silent_s = 300.0
# Seconds for which the daemon may look at nothing before supervisord ends and restarts it: 0.2 to 3600.
#daemon_silent_s = 30.0

[disk]
# The free space below which a start is refused, and a running cluster is degraded: a whole number followed by k, m or
# g, or "0" for no limit. Of a disk below 2.5 GiB, a tenth is enough.
#min_free = "256m"

[logs]
# The size at which a file of a log is full, and another is begun: a whole number followed by k, m or g, from 64k to 1g.
#max_size = "10m"
# How many rotated files of each log are kept, all but the newest compressed: 1 to 1000.
#keep = 7
# Whether what programs write to their consoles goes into another file each day: true or false. What brokers and
# controllers write to files of their own is rotated by its size alone.
#daily = true

[backup]
# When the daemon has a backup made: "every 6h" (s, m, h, d), "daily 03:00", "weekly sunday 03:00"; "" for never. The
# time is that of TZ where the cluster is started, else this machine's. One at which it did not run is made up for once.
#schedule = ""
# Where: the absolute path of a directory, or a URL with kraftd[backup], without a user or password: what opens it reads
# them from its own file, or from AWS_*, AZURE_* and GOOGLE_* in the environment that the cluster is started in.
#target = ""
# How many of this cluster's newest backups stay in the target, 0 to 10000; 0 keeps all. With incremental = true, also
# those that these continue.
#keep = 0
# Whether a backup holds only what is new since the one before: true or false.
#incremental = false
# Only these topics; default: all.
#topics = []

[metrics_agent]
# Whether every node serves its JMX metrics to Prometheus, on loopback, port 7070 + its id: true or false.
#enabled = true

"""


def _tool_table(tool: ToolDefinition) -> str:
    return f"""\
[{tool.name}]
# Whether {tool.does}: true or false.
#enabled = false
# Its HTTP port: 1 to 65535.
#port = {tool.default_port}
""" + "".join(f'# {option.remark}\n#{option.key} = "{option.default}"\n' for option in tool.options)


*_FIRST, _LAST = (tool.name.capitalize() for tool in TOOL_DEFINITIONS)
_TOOLS = f"{', '.join(_FIRST)} and {_LAST}"

SAMPLE = (
    f"{_CLUSTER}# {_TOOLS} run with the cluster if they are enabled and found on the PATH.\n"
    f"# 'kraftd start --with {MONITORING}' enables them all.\n" + "\n".join(map(_tool_table, TOOL_DEFINITIONS))
)
"""Commented settings start with ``#`` and no space, remarks with ``# ``."""


@dataclass(frozen=True, slots=True)
class ProfileSetting:
    """A value that a profile sets.

    Attributes:
        key: The setting; a property of the brokers begins with ``broker.config.``.
        value: As in kraftd.toml.
        reason: Why, as a clause for a comment.
    """

    key: str
    value: str | int | float | bool
    reason: str


@dataclass(frozen=True, slots=True)
class Profile:
    """Settings that fit a kind of machine and of use.

    Attributes:
        purpose: What it is for, as a clause.
        least_memory_bytes: The memory of a machine that it fits: heaps, what JVMs need beside them, and page cache.
        least_cores: Its processor cores.
        least_disk_bytes: The size of its disk.
    """

    name: str
    purpose: str
    least_memory_bytes: int
    least_cores: int
    least_disk_bytes: int
    settings: tuple[ProfileSetting, ...]


def _of_brokers(**reasons: tuple[str | int | bool, str]) -> tuple[ProfileSetting, ...]:
    return tuple(
        ProfileSetting(f"broker.config.{name.replace('_', '.')}", value, reason)
        for name, (value, reason) in reasons.items()
    )


_SLOW_QUORUM = "as Kafka's own default: a host that pauses for a second must not cost the controller its place"

PROFILES = (
    Profile(
        "ci",
        "the tests of an application, in a runner that is thrown away",
        2 * _GIB,
        1,
        2 * _GIB,
        (
            ProfileSetting("cluster.brokers", 1, "starts fastest; 2 or 3 for tests of failures"),
            ProfileSetting("cluster.heap", "256m", "enough for a test's records, and little to touch at the start"),
            ProfileSetting("daemon.probe", value=False, reason="no topic of kraftd's own among those of the tests"),
            ProfileSetting(
                "watchdog.node_silent_s", 60.0, "a runner may stop for seconds, and a restart would hide why"
            ),
            ProfileSetting("watchdog.app_silent_s", 60.0, "as for nodes"),
            ProfileSetting("metrics_agent.enabled", value=False, reason="no monitoring"),
            *_of_brokers(
                broker_session_timeout_ms=(18000, "a runner that stops for seconds must not cost a broker its leaders"),
                group_consumer_assignment_interval_ms=(
                    0,
                    "a member of a new consumer group need not wait a second for its partitions (Kafka 4.3; others "
                    "ignore it)",
                ),
                log_retention_hours=(1, "no test needs more"),
                log_retention_bytes=(64 * 1024**2, "of each partition: 64 MiB"),
                log_segment_bytes=(16 * 1024**2, "whole segments are deleted"),
                offsets_topic_num_partitions=(1, "fewer logs to open; fixed once a group has committed"),
                transaction_state_log_num_partitions=(1, "fewer logs to open; fixed once a transaction has begun"),
            ),
        ),
    ),
    Profile(
        "laptop",
        "development on a machine of 8 to 16 GiB that other programs use too",
        6 * _GIB,
        2,
        10 * _GIB,
        (
            ProfileSetting("cluster.brokers", 2, "the fewest with which one can be killed while the other serves"),
            ProfileSetting("cluster.heap", "1g", "both brokers, the controller and the apps take about 4 GiB"),
            ProfileSetting("daemon.interval_s", 2.0, "half the observations, for the battery"),
            ProfileSetting("daemon.lag_interval_s", 30.0, "the lag is for looking at, not for alerts"),
            ProfileSetting("disk.min_free", "1g", "other programs need the disk too"),
            *_of_brokers(
                log_retention_hours=(72, "test data of three days; Kafka's default is a week"),
                log_retention_bytes=(256 * 1024**2, "of each partition: 256 MiB, so that a loop cannot fill the disk"),
                log_segment_bytes=(
                    64 * 1024**2,
                    "whole segments are deleted, and the last ones read again after a crash",
                ),
            ),
        ),
    ),
    Profile(
        "vm",
        "a shared environment on a virtual machine of its own",
        8 * _GIB,
        2,
        20 * _GIB,
        (
            ProfileSetting("cluster.brokers", 2, "one can be restarted or lost while the other serves"),
            ProfileSetting("cluster.heap", "2g", "leaves half of 8 GiB to the page cache, from which Kafka reads"),
            ProfileSetting("disk.min_free", "2g", "time to act, at 50 MB/s 40 s, before a broker cannot write"),
            *_of_brokers(
                broker_session_timeout_ms=(9000, "as Kafka's own default: a host that is busy takes cores away"),
                controller_quorum_fetch_timeout_ms=(2000, _SLOW_QUORUM),
                controller_quorum_request_timeout_ms=(2000, "as the time-out for fetches"),
                compression_type=("producer", "the brokers keep what producers compressed, and spend nothing on it"),
                log_retention_hours=(168, "a week"),
                log_retention_bytes=(1024**3, "of each partition: 1 GiB"),
                log_segment_bytes=(128 * 1024**2, "a broker reads the last segments again after a crash"),
            ),
        ),
    ),
    Profile(
        "prod",
        "data that must not be lost, on a machine of its own",
        24 * _GIB,
        4,
        100 * _GIB,
        (
            ProfileSetting("cluster.brokers", 3, "each is a voter of the quorum, and any one of them can be lost"),
            ProfileSetting("cluster.heap", "4g", "half of 24 GiB is left to the page cache, from which Kafka reads"),
            ProfileSetting("controller.heap", "512m", "room for the metadata of thousands of partitions"),
            ProfileSetting("disk.min_free", "5g", "time to act before a broker cannot write"),
            *_of_brokers(
                default_replication_factor=(3, "every broker has every record"),
                min_insync_replicas=(2, "acks=all means two copies, also while one broker is away"),
                offsets_topic_replication_factor=(3, "as the topics"),
                offsets_topic_num_partitions=(
                    50,
                    "as Kafka's own default, for many groups; fixed at their first commit",
                ),
                transaction_state_log_replication_factor=(3, "as the topics"),
                transaction_state_log_min_isr=(2, "as the topics"),
                transaction_state_log_num_partitions=(50, "as Kafka's own default; fixed at the first transaction"),
                unclean_leader_election_enable=(False, "rather no leader than one that lacks acknowledged records"),
                auto_create_topics_enable=(False, "a misspelt name is an error, not a topic"),
                broker_heartbeat_interval_ms=(1000, "the session is longer"),
                broker_session_timeout_ms=(18000, "a long collection of garbage must not move leaders"),
                controller_quorum_fetch_timeout_ms=(2000, _SLOW_QUORUM),
                controller_quorum_request_timeout_ms=(2000, "as the time-out for fetches"),
                replica_lag_time_max_ms=(30000, "as Kafka's own default: a slow disk is no reason to leave the ISR"),
                compression_type=("producer", "the brokers keep what producers compressed, and spend nothing on it"),
                log_flush_interval_ms=(
                    1000,
                    "all replicas are on this machine: a power cut loses what is not flushed: a second at most",
                ),
                log_retention_hours=(168, "a week"),
                log_retention_bytes=(10 * _GIB, "of each partition: 10 GiB; its replicas take three times that"),
                log_segment_bytes=(256 * 1024**2, "a broker reads the last segments again after a crash"),
                num_io_threads=(8, "as Kafka's own default"),
                num_network_threads=(3, "as Kafka's own default"),
            ),
        ),
    ),
)
"""From the smallest machine to the largest."""


def sample_of(profile: Profile) -> str:
    """Return the sample with the values of a profile set, each with its reason."""
    return "\n".join(_lines_of(profile))


def _lines_of(profile: Profile) -> Iterator[str]:
    yield from _comment(f"The profile {profile.name}: {profile.purpose}.")
    cores = plural(profile.least_cores, "core")
    yield from _comment(
        f"It fits a machine of at least {profile.least_memory_bytes // _GIB} GiB of memory, {cores} and "
        f"{profile.least_disk_bytes // _GIB} GiB of disk: 'kraftd doctor' compares. What "
        "it sets has no '#' in front, and its reason above."
    )
    yield "#"
    settings = {setting.key: setting for setting in profile.settings}
    table = ""
    for line in SAMPLE.replace("the values shown are the defaults", "those after a '#' are the defaults").split("\n"):
        key = f"{table}.{line[1:].partition(' = ')[0]}" if line.startswith("#") else ""
        if line.startswith(("[", "#[[")):
            table = line.strip("#[]")
        if not line and table == "broker.config":
            for setting in (each for name, each in settings.items() if name.startswith(f"{table}.")):
                yield from _set(f'"{setting.key.removeprefix(f"{table}.")}"', setting)
        if key in settings:
            yield from _set(key.rpartition(".")[2], settings[key])
        else:
            yield line


def _set(name: str, setting: ProfileSetting) -> Iterator[str]:
    yield from _comment(f"Here: {setting.reason}.")
    yield f"{name} = {toml_value(setting.value)}"


def toml_value(value: Any) -> str:
    """Return a value of a setting as kraftd.toml has it, on one line; what a table leaves open is left out."""
    if isinstance(value, Mapping):
        pairs = [f"{_key(key)} = {toml_value(inner)}" for key, inner in value.items() if inner is not None]
        return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _COLUMNS, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def profile_of(values: Mapping[str, Any]) -> Profile | None:
    """Return the profile whose every value a configuration has; None where it is none of them.

    Args:
        values: The configuration: every setting by its key.
    """
    return next((each for each in PROFILES if all(values.get(one.key) == one.value for one in each.settings)), None)
