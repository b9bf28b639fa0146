"""KRaft quorum: who is the active controller, and how many failures the metadata still bears."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards import thresholds as limits
from tools.dashboards.frame import Row, built
from tools.dashboards.panels import BAD, GOOD, OFF, WAITING, WARNING, About, Panel, States, lines, number, states
from tools.dashboards.queries import Query, code, daemon, growth, most, node, total

_RAFT = "kafka_server_raft_metrics"
_CONTROLLER = "kafka_controller_kafkacontroller"
ROLES: States = (
    ("leader", GOOD),
    ("follower", WAITING),
    ("observer", OFF),
    ("candidate", WARNING),
    ("prospective", WARNING),
    ("voted", WARNING),
    ("unattached", BAD),
    ("resigned", BAD),
)


def quorum() -> Dashboard:
    """Return the dashboard."""
    return built(
        "kraftd-quorum",
        "kraftd / KRaft quorum",
        "Who is the active controller, do the voters keep up, and how many of them may still fail?",
        [
            _roles(),
            *_verdicts(),
            _voter_ages(),
            _voter_lag(),
            _leaders(),
            _records(),
            _latency(
                "Commit latency",
                f"{_RAFT}_commit_latency",
                "How long the leader waits until a majority has a metadata record; only the leader has it.",
                "below 20 ms, nothing on other nodes.",
            ),
            _latency(
                "Election latency",
                f"{_RAFT}_election_latency",
                "How long the last election took; only on nodes that stood in one.",
                "below 1 s, and nothing most of the time.",
            ),
            _event_queue(),
        ],
        Row("Metadata", _metadata()),
        Row("Elections and events", _events()),
    )


def _roles() -> Panel:
    selector = node(f"{_RAFT}_current_state", 'state="%s"')
    return states(
        "Roles in the quorum",
        About(
            "The role of each node in the quorum over time.",
            "one leader (green), the other voters followers (blue), brokers that are no voters observers (grey).",
            "yellow or red for longer than a second: nodes that cannot reach each other; see their controller.log.",
        ),
        ROLES,
        Query(code(selector, tuple(name for name, _ in ROLES), "program"), "{{program}}"),
        limit=limits.ACTIVE_CONTROLLERS,
    )


def _verdicts() -> list[Panel]:
    age = daemon("kraftd_quorum_voter_last_caught_up_age_seconds")
    spare = f"sum({age} < bool 10) - floor(count({age}) / 2) - 1"
    errors = [
        node(f"{_CONTROLLER}_metadataerrorcount"),
        node("kafka_server_broker_metadata_metrics_metadata_load_error_count"),
        node("kafka_server_broker_metadata_metrics_metadata_apply_error_count"),
    ]
    return [
        number(
            "Active controllers",
            About(
                "Nodes that say that they are the active controller.",
                "1; 0 for a moment during an election.",
                "0: too few voters are alive for a majority; kraftd status names those that are not.",
            ),
            "short",
            Query(total(node(f"{_CONTROLLER}_activecontrollercount")), "controllers"),
            limit=limits.ACTIVE_CONTROLLERS,
        ),
        number(
            "Voters that may still fail",
            About(
                "How many more voters may fail before no metadata can be changed.",
                "1 with three voters, 0 with a single broker.",
                "0 with three voters: bring the one back that is down. Below 0 there is no majority.",
            ),
            "short",
            Query(spare, "voters"),
            limit=limits.VOTERS_TO_SPARE,
        ),
        number(
            "Active controller",
            About(
                "The node id of the active controller.",
                "the same number for hours.",
                "a change without a restart: Elections and events shows when, controller.log shows why.",
            ),
            "none",
            Query(most(daemon("kraftd_quorum_leader_id")), "node"),
        ),
        number(
            "Leader epoch",
            About(
                "How many terms the quorum had.",
                "constant; a restart of the active controller adds one.",
                "it rises again and again: voters lose each other (GC pauses, a busy machine).",
            ),
            "none",
            Query(most(daemon("kraftd_quorum_leader_epoch")), "epoch"),
        ),
        number(
            "Fenced brokers",
            About(
                "Registered brokers that the controller counts as not alive.",
                "0.",
                "kraftd status shows the broker; it is unfenced when its heartbeat arrives again.",
            ),
            "short",
            Query(most(node(f"{_CONTROLLER}_fencedbrokercount")), "brokers"),
            limit=limits.FENCED_BROKERS,
        ),
        number(
            "Metadata errors",
            About(
                "Metadata records that a node could not load or apply.",
                "0.",
                "the node's server.log names the record; restart the node, and report it.",
            ),
            "short",
            Query(" + ".join(f"({most(each)} or vector(0))" for each in errors), "errors"),
            limit=limits.METADATA_ERRORS,
        ),
    ]


def _voter_ages() -> Panel:
    return lines(
        "Voters: time since caught up",
        About(
            "How long ago each voter had everything that the leader had.",
            "below 1 s.",
            "a line that rises by 1 s per second: the voter is down or cannot reach the leader.",
        ),
        "s",
        Query(most(daemon("kraftd_quorum_voter_last_caught_up_age_seconds"), "voter"), "voter {{voter}}"),
        limit=limits.VOTER_AGE_S,
        width=8,
    )


def _voter_lag() -> Panel:
    return lines(
        "Voters: records behind",
        About(
            "Metadata records that each voter is behind the leader.",
            "0, or a few for a moment.",
            "a growing number: the voter is down; see its state above.",
        ),
        "short",
        Query(most(daemon("kraftd_quorum_voter_lag_records"), "voter"), "voter {{voter}}"),
        width=8,
    )


def _leaders() -> Panel:
    return lines(
        "Leader, as each node sees it",
        About(
            "The node id of the leader that each node follows; -1 where it knows none.",
            "all lines on one value.",
            "different values for longer than a second: the nodes cannot reach each other.",
        ),
        "none",
        Query(most(node(f"{_RAFT}_current_leader"), "program"), "{{program}}"),
        width=8,
        minimum=None,
    )


def _records() -> Panel:
    return lines(
        "Metadata records committed",
        About(
            "Records per second that a majority of voters has.",
            "2 at rest, which are no-ops; more while topics, partitions or brokers change.",
            "0: there is no majority.",
        ),
        "recps",
        Query(most(growth(daemon("kraftd_quorum_high_watermark"))), "committed"),
        width=12,
    )


def _latency(title: str, metric: str, what: str, normal: str) -> Panel:
    return lines(
        title,
        About(what, normal, "a slow disk of a voter, or a busy machine; see CPU and GC pauses in Brokers & JVM."),
        "ms",
        Query(most(node(f"{metric}_avg"), "program"), "{{program}} mean"),
        Query(most(node(f"{metric}_max"), "program"), "{{program}} longest"),
        width=12,
    )


def _event_queue() -> Panel:
    return lines(
        "Controller's event queue p99",
        About(
            "How long the controller's events wait, and how long each takes.",
            "a few ms.",
            "hundreds of ms: the controller is overloaded (many partitions changed at once) or its disk is slow.",
        ),
        "ms",
        *(
            Query(
                most(node(f"kafka_controller_controllereventmanager_{metric}", 'quantile="0.99"'), "program"),
                f"{{{{program}}}} {legend}",
            )
            for legend, metric in {"waits": "eventqueuetimems", "takes": "eventqueueprocessingtimems"}.items()
        ),
        width=12,
    )


def _metadata() -> list[Panel]:
    applied = node("kafka_server_broker_metadata_metrics_last_applied_record_lag_ms")
    return [
        lines(
            "Metadata lag of the brokers",
            About(
                "The age of the newest metadata record that each broker applied.",
                "up to 1 s: every 500 ms there is a no-op.",
                "a growing line: the broker does not hear of new topics and leaders; restart it.",
            ),
            "ms",
            Query(most(applied, "program"), "{{program}}"),
            limit=limits.METADATA_LAG_MS,
            width=8,
        ),
        lines(
            "Log end offset, by node",
            About(
                "The end of each node's copy of the metadata log.",
                "all lines on top of each other.",
                "a line that stays behind: that node does not keep up.",
            ),
            "short",
            Query(most(node(f"{_RAFT}_log_end_offset"), "program"), "{{program}}"),
            width=8,
        ),
        lines(
            "Age of the newest snapshot",
            About(
                "How long ago each node wrote a snapshot of the metadata.",
                "up to an hour, or until 20 MiB of records came.",
                "days: the node cannot write; see its disk.",
            ),
            "ms",
            Query(most(node("kafka_server_snapshotemitter_latestsnapshotgeneratedagems"), "program"), "{{program}}"),
            width=8,
        ),
        lines(
            "Topics and partitions",
            About(
                "What the metadata holds, as the controllers count it.",
                "constant, but for what you create.",
                "thousands of partitions make every start and election slower.",
            ),
            "short",
            Query(most(node(f"{_CONTROLLER}_globaltopiccount")), "topics"),
            Query(most(node(f"{_CONTROLLER}_globalpartitioncount")), "partitions"),
            width=12,
        ),
        lines(
            "Records appended and fetched",
            About(
                "Metadata records per second that each node writes to its log, or reads from the leader.",
                "about 2 at rest.",
                "0 on one node: it is cut off.",
            ),
            "recps",
            Query(most(node(f"{_RAFT}_append_records_rate"), "program"), "{{program}} appends"),
            Query(most(node(f"{_RAFT}_fetch_records_rate"), "program"), "{{program}} fetches"),
            width=12,
        ),
    ]


def _events() -> list[Panel]:
    return [
        lines(
            "New active controllers",
            About(
                "How many controllers became active, as each node saw it.",
                "constant.",
                "steps without restarts: voters lose each other.",
            ),
            "short",
            Query(most(node(f"{_CONTROLLER}_newactivecontrollerscount"), "program"), "{{program}}"),
            width=8,
        ),
        lines(
            "Heartbeats that timed out",
            About(
                "Heartbeats of brokers that came too late, as each controller counted them.",
                "constant; a killed broker adds one.",
                "steps while all brokers run: a broker stands still (GC, disk), or the machine is overloaded.",
            ),
            "short",
            Query(most(node(f"{_CONTROLLER}_timedoutbrokerheartbeatcount"), "program"), "{{program}}"),
            width=8,
        ),
        lines(
            "Controller operations",
            About(
                "Operations per second of each controller, and those that timed out.",
                "a few per second; none times out.",
                "timeouts: the controller is overloaded; see its event queue.",
            ),
            "ops",
            Query(
                total(growth(node(f"{_CONTROLLER}_eventqueueoperationsstartedcount")), "program"), "{{program}} started"
            ),
            Query(
                total(growth(node(f"{_CONTROLLER}_eventqueueoperationstimedoutcount")), "program"),
                "{{program}} timed out",
            ),
            width=8,
        ),
    ]
