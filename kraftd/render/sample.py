"""The commented kraftd.toml that ``kraftd init`` writes."""

from kraftd.plan.kinds import TOOL_DEFINITIONS, ToolDefinition

_CLUSTER = """\
# The configuration of a kraftd cluster. Every key is optional; the values shown are the defaults.
# Take the '#' away from a key to change it. 'kraftd config' shows each value and where it came from.
# KRAFTD_<SECTION>_<KEY> in the environment overrides a key, for example KRAFTD_CLUSTER_BROKERS=3.

[cluster]
# Names the state directory and the cluster on the command line: 1 to 32 of a-z, 0-9, '-' and '_'.
#name = "local"
# A minor version for its newest patch, or an exact one. Fixed when the cluster is first formatted.
#kafka_version = "3.9"
# 1 to 32. The first format fixes the voters of the quorum: later brokers join as brokers only.
#brokers = 2
# Of each broker: a whole number followed by k, m or g, at least 160m.
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
# Any property of server.properties that kraftd does not decide itself, for every broker. Example:
#   "log.retention.hours" = 24
# One broker's own go into a table of its id, which wins over this one: [broker.2.config]

[controller]
# Of each controller that is no broker: a whole number followed by k, m or g, at least 64m.
#heap = "192m"

# One [[topic]] for each topic that start makes sure of. The first one replaces this default.
#[[topic]]
# Up to 249 letters, digits, '.', '_' and '-'.
#name = "test-topic"
# 1 to 10000.
#partitions = 4
# Instead of the defaults: replication_factor = 2 (the default is one replica per broker, 3 at most), or
# assignment = "1:2,2:1,1:2,2:1" (broker ids per partition, the preferred leader first).
# The topic's own configuration: "retention.ms" = 3600000 and the like.
#config = {}

[producer]
# Whether the cluster has it: true or false.
#enabled = true
# Of its HTTP side: 1 to 65535.
#port = 8001
# Where it publishes; it must be one of the topics above.
#topic = "test-topic"
# More environment variables of the app, as text.
#env = {}

[consumer]
# Whether the cluster has it: true or false.
#enabled = true
# Of the first instance's HTTP side: 1 to 65535. The next instances take the next ports.
#port = 8002
# What it reads; it must be one of the topics above.
#topic = "test-topic"
# The consumer group that all instances join.
#group = "test-group"
# 1 to 16.
#instances = 1
# More environment variables of the app, as text.
#env = {}

[daemon]
# Of the health, metrics and status pages: 1 to 65535.
#port = 8000
# Seconds between two looks at the cluster: 0.2 to 3600.
#interval_s = 1.0
# Seconds between two measurements of consumer lag: 0.2 to 3600.
#lag_interval_s = 10.0
# Whether each 10 seconds canary records go through a third of the brokers, in turn, in __kraftd_probe: true or false.
#probe = true
# Topics whose offsets are read: names, in which "*" stands for any text.
#topics_allow = ["*"]
# Which of these are left out all the same.
#topics_deny = []
# Groups whose lag is measured, in the same way.
#groups_allow = ["*"]
# Which of these are left out all the same.
#groups_deny = []
# Partitions that are read at most; whole topics are left out, and counted in the metrics.
#max_partitions = 10000
# Groups that are measured at most.
#max_groups = 1000
# Pairs of group and partition that have series of their own; other groups have their sums.
#max_group_partitions = 20000

"""


def _tool_table(tool: ToolDefinition) -> str:
    return f"""\
[{tool.name}]
# Whether {tool.does}: true or false.
#enabled = false
# Of its HTTP side: 1 to 65535.
#port = {tool.default_port}
"""


_TOOLS = " and ".join(tool.name.capitalize() for tool in TOOL_DEFINITIONS)

SAMPLE = f"{_CLUSTER}# {_TOOLS} run beside the cluster where they are asked for and found on the PATH.\n" + "\n".join(
    map(_tool_table, TOOL_DEFINITIONS)
)
"""Commented settings start with ``#`` and no space, remarks with ``# ``."""
