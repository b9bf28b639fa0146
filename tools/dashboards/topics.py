"""Topics: what is written, where it lies, and whether it is safe."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards import shared
from tools.dashboards import thresholds as limits
from tools.dashboards.frame import Row, built, choice
from tools.dashboards.panels import About, Column, Panel, bars, lines, number, rows
from tools.dashboards.queries import Query, daemon, growth, least, node, rate, total

TOPIC = 'topic=~"$topic"'


def topics() -> Dashboard:
    """Return the dashboard."""
    return built(
        "kraftd-topics",
        "kraftd / Topics",
        "Which topics grow, are their partitions well replicated, and are the leaders spread over the brokers?",
        [
            _table(),
            shared.offline_partitions(),
            shared.under_replicated(),
            _not_preferred(),
            *_counts(),
            shared.records_in(12, TOPIC),
            _bytes_in(),
            _sizes(),
            _leaders(),
        ],
        Row("By partition and broker", _partitions()),
        Row("Transactions and retention", _transactions()),
        variables=[choice("topic", "Topic", f"label_values({daemon('kafka_topic_partitions')}, topic)")],
    )


def _table() -> Panel:
    end = daemon("kafka_topic_partition_current_offset", TOPIC)
    start = daemon("kafka_topic_partition_oldest_offset", TOPIC)
    replicas, in_sync = (daemon(f"kafka_topic_partition_{what}", TOPIC) for what in ("replicas", "in_sync_replica"))
    return rows(
        "Topics",
        About(
            "Each topic with its partitions, the offsets that retention keeps, its size with all replicas, and how "
            "many replicas are missing from the ISR.",
            "no replica missing.",
            "kraftd topics describe names the partitions and the brokers that their replicas are on.",
        ),
        {"topic": "Topic"},
        Column("Partitions", total(daemon("kafka_topic_partitions", TOPIC), "topic")),
        Column("Offsets kept", f"{total(end, 'topic')} - {total(start, 'topic')}"),
        Column("Size", total(daemon("kraftd_topic_log_bytes", TOPIC), "topic"), "bytes"),
        Column("Written", total(rate(end), "topic"), "recps"),
        Column("Out of sync", f"{total(replicas, 'topic')} - {total(in_sync, 'topic')}", limit=limits.UNDER_REPLICATED),
        limit=limits.UNDER_REPLICATED,
    )


def _not_preferred() -> Panel:
    return number(
        "Not on preferred leader",
        About(
            "Share of the partitions that another replica than the first leads.",
            "0; after a restart for up to a minute, until Kafka moves the leaders back.",
            "kraftd topics elect-leaders moves them at once.",
        ),
        "percentunit",
        Query(f"1 - avg({daemon('kafka_topic_partition_leader_is_preferred')})", "partitions"),
        limit=limits.NOT_PREFERRED,
    )


def _counts() -> list[Panel]:
    partitions = daemon("kafka_topic_partitions")
    return [
        number(
            "Topics and internal topics",
            About(
                "Topics that kraftd sees; [daemon] may exclude some.", "what you created.", "kraftd topics lists them."
            ),
            "short",
            Query(f"count({partitions})", "topics"),
        ),
        number(
            "Partitions",
            About(
                "Partitions of all topics.",
                "below 4000 for each broker.",
                "fewer partitions: each costs memory, files and time at every start.",
            ),
            "short",
            Query(total(partitions), "partitions"),
        ),
        number(
            "Size on disk",
            About(
                "Bytes of all replicas of all topics.",
                "flat once retention deletes as much as is written.",
                "Brokers & JVM shows when the disk is full.",
            ),
            "bytes",
            Query(total(daemon("kraftd_topic_log_bytes")), "bytes"),
        ),
    ]


def _bytes_in() -> Panel:
    return lines(
        "Bytes in, by topic",
        About(
            "Bytes per second that clients write, by topic; only topics that were written since a broker started.",
            "what your producers send.",
            "few records and many bytes: large records; compression.type makes them smaller.",
        ),
        "Bps",
        Query(
            total(rate(node("kafka_server_brokertopicmetrics_bytesin_total", 'topic!=""', TOPIC)), "topic"), "{{topic}}"
        ),
    )


def _sizes() -> Panel:
    return lines(
        "Size, by topic",
        About(
            "Bytes of all replicas of each topic.",
            "flat once retention deletes as much as is written.",
            "retention.ms and retention.bytes of the topic that grows.",
        ),
        "bytes",
        Query(total(daemon("kraftd_topic_log_bytes", TOPIC), "topic"), "{{topic}}"),
        stacked=True,
    )


def _leaders() -> Panel:
    return bars(
        "Leaders, by broker",
        About(
            "How many partitions each broker leads.",
            "about equal on all brokers.",
            "after a restart wait a minute, or run kraftd topics elect-leaders.",
        ),
        "short",
        Query(f'count_values("broker", {daemon("kafka_topic_partition_leader", TOPIC)})', "broker {{broker}}"),
        width=12,
    )


def _partitions() -> list[Panel]:
    end = daemon("kafka_topic_partition_current_offset", TOPIC)
    return [
        lines(
            "Records in, by partition",
            About(
                "Records per second of the ten busiest partitions.",
                "the partitions of a topic about equal.",
                "one partition far above the others: few keys, or one that is frequent.",
            ),
            "recps",
            Query(f"topk(10, {total(rate(end), 'topic', 'partition')})", "{{topic}} {{partition}}"),
        ),
        lines(
            "Out of sync, by topic",
            About(
                "Partitions of each topic of which a replica is not in sync.",
                "0.",
                "see which broker is down or slow in Brokers & JVM.",
            ),
            "short",
            Query(total(daemon("kafka_topic_partition_under_replicated_partition", TOPIC), "topic"), "{{topic}}"),
            limit=limits.UNDER_REPLICATED,
        ),
        bars(
            "Size, by broker",
            About(
                "Bytes of the chosen topics' replicas on each broker.",
                "about equal on all brokers.",
                "reassign partitions, or wait until retention deletes what is old.",
            ),
            "bytes",
            Query(total(daemon("kraftd_topic_log_bytes", TOPIC), "broker_id"), "broker {{broker_id}}"),
            width=12,
        ),
        lines(
            "Bytes rejected and failed writes",
            About(
                "Bytes per second of batches that were too large, and produce requests that failed.",
                "0.",
                "max.message.bytes of the topic, max.request.size of the producer.",
            ),
            "short",
            Query(
                total(rate(node("kafka_server_brokertopicmetrics_bytesrejected_total", 'topic=""')), "program"),
                "{{program}} bytes rejected",
            ),
            Query(
                total(rate(node("kafka_server_brokertopicmetrics_failedproducerequests_total", 'topic=""')), "program"),
                "{{program}} failed",
            ),
        ),
    ]


def _transactions() -> list[Panel]:
    end = daemon("kafka_topic_partition_current_offset", TOPIC)
    stable = daemon("kafka_topic_partition_last_stable_offset", TOPIC)
    oldest = daemon("kafka_topic_partition_oldest_offset", TOPIC)
    opened = daemon("kraftd_open_transaction_start_timestamp_seconds", TOPIC)
    return [
        lines(
            "Held back by open transactions",
            About(
                "Offsets that a read_committed consumer cannot see yet, because a transaction is open.",
                "0, or a few for a moment; the values are up to a minute old.",
                "a growing line: a producer left a transaction open; kraftd kafka kafka-transactions finds it.",
            ),
            "short",
            Query(total(f"clamp_min({end} - {stable}, 0)", "topic"), "{{topic}}"),
            width=8,
        ),
        lines(
            "Oldest open transaction",
            About(
                "How long the transaction has been open that holds a partition back, by topic.",
                "nothing, or seconds.",
                "its producer ended or hangs: Kafka aborts it after transaction.timeout.ms, 60 s by default.",
            ),
            "s",
            Query(f"time() - {least(opened, 'topic')}", "{{topic}}"),
            limit=limits.TRANSACTION_AGE_S,
            width=8,
        ),
        lines(
            "Deleted by retention",
            About(
                "Offsets per second that retention deletes, by topic.",
                "as many as are written, once a topic is older than its retention; in steps of a segment.",
                "0 although the topic is old: segments are large (segment.bytes, segment.ms).",
            ),
            "recps",
            Query(total(growth(oldest), "topic"), "{{topic}}"),
            width=8,
        ),
    ]
