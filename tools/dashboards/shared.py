"""Panels that more than one dashboard has."""

from tools.dashboards import thresholds as limits
from tools.dashboards.panels import (
    BAD,
    GOOD,
    IN,
    INTERNAL,
    OFF,
    OUT,
    WAITING,
    WARNING,
    WORSE,
    About,
    Column,
    Panel,
    States,
    lines,
    number,
    rows,
    states,
)
from tools.dashboards.queries import (
    SLOPE,
    Query,
    code,
    daemon,
    most,
    node,
    quantile,
    rate,
    time_until_full,
    total,
)

BROKER_STATES: States = (
    ("ready", GOOD),
    ("starting", WAITING),
    ("unready", WARNING),
    ("down", BAD),
    ("backoff", BAD),
    ("given_up", WORSE),
    ("paused", WARNING),
    ("stopped", OFF),
)
PROCESS_STATES: States = (
    ("running", GOOD),
    ("starting", WAITING),
    ("stopping", WARNING),
    ("backoff", BAD),
    ("exited", BAD),
    ("fatal", WORSE),
    ("stopped", OFF),
    ("orphaned", WARNING),
    ("unknown", OFF),
)
GROUP_STATUSES: States = (
    ("ok", GOOD),
    ("warn", WARNING),
    ("empty", WARNING),
    ("stall", BAD),
    ("rewind", WORSE),
    ("stop", BAD),
)
READABLE_LAG = "kraftd_consumergroup_readable_lag"
"""The lag that status, time lag and `kraftd lag` rest on; kafka_consumergroup_lag counts markers as records."""

PHASES = {
    "request queue": ("requestqueuetimems", "blue"),
    "local": ("localtimems", "purple"),
    "remote": ("remotetimems", "orange"),
    "response queue": ("responsequeuetimems", "semi-dark-yellow"),
    "response send": ("responsesendtimems", "#8e8e8e"),
}
"""What a request's time is made of, with the names of their metrics and their colours."""


def coded(metric: str, mapping: States, label: str, *by: str) -> str:
    """Return the code of the state of one-hot series of the daemon."""
    selector = daemon(metric, f'{label}="%s"')
    return code(selector, tuple(name for name, _ in mapping), *by)


def broker_states() -> Panel:
    """Return whether each broker serves, over time."""
    return states(
        "Brokers",
        About(
            "Whether each configured broker serves, over time.",
            "green. Blue while one starts; grey where the user stopped it.",
            "kraftd status shows the cause of the last exit and its remedy; kraftd why broker-N shows the log's lines.",
        ),
        BROKER_STATES,
        Query(coded("kraftd_broker_state", BROKER_STATES, "state", "broker_id"), "broker {{broker_id}}"),
        limit=limits.BROKERS_DOWN,
    )


def program_states() -> Panel:
    """Return the state of each program under supervisord, over time."""
    return states(
        "Programs",
        About(
            "The state that supervisord reports for each program.",
            "green.",
            "kraftd why NAME shows the lines of its log that tell the cause.",
        ),
        PROCESS_STATES,
        Query(coded("kraftd_process_state", PROCESS_STATES, "state", "name"), "{{name}}"),
        limit=limits.RESTARTS,
    )


def offline_partitions() -> Panel:
    """Return the partitions that nobody leads."""
    partitions = total(daemon("kafka_topic_partitions"))
    led = f"count({daemon('kafka_topic_partition_leader')})"
    return number(
        "Offline partitions",
        About(
            "Partitions without a leader: nobody can write or read them.",
            "0.",
            "start the brokers that hold their replicas: kraftd topics describe names them.",
        ),
        "short",
        Query(f"{partitions} - ({led} or vector(0))", "partitions"),
        limit=limits.OFFLINE_PARTITIONS,
    )


def under_min_isr() -> Panel:
    """Return the partitions that take no writes with acks=all."""
    return number(
        "Under min ISR",
        About(
            "Partitions with fewer replicas in sync than min.insync.replicas: writes with acks=all are refused.",
            "0.",
            "bring the brokers back that are down; kraftd status names them.",
        ),
        "short",
        Query(total(node("kafka_server_replicamanager_underminisrpartitioncount")), "partitions"),
        limit=limits.UNDER_MIN_ISR,
    )


def under_replicated() -> Panel:
    """Return the partitions of which a replica is not in sync."""
    return number(
        "Under-replicated",
        About(
            "Partitions of which a replica is not in sync.",
            "0; after a broker's restart until it caught up.",
            "look for the broker that is down or slow: Brokers & JVM shows its request handlers and its disk.",
        ),
        "short",
        Query(total(daemon("kafka_topic_partition_under_replicated_partition")), "partitions"),
        limit=limits.UNDER_REPLICATED,
    )


def records_in(width: int, *matchers: str) -> Panel:
    """Return the records written, by topic."""
    return lines(
        "Records in, by topic",
        About(
            "Records that are written per second, by topic; internal topics included.",
            "what your producers send.",
            "a drop to 0 while producers run: look at HTTP apps, and at offline and under min ISR partitions.",
        ),
        "recps",
        Query(total(rate(daemon("kafka_topic_partition_current_offset", *matchers)), "topic"), "{{topic}}"),
        width=width,
    )


def bytes_in_and_out(width: int) -> Panel:
    """Return the bytes that clients write and read, and that replicas fetch."""
    # Without a topic: a broker's total. With one, the same bytes would count twice.
    metrics = {"in": "bytesin", "out": "bytesout", "replication": "replicationbytesin"}
    return lines(
        "Bytes in and out",
        About(
            "Bytes per second that clients write and read, and that followers copy, over all brokers.",
            "out is in times the number of consumer groups; replication is in times the replicas beside the leader.",
            "replication far above in: a follower copies what it missed.",
        ),
        "Bps",
        *(
            Query(total(rate(node(f"kafka_server_brokertopicmetrics_{metric}_total", 'topic=""'))), legend)
            for legend, metric in metrics.items()
        ),
        width=width,
        colours={"in": IN, "out": OUT, "replication": INTERNAL},
    )


def produce_phases(width: int) -> Panel:
    """Return the 99th percentile of produce requests by phase."""
    return request_phases("Produce p99 by phase", "Produce", width=width)


def request_phases(title: str, request: str, *matchers: str, width: int) -> Panel:
    """Return the 99th percentile of a kind of requests, by phase, on the slowest broker."""
    return lines(
        title,
        About(
            "How long requests take at the 99th percentile, by phase, each on the broker where it takes longest. "
            "Percentiles do not add up: the stack is an upper bound.",
            "a few ms. Remote is the wait for the followers (Produce), or for records (FetchConsumer: up to 500 ms).",
            "request queue: too few request handlers; local: a slow disk or GC; remote: a slow follower; "
            "response: a slow network or client.",
        ),
        "ms",
        *(
            Query(
                most(
                    node(
                        f"kafka_network_requestmetrics_{metric}",
                        f'request="{request}"',
                        'quantile="0.99"',
                        *matchers,
                    )
                ),
                phase,
            )
            for phase, (metric, _) in PHASES.items()
        ),
        limit=limits.REQUEST_MS,
        width=width,
        stacked=True,
        colours={phase: colour for phase, (_, colour) in PHASES.items()},
    )


def groups_table(width: int, *matchers: str, height: int = 8) -> Panel:
    """Return the consumer groups with their lag, its slope and their status."""
    slope = f"deriv({daemon(READABLE_LAG, *matchers)}{SLOPE})"
    by = "consumergroup"
    return rows(
        "Consumer groups",
        About(
            "How far each group is behind: in records that it can still read, in time, and whether it "
            "gains or loses (records per second over "
            "5 minutes; below 0 it catches up).",
            "status ok, a slope around 0, and seconds rather than minutes.",
            "kraftd explain lag GROUP tells which partition is behind and why. A group appears with its first commit.",
        ),
        {by: "Group"},
        Column("Status", _of_groups("kraftd_consumergroup_status", *matchers), mapping=GROUP_STATUSES),
        Column("Lag", total(daemon(READABLE_LAG, *matchers), by)),
        Column("Waiting", most(daemon("kafka_consumergroup_lag_seconds", *matchers), by), "s", limits.LAG_S),
        Column("Slope", total(slope, by), "recps"),
        Column("Members", most(daemon("kafka_consumergroup_members", *matchers), by)),
        limit=limits.GROUPS_BEHIND,
        width=width,
        height=height,
    )


def _of_groups(metric: str, *matchers: str) -> str:
    selector = daemon(metric, 'status="%s"', *matchers)
    return code(selector, tuple(name for name, _ in GROUP_STATUSES), "consumergroup")


def group_statuses(*matchers: str) -> Panel:
    """Return the lag status of each group over time."""
    return states(
        "Lag status",
        About(
            "Whether each group keeps up, by Burrow's rules over the last 15 cycles; known after five of them.",
            "green. warn: the lag grows while it reads; stall: it does not move; stop and empty: it has no members; "
            "rewind: its offsets went back.",
            "kraftd explain lag GROUP.",
        ),
        GROUP_STATUSES,
        Query(_of_groups("kraftd_consumergroup_status", *matchers), "{{consumergroup}}"),
        limit=limits.GROUPS_BEHIND,
    )


def lag_seconds(width: int, *matchers: str) -> Panel:
    """Return how long the oldest unread record of each group waits."""
    return lines(
        "Lag in seconds, by group",
        About(
            "How long the oldest record waits that the group has not read, on its worst partition.",
            "seconds. 0 where everything is read.",
            "kraftd explain lag GROUP; a line that rises by 1 s per second means that the group reads nothing at all.",
        ),
        "s",
        Query(most(daemon("kafka_consumergroup_lag_seconds", *matchers), "consumergroup"), "{{consumergroup}}"),
        limit=limits.LAG_S,
        width=width,
    )


def gc_share(width: int, *matchers: str) -> Panel:
    """Return the share of time that the nodes stand still for garbage collection."""
    pauses = node("jvm_gc_collection_seconds_sum", 'gc!~".*Concurrent.*"', *matchers)
    return lines(
        "Time in GC pauses",
        About(
            "Share of time that each node stands still to collect garbage.",
            "below 1 %; a collector that works beside the program does not count.",
            "more heap (cluster.heap), or fewer partitions and connections; see heap use in Brokers & JVM.",
        ),
        "percentunit",
        Query(total(rate(pauses), "program"), "{{program}}"),
        limit=limits.GC_SHARE,
        width=width,
    )


def disk_until_full(width: int, *matchers: str) -> Panel:
    """Return the time until the disk is full."""
    return lines(
        "Disk: time until full",
        About(
            "When the file system of each broker's log directory is full, at the speed of the last 30 minutes; "
            "30 days stand for longer.",
            "30 days: retention deletes as much as is written.",
            "a shorter retention (retention.ms, retention.bytes), or free the disk: brokers on one machine share it.",
        ),
        "s",
        Query(time_until_full(daemon("kraftd_log_dir_usable_bytes", *matchers), "broker_id"), "broker {{broker_id}}"),
        limit=limits.DISK_UNTIL_FULL_S,
        width=width,
    )


def canary(width: int = 12) -> Panel:
    """Return the time of the daemon's record through each broker."""
    write = quantile(0.99, daemon("kraftd_canary_write_seconds_bucket"), "broker_id")
    read = quantile(0.99, daemon("kraftd_canary_read_seconds_bucket"), "broker_id")
    return lines(
        "Canary p99",
        About(
            "How long a record of kraftd's own takes to be written to all replicas in sync, and to be read back.",
            "below 100 ms.",
            "a slow disk or a busy machine: Brokers & JVM shows which phase of a request takes the time.",
        ),
        "s",
        Query(write, "write, broker {{broker_id}}"),
        Query(read, "read, broker {{broker_id}}"),
        limit=limits.CANARY_S,
        width=width,
    )
