"""kraftd & processes: what runs, what it costs, and whether kraftd itself sees everything."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards import shared
from tools.dashboards import thresholds as limits
from tools.dashboards.frame import Row, built, choice
from tools.dashboards.panels import About, Panel, lines, number
from tools.dashboards.queries import Query, daemon, least, most, or_zero, rate, targets, total

NAME = 'name=~"$program"'


def programs() -> Dashboard:
    """Return the dashboard."""
    known = daemon("kraftd_process_up")
    return built(
        "kraftd-programs",
        "kraftd / kraftd & processes",
        "Does every program run, what does it cost, and does kraftd see everything?",
        [
            shared.program_states(),
            *_verdicts(),
            _restarts(),
            _cpu(),
            _memory(),
            _collector_ages(),
            _collector_durations(),
            shared.canary(8),
        ],
        Row("Files and threads", _files_and_threads()),
        Row("What kraftd asks", _asked()),
        Row("Scrapes", _scrapes()),
        variables=[choice("program", "Program", f"label_values({known}, name)")],
    )


def _verdicts() -> list[Panel]:
    return [
        number(
            "Programs not ready",
            About(
                "Programs that are to run and do not serve.",
                "0; some during a start.",
                "kraftd status shows which, and the cause of its last exit.",
            ),
            "short",
            Query(
                total(f"({daemon('kraftd_process_ready')} == bool 0) * {daemon('kraftd_process_desired')}"), "programs"
            ),
            limit=limits.PROGRAMS_NOT_READY,
        ),
        number(
            "Restarts by kraftd",
            About(
                "Restarts of programs that ended, since the cluster was started.",
                "0.",
                "kraftd why NAME tells the cause of each, and when the next one is.",
            ),
            "short",
            Query(total(daemon("kraftd_process_restarts_total")), "restarts"),
        ),
        number(
            "Age of what kraftd sees",
            About(
                "How long ago kraftd last looked at the programs, when Prometheus asked.",
                "below 5 s.",
                "the daemon hangs: kraftd logs kraftd.",
            ),
            "s",
            Query(f"time() - {most(daemon('kraftd_snapshot_timestamp_seconds'))}", "age"),
            limit=limits.SNAPSHOT_AGE_S,
        ),
        number(
            "Collectors failing",
            About(
                "Parts of what kraftd asks Kafka that failed the last time.",
                "0; some while a broker restarts.",
                "/health names the error; what could not be read is absent here.",
            ),
            "short",
            Query(or_zero(total(f"{daemon('kraftd_collector_up')} == bool 0")), "collectors"),
            limit=limits.COLLECTORS_FAILING,
        ),
        number(
            "Canaries failing",
            About(
                "Brokers through which the last record of kraftd's own did not come back.",
                "0.",
                "the broker answers but does not serve: its disk, or too few replicas in sync.",
            ),
            "short",
            Query(or_zero(total(f"{daemon('kraftd_canary_success')} == bool 0")), "brokers"),
            limit=limits.CANARIES_FAILING,
        ),
        number(
            "Targets down",
            About(
                "Targets of this cluster that Prometheus cannot scrape.",
                "0; the agent of a node that is down counts too.",
                "Prometheus' page of targets shows the error.",
            ),
            "short",
            Query(or_zero(total(f"{targets('up')} == bool 0")), "targets"),
            limit=limits.TARGETS_DOWN,
        ),
    ]


def _restarts() -> Panel:
    return lines(
        "Restarts, by program",
        About(
            "Restarts by kraftd since the cluster was started.",
            "flat lines.",
            "kraftd why NAME tells the cause.",
        ),
        "short",
        Query(most(daemon("kraftd_process_restarts_total", NAME), "name"), "{{name}}"),
        width=8,
    )


def _cpu() -> Panel:
    return lines(
        "CPU, by program",
        About(
            "CPU cores that each program uses.",
            "below 0.1 each at rest.",
            "the machine's cores are shared: what takes most slows the others down.",
        ),
        "short",
        Query(total(rate(daemon("kraftd_process_cpu_seconds_total", NAME)), "name"), "{{name}}"),
        width=8,
        stacked=True,
    )


def _memory() -> Panel:
    return lines(
        "Memory, by program",
        About(
            "Resident memory of each program.",
            "a broker takes its heap and about 150 MiB, once the heap was filled once.",
            "smaller heaps (cluster.heap) where the machine has too little for page cache.",
        ),
        "bytes",
        Query(total(daemon("kraftd_process_resident_memory_bytes", NAME), "name"), "{{name}}"),
        width=8,
        stacked=True,
    )


def _collector_ages() -> Panel:
    success = daemon("kraftd_collector_last_success_timestamp_seconds")
    return lines(
        "Age of what kraftd knows, by collector",
        About(
            "How long ago each part of what kraftd asks Kafka last succeeded.",
            "up to 10 s; log_dirs up to a minute.",
            "the brokers do not answer: see Brokers in Overview, and /health for the error.",
        ),
        "s",
        Query(f"time() - {most(success, 'collector')}", "{{collector}}"),
        limit=limits.COLLECTOR_AGE_S,
        width=8,
    )


def _collector_durations() -> Panel:
    return lines(
        "Time of a collection",
        About(
            "How long each part took the last time.",
            "below 100 ms.",
            "seconds: a broker that does not answer, or thousands of partitions.",
        ),
        "s",
        Query(most(daemon("kraftd_collector_duration_seconds"), "collector"), "{{collector}}"),
        width=8,
    )


def _files_and_threads() -> list[Panel]:
    return [
        lines(
            "Open file descriptors, by program",
            About(
                "Open files and sockets.",
                "constant: a broker has some hundred, and a few for each partition.",
                "growth without end is a leak.",
            ),
            "short",
            Query(most(daemon("kraftd_process_open_fds", NAME), "name"), "{{name}}"),
        ),
        lines(
            "Threads, by program",
            About("Threads of each program.", "constant.", "growth without end is a leak."),
            "short",
            Query(most(daemon("kraftd_process_threads", NAME), "name"), "{{name}}"),
        ),
    ]


def _asked() -> list[Panel]:
    errors, unreadable = rate(daemon("kraftd_collector_errors_total")), daemon("kraftd_unreadable")
    return [
        lines(
            "Requests to the brokers",
            About(
                "Requests per second of kraftd to all brokers, by type.",
                "about two per second on three brokers, whatever the topics and groups are.",
                "more while the cluster is not well: metadata and quorum are then asked every second.",
            ),
            "reqps",
            Query(total(rate(daemon("kraftd_kafka_requests_total")), "api"), "{{api}}"),
            width=8,
        ),
        lines(
            "Failures of collectors",
            About(
                "Failures per second, by collector and error.",
                "none; some while a broker restarts.",
                "/health explains the error.",
            ),
            "ops",
            Query(total(errors, "collector", "error"), "{{collector}} {{error}}"),
            Query(or_zero(total(errors)), "all"),
            width=8,
        ),
        lines(
            "Without a value",
            About(
                "Topics, groups, partitions and brokers of which a value is not known now, by reason.",
                "none.",
                "/health names them.",
            ),
            "short",
            Query(total(unreadable, "kind", "error"), "{{kind}} {{error}}"),
            Query(or_zero(total(unreadable)), "all"),
            width=8,
        ),
    ]


def _scrapes() -> list[Panel]:
    return [
        lines(
            "Time of a scrape",
            About(
                "How long Prometheus waits for each target.",
                "below 100 ms.",
                "an agent above 1 s: the broker is busy; kraftd's own metrics come from memory.",
            ),
            "s",
            Query(most(targets("scrape_duration_seconds"), "program"), "{{program}}"),
            width=8,
        ),
        lines(
            "Samples of a scrape",
            About(
                "Samples of each target.",
                "about 600 of a node and a topic; kraftd's grow with partitions and groups.",
                "exclude topics or groups in [daemon] where Prometheus has too many series.",
            ),
            "short",
            Query(most(targets("scrape_samples_scraped"), "program"), "{{program}}"),
            width=8,
        ),
        lines(
            "Targets that answer",
            About(
                "1 while Prometheus can scrape the target.",
                "1 everywhere.",
                "Prometheus' page of targets shows the error.",
            ),
            "short",
            Query(least(targets("up"), "program"), "{{program}}"),
            width=8,
            maximum=1,
        ),
    ]
