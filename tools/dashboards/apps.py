"""HTTP apps: what clients of the producer and the consumer see."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards import thresholds as limits
from tools.dashboards.frame import Row, built, choice
from tools.dashboards.panels import About, Panel, lines, number
from tools.dashboards.queries import Query, app, daemon, most, or_zero, quantile, rate, total

APP = 'program=~"$app"'
_ASKED = 'route!~"/readyz|/livez|/metrics"'
_SECONDS = "http_request_duration_seconds_bucket"


def apps() -> Dashboard:
    """Return the dashboard."""
    known = daemon("kraftd_process_up", 'kind="app"')
    return built(
        "kraftd-apps",
        "kraftd / HTTP apps",
        "How many requests do the producer and the consumer serve, how fast, and do the records arrive?",
        [
            *_verdicts(),
            _requests(),
            _latency(),
            _errors(),
            _received(),
            _end_to_end(),
            _lag(),
            _in_flight(),
            _brokers(),
        ],
        Row("Probes and pages", _probes()),
        variables=[choice("app", "App", f"label_values({known}, name)")],
    )


def _failed() -> str:
    failed, everything = (
        total(rate(app("http_requests_total", _ASKED, *status, APP))) for status in (['status=~"5..|0"'], [])
    )
    return f"({failed} or vector(0)) / clamp_min({everything} or vector(0), 0.000001)"


def _verdicts() -> list[Panel]:
    return [
        number(
            "Requests",
            About(
                "Requests per second over all apps, without probes and scrapes.",
                "what your clients send.",
                "0 while clients run: they cannot connect; kraftd status shows whether the apps serve.",
            ),
            "reqps",
            Query(or_zero(total(rate(app("http_requests_total", _ASKED, APP)))), "requests"),
            width=6,
        ),
        number(
            "Failed requests",
            About(
                "Share of requests that were answered with 5xx or cut off.",
                "0 %.",
                "503: Kafka does not acknowledge, see Overview; others: kraftd logs producer.",
            ),
            "percentunit",
            Query(_failed(), "failed"),
            limit=limits.HTTP_ERRORS,
            width=6,
        ),
        number(
            "Lost records",
            About(
                "Records sent with ack=none that Kafka did not acknowledge, since the app was started.",
                "0.",
                "use ack=all for records that matter.",
            ),
            "short",
            Query(or_zero(total(app("kafka_producer_lost_records_total", APP))), "records"),
            limit=limits.LOST_RECORDS,
            width=6,
        ),
        number(
            "Open pages",
            About(
                "Browsers that follow the consumer's page live.",
                "as many as you opened.",
                "each costs little; a slow one gets fewer frames.",
            ),
            "short",
            Query(or_zero(total(app("kafka_consumer_open_pages", APP))), "pages"),
            width=6,
        ),
    ]


def _requests() -> Panel:
    return lines(
        "Requests, by route and status",
        About(
            "Requests per second, without probes and scrapes; status 0: cut off.",
            "200 and 202.",
            "429: a rate limit (APP_RATE_LIMIT); 503: a full queue, or Kafka does not acknowledge; 4xx: the client.",
        ),
        "reqps",
        Query(
            total(rate(app("http_requests_total", _ASKED, APP)), "program", "method", "route", "status"),
            "{{program}} {{method}} {{route}} {{status}}",
        ),
        width=8,
    )


def _latency() -> Panel:
    return lines(
        "Request time",
        About(
            "From a request's first byte in the app to its last answer byte, median and 99th percentile.",
            "POST /send takes 10 ms to 30 ms: it waits for the acknowledgement of all replicas.",
            "compare with Round trip to the brokers: above it, the app itself is busy.",
        ),
        "s",
        *(
            Query(quantile(share, app(_SECONDS, _ASKED, APP), "program"), f"{{{{program}}}} {name}")
            for name, share in {"median": 0.5, "p99": 0.99}.items()
        ),
        width=8,
    )


def _errors() -> Panel:
    failed = rate(app("http_requests_total", 'status!~"2..|101"', _ASKED, APP))
    return lines(
        "Answers other than 2xx",
        About(
            "Requests per second by status, other than 2xx.",
            "none.",
            "the body of the answer (problem+json) says what was wrong.",
        ),
        "reqps",
        Query(
            total(failed, "program", "status"),
            "{{program}} {{status}}",
        ),
        Query(or_zero(total(failed)), "all"),
        width=8,
    )


def _received() -> Panel:
    return lines(
        "Records received",
        About(
            "Records per second that each consumer app received as a member of its group.",
            "what is written to its topic, shared among the consumers.",
            "less: Consumer groups & lag shows which partition is behind.",
        ),
        "recps",
        Query(total(rate(app("kafka_consumer_records_total", APP)), "program"), "{{program}}"),
        width=8,
    )


def _end_to_end() -> Panel:
    seconds = app("kafka_consumer_end_to_end_latency_seconds_bucket", APP)
    return lines(
        "From producer to consumer",
        About(
            "From a record's timestamp to its arrival in the consumer: median and 99th percentile of the newest "
            "record of each poll.",
            "10 ms to 50 ms.",
            "minutes after a start: the group catches up. Else see lag and Produce p99 by phase.",
        ),
        "s",
        *(
            Query(quantile(share, seconds, "program"), f"{{{{program}}}} {name}")
            for name, share in {"median": 0.5, "p99": 0.99}.items()
        ),
        width=8,
    )


def _lag() -> Panel:
    return lines(
        "Lag, as the consumer sees it",
        About(
            "Records between what the app read and the end of its partitions; ahead of what it committed.",
            "0, or a few.",
            "the app does not keep up: more consumers ([consumer] instances), up to the partitions.",
        ),
        "short",
        Query(total(app("kafka_consumer_lag_records", APP), "program"), "{{program}}"),
        width=8,
    )


def _in_flight() -> Panel:
    return lines(
        "Records in flight",
        About(
            "Records that wait for their acknowledgement.",
            "a few, following the requests.",
            "a rising line: the brokers do not acknowledge; see Under min ISR in Overview.",
        ),
        "short",
        Query(total(app("kafka_producer_inflight_records", APP), "program"), "{{program}}"),
        width=12,
    )


def _brokers() -> Panel:
    return lines(
        "Round trip to the brokers, p99",
        About(
            "99th percentile of each broker's answers to the producer in its last 10 s.",
            "a few ms; 0 where nothing was sent.",
            "Brokers & JVM shows which phase of a request takes the time.",
        ),
        "s",
        Query(most(app("kafka_producer_broker_rtt_p99_seconds", APP), "program", "broker"), "broker {{broker}}"),
        width=12,
    )


def _probes() -> list[Panel]:
    probes = app("http_requests_total", 'route=~"/readyz|/livez|/metrics"', APP)
    return [
        lines(
            "Probes and scrapes",
            About(
                "Requests per second of kraftd and Prometheus.",
                "one per second for each app.",
                "503 of /readyz: the app has no connection to Kafka, or its consumer no assignment.",
            ),
            "reqps",
            Query(total(rate(probes), "program", "route", "status"), "{{program}} {{route}} {{status}}"),
            width=8,
        ),
        lines(
            "Bytes received",
            About(
                "Bytes per second of keys, values and headers that each consumer app received.",
                "follows the records.",
                "few records and many bytes: large records.",
            ),
            "Bps",
            Query(total(rate(app("kafka_consumer_record_bytes_total", APP)), "program"), "{{program}}"),
            width=8,
        ),
        lines(
            "Repeated requests and replaced clients",
            About(
                "Requests that the producer's client repeated, and clients replaced after a fatal error, so far.",
                "constant; a broker's restart adds some.",
                "steps without restarts: an overloaded broker.",
            ),
            "short",
            Query(total(app("kafka_producer_request_retries", APP), "program"), "{{program}} repeated"),
            Query(total(app("kafka_producer_replacements_total", APP), "program"), "{{program}} replaced"),
            width=8,
        ),
    ]
