"""The commented kraftd.toml that ``kraftd init`` writes."""

from kraftd.plan.kinds import MONITORING, TOOL_DEFINITIONS, ToolDefinition

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
# Any property of server.properties that kraftd does not set itself, for every broker. Example:
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
