"""Brokers & JVM: which node is slow, and what for."""

from grafana_foundation_sdk.builders.dashboard import CustomVariable
from grafana_foundation_sdk.models.dashboard import Dashboard, VariableOption

from tools.dashboards import shared
from tools.dashboards import thresholds as limits
from tools.dashboards.frame import Row, built, choice
from tools.dashboards.panels import About, Panel, lines, number
from tools.dashboards.queries import Query, daemon, least, most, node, or_zero, rate, total

NODE = 'program=~"$node"'
_TOPIC_METRICS = "kafka_server_brokertopicmetrics"


def brokers() -> Dashboard:
    """Return the dashboard."""
    nodes = daemon("kraftd_process_up", 'kind=~"broker|controller"')
    return built(
        "kraftd-brokers",
        "kraftd / Brokers & JVM",
        "Which broker is slow or overloaded, and is it the handlers, the followers, the disk or the JVM?",
        [
            shared.broker_states(),
            *_verdicts(),
            _bytes(),
            shared.request_phases("Request p99 by phase", "$request", NODE, width=8),
            _idle(),
            _heap(),
            shared.gc_share(8, NODE),
            _cpu(),
        ],
        Row("Replication", _replication()),
        Row("Requests", _requests()),
        Row("JVM", _jvm()),
        Row("Disk", _disk()),
        variables=[choice("node", "Node", f"label_values({nodes}, name)"), _request_choice()],
    )


def _request_choice() -> CustomVariable:
    variable = CustomVariable("request").label("Request").values("Produce,FetchConsumer,FetchFollower")
    return variable.current(VariableOption(selected=True, text="Produce", value="Produce")).multi(False)


def _verdicts() -> list[Panel]:
    unclean = most(
        f"increase({node('kafka_controller_controllerstats_uncleanleaderelections_total')}[$__rate_interval])"
    )
    return [
        number(
            "Agents down",
            About(
                "JMX agents of running nodes that Prometheus cannot scrape: what this dashboard shows of them is old.",
                "0; a node that is down counts too.",
                "kraftd status says why an agent did not start; a node runs without it.",
            ),
            "short",
            Query(or_zero(total(f"{node('up')} == bool 0")), "agents"),
            limit=limits.AGENTS_DOWN,
        ),
        shared.under_replicated(),
        shared.under_min_isr(),
        shared.offline_partitions(),
        number(
            "Log directories offline",
            About(
                "Log directories that a broker gave up after an error of the disk.",
                "0.",
                "the broker's server.log names the error; repair the disk and restart the broker.",
            ),
            "short",
            Query(or_zero(total(f"{daemon('kraftd_log_dir_online')} == bool 0")), "directories"),
            limit=limits.DISKS_OFFLINE,
        ),
        number(
            "Unclean elections",
            About(
                "Leaders elected from outside the ISR: acknowledged records were lost.",
                "0.",
                "compare what producers sent with what arrived; keep unclean.leader.election.enable off.",
            ),
            "short",
            Query(unclean, "elections"),
            limit=limits.UNCLEAN_ELECTIONS,
        ),
    ]


def _bytes() -> Panel:
    ways = {way: rate(node(f"{_TOPIC_METRICS}_bytes{way}_total", 'topic=""', NODE)) for way in ("in", "out")}
    return lines(
        "Bytes in and out, by broker",
        About(
            "Bytes per second between clients and each broker.",
            "what your producers send and your consumers read, about equal on all brokers.",
            "one broker far above the others leads more or busier partitions: see Leaders, by broker in Topics.",
        ),
        "Bps",
        *(Query(total(each, "program"), f"{{{{program}}}} {way}") for way, each in ways.items()),
        width=8,
    )


def _idle() -> Panel:
    handlers = node("kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent", NODE)
    network = node("kafka_network_socketserver_networkprocessoravgidle_percent", NODE)
    shared_meter = f"(max_over_time({handlers}[6h]) > bool 1.05)"
    return lines(
        "Request handlers and network threads idle",
        About(
            "Share of time in which the threads that serve requests have nothing to do. Before Kafka 4.2 the "
            "controller's handlers of a combined node share the meter and do almost nothing: that is taken off.",
            "above 30 %.",
            "fewer or larger requests (linger.ms, batch.size, fetch.min.bytes), more threads, or more brokers.",
        ),
        "percentunit",
        Query(least(f"clamp({handlers} - {shared_meter}, 0, 1)", "program"), "{{program}} handlers"),
        Query(least(network, "program"), "{{program}} network"),
        limit=limits.HANDLER_IDLE,
        width=8,
        maximum=1,
    )


def _heap() -> Panel:
    used, maximum = (node(f"jvm_memory_{what}_bytes", 'area="heap"', NODE) for what in ("used", "max"))
    return lines(
        "Heap in use",
        About(
            "Share of the heap in use: a saw tooth, whose lower edge is what is really needed.",
            "the lower edge below 60 %.",
            "more heap (cluster.heap) where the lower edge rises, or where GC pauses grow.",
        ),
        "percentunit",
        Query(f"{total(used, 'program')} / {total(maximum, 'program')}", "{{program}}"),
        limit=limits.HEAP,
        width=8,
        maximum=1,
    )


def _cpu() -> Panel:
    return lines(
        "CPU, by node",
        About(
            "CPU cores that each node's JVM uses.",
            "a few hundredths at rest; some tenths in the first minute, in which code is compiled.",
            "many small requests cost most: see Requests by type below.",
        ),
        "short",
        Query(total(rate(node("process_cpu_seconds_total", NODE)), "program"), "{{program}}"),
        width=8,
    )


def _replication() -> list[Panel]:
    manager = "kafka_server_replicamanager"
    shrinks, expands = (rate(node(f"{manager}_isr{what}_total", NODE)) for what in ("shrinks", "expands"))
    bytes_in, bytes_out = (
        rate(node(f"{_TOPIC_METRICS}_replicationbytes{way}_total", 'topic=""', NODE)) for way in ("in", "out")
    )
    return [
        lines(
            "ISR shrinks and expands",
            About(
                "How often replicas leave and rejoin the ISR, per second.",
                "0; a shrink and later an expand for each restart of a broker.",
                "shrinks without expands: a follower cannot keep up (disk, GC, network).",
            ),
            "ops",
            Query(total(shrinks, "program"), "{{program}} shrinks"),
            Query(total(expands, "program"), "{{program}} expands"),
            limit=limits.ISR_SHRINKS,
            width=8,
        ),
        lines(
            "Furthest follower",
            About(
                "Records by which a broker's replicas are behind their leader, on the worst partition.",
                "near 0.",
                "see the disk and the GC pauses of the broker that is behind.",
            ),
            "short",
            Query(most(node("kafka_server_replicafetchermanager_maxlag", NODE), "program"), "{{program}}"),
            width=8,
        ),
        lines(
            "Bytes replicated",
            About(
                "Bytes per second that followers copy into each broker, and from it.",
                "as much as the producers write, for each further replica.",
                "far more: a broker catches up, or partitions are moved.",
            ),
            "Bps",
            Query(total(bytes_in, "program"), "into {{program}}"),
            Query(total(bytes_out, "program"), "from {{program}}"),
            width=8,
        ),
        lines(
            "Under-replicated, by leader",
            About(
                "Partitions that each broker leads and of which a replica is not in sync.",
                "0.",
                "the broker that is missing is usually not the one that shows the number: see Brokers.",
            ),
            "short",
            Query(total(node(f"{manager}_underreplicatedpartitions", NODE), "program"), "{{program}}"),
            limit=limits.UNDER_REPLICATED,
            width=12,
        ),
        lines(
            "At and under min ISR",
            About(
                "Partitions with exactly, or fewer than, min.insync.replicas: those at the limit bear no further loss.",
                "0 with three brokers; with two brokers a restart shows here.",
                "bring the broker back that is down.",
            ),
            "short",
            Query(total(node(f"{manager}_atminisrpartitioncount", NODE), "program"), "{{program}} at"),
            Query(total(node(f"{manager}_underminisrpartitioncount", NODE), "program"), "{{program}} under"),
            limit=limits.UNDER_MIN_ISR,
            width=12,
        ),
    ]


def _requests() -> list[Panel]:
    requests, errors = (node(f"kafka_network_requestmetrics_{what}_total", NODE) for what in ("requests", "errors"))
    p99 = node("kafka_network_requestmetrics_totaltimems", 'quantile="0.99"', NODE)
    queues = {
        f"{{{{program}}}} {way}": node(f"kafka_network_requestchannel_{way}queuesize", NODE)
        for way in ("request", "response")
    }
    return [
        lines(
            "Requests, by type",
            About(
                "Requests per second by type: the ten most frequent.",
                "Fetch and Produce lead; kraftd's own questions are a few per second.",
                "many Metadata or FindCoordinator requests: clients that reconnect.",
            ),
            "reqps",
            Query(f"topk(10, {total(rate(requests), 'request')})", "{{request}}"),
        ),
        lines(
            "Errors, by code",
            About(
                "Responses with an error per second, by code and type of the request.",
                "none, or NOT_COORDINATOR and NOT_LEADER for a moment after a broker stopped.",
                "the code tells what clients were refused; kraftd why broker-N shows the log.",
            ),
            "reqps",
            Query(total(rate(errors), "error", "request"), "{{error}} ({{request}})"),
            Query(or_zero(total(rate(errors))), "all"),
        ),
        lines(
            "Request p99 by type and broker",
            About(
                "How long the slowest percent of requests takes at least, by type and broker.",
                "a few ms; FetchConsumer up to its wait for records, 500 ms.",
                "choose the type above to see which phase takes the time.",
            ),
            "ms",
            Query(most(p99, "request", "program"), "{{request}}, {{program}}"),
        ),
        lines(
            "Queues",
            About(
                "Requests that wait for a handler, and responses that wait to be sent.",
                "0, or a few in bursts.",
                "waiting requests: too few handlers, or a slow disk; see Request handlers idle.",
            ),
            "short",
            *(Query(total(selector, "program"), legend) for legend, selector in queues.items()),
        ),
        lines(
            "Refused and failed",
            About(
                "Produce and fetch requests that failed, per second.",
                "0; some while leaders move.",
                "see Errors, by code.",
            ),
            "reqps",
            *(
                Query(
                    total(rate(node(f"{_TOPIC_METRICS}_failed{kind}requests_total", 'topic=""', NODE)), "program"),
                    f"{{{{program}}}} {kind}",
                )
                for kind in ("produce", "fetch")
            ),
        ),
        lines(
            "Connections, by listener",
            About(
                "Open connections of each listener.",
                "constant: a few for each client and each other node.",
                "growth without end: a client that opens connections and never closes them.",
            ),
            "short",
            Query(
                total(node("kafka_server_socket_server_metrics_connection_count", NODE), "program", "listener"),
                "{{program}} {{listener}}",
            ),
        ),
    ]


def _jvm() -> list[Panel]:
    seconds, runs = (node(f"jvm_gc_collection_seconds_{what}", NODE) for what in ("sum", "count"))
    by = ("program", "gc")
    pause = f"{total(rate(seconds), *by)} / clamp_min({total(rate(runs), *by)}, 0.000001)"
    allocated = node("jvm_memory_pool_allocated_bytes_total", NODE)
    return [
        lines(
            "GC runs",
            About(
                "Garbage collections per second, by collector.",
                "G1 Young Generation some times a minute, G1 Old Generation never.",
                "G1 Old Generation runs: the heap is too small.",
            ),
            "ops",
            Query(total(rate(runs), *by), "{{program}} {{gc}}"),
            width=8,
        ),
        lines(
            "GC pause, mean",
            About(
                "How long a collection takes on average. G1 Concurrent GC runs beside the requests and pauses little.",
                "below 50 ms; 0 where none ran.",
                "less garbage (fewer, larger requests), or more heap.",
            ),
            "s",
            Query(pause, "{{program}} {{gc}}"),
            width=8,
        ),
        lines(
            "Allocation",
            About(
                "Bytes of memory that each node allocates per second.",
                "follows the requests.",
                "what allocates most is the conversion of old message formats and many small requests.",
            ),
            "Bps",
            Query(total(rate(allocated), "program"), "{{program}}"),
            width=8,
        ),
        lines(
            "Memory beside the heap",
            About(
                "Classes, compiled code and other memory of the JVM beside its heap.",
                "constant after the first minutes.",
                "growth without end is a leak: take a heap dump and report it.",
            ),
            "bytes",
            Query(total(node("jvm_memory_used_bytes", 'area="nonheap"', NODE), "program"), "{{program}}"),
            width=8,
        ),
        lines(
            "Threads of the JVM",
            About(
                "Threads of each node.",
                "constant.",
                "growth without end: kraftd bundle --thread-dumps shows what the threads do.",
            ),
            "short",
            Query(most(node("jvm_threads_current", NODE), "program"), "{{program}}"),
            width=8,
        ),
        lines(
            "File descriptors",
            About(
                "Open files and sockets as a share of what is allowed.",
                "below 50 %.",
                "fewer partitions or connections, or a higher hard limit before kraftd start: ulimit -Hn shows it, "
                "limits.conf, systemd's LimitNOFILE or docker's --ulimit raise it.",
            ),
            "percentunit",
            Query(f"{node('process_open_fds', NODE)} / {node('process_max_fds', NODE)}", "{{program}}"),
            limit=limits.FILE_DESCRIPTORS,
            width=8,
            maximum=1,
        ),
    ]


def _disk() -> list[Panel]:
    usable, whole = (daemon(f"kraftd_log_dir_{what}_bytes") for what in ("usable", "total"))
    flush = node("kafka_log_logflushstats_logflushrateandtimems", 'quantile="0.99"', NODE)
    return [
        lines(
            "Disk free",
            About(
                "Free share of the file system of each broker's log directory.",
                "above 15 %.",
                "a shorter retention, or a larger disk: a broker whose disk is full stops.",
            ),
            "percentunit",
            Query(f"{least(usable, 'broker_id')} / {least(whole, 'broker_id')}", "broker {{broker_id}}"),
            limit=limits.DISK_FREE,
            width=8,
            maximum=1,
        ),
        shared.disk_until_full(8),
        lines(
            "Log, by broker",
            About(
                "Bytes of all replicas on each broker.",
                "flat once retention deletes as much as is written; about equal on all brokers.",
                "Topics shows which topic grows.",
            ),
            "bytes",
            Query(total(daemon("kraftd_log_dir_used_bytes"), "broker_id"), "broker {{broker_id}}"),
            width=8,
        ),
        lines(
            "Log flush p99",
            About(
                "How long it takes to flush a segment to the disk.",
                "below 50 ms; Kafka flushes when a segment is closed.",
                "a slow or shared disk.",
            ),
            "ms",
            Query(most(flush, "program"), "{{program}}"),
        ),
    ]
