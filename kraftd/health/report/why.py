"""`kraftd why NAME`: statements about a program, each below the one that it explains. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from kraftd.health.programs.causes import Cause
from kraftd.health.programs.ladder import described
from kraftd.health.programs.restarts import RestartHistory
from kraftd.health.programs.state import ProgramView, ServiceState, Status
from kraftd.health.report.documents import BrokerView, HealthDocument, StatusDocument
from kraftd.plan.desired import DesiredState
from kraftd.plan.program import DAEMON, Kind
from kraftd.units import duration, parse_timestamp, plural

_EVENTS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence.

    Attributes:
        depth: How far down the chain; 0 is the answer itself.
        about: Its subject, as ``broker-2`` or ``group readers``.
        text: The fact, without the subject and without a full stop.
        source: The source of the fact.
    """

    depth: int
    about: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class ProgramEvent:
    """One event of a program, as the log of events has it."""

    at: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class StateRecords:
    """The records of the state directory that explain a document.

    Attributes:
        desired: Which programs should run, and which command set that.
        restart_histories: The restarts of each program.
        events: The recent events of each program, oldest first.
        complaints: What the logs of programs that run and do not serve say.
        damage: The program's rendered files that are not whole, each with a clause that says in what way.
    """

    desired: DesiredState
    restart_histories: Mapping[str, RestartHistory] = field(default_factory=dict)
    events: Mapping[str, tuple[ProgramEvent, ...]] = field(default_factory=dict)
    complaints: Mapping[str, Cause] = field(default_factory=dict)
    damage: Mapping[str, str] = field(default_factory=dict)


def indented(facts: Iterator[Statement]) -> Iterator[Statement]:
    """Yield facts one level further down."""
    for fact in facts:
        yield replace(fact, depth=fact.depth + 1)


def node_named(document: StatusDocument, name: str) -> ProgramView | None:
    """Return a program's record."""
    return next((node for node in document.nodes if node.name == name), None)


def broker_with(document: StatusDocument, node_id: int | None) -> ProgramView | None:
    """Return the record of the broker with an id."""
    brokers = (node for node in document.nodes if node.kind is Kind.BROKER)
    return next((node for node in brokers if node.node_id == node_id), None)


def observer(document: StatusDocument) -> str:
    """Return who observed the document, and how long ago."""
    if isinstance(document, HealthDocument):
        return f"the daemon, {document.age_s:.1f} s ago"
    return "this command, from supervisord and the ports"


def _asker(document: StatusDocument, collector: str) -> str:
    """Return who asked Kafka, and how long ago: while all is well, that is less often than programs are looked at."""
    run = document.collectors.get(collector) if isinstance(document, HealthDocument) else None
    if run is None or run.last_success_age_s is None:
        return observer(document)
    return f"the daemon asked Kafka {run.last_success_age_s:.1f} s ago"


def why(document: StatusDocument, name: str, records: StateRecords, now_s: float) -> Iterator[Statement]:
    """Yield the chain behind a program's state.

    Args:
        document: The status or health of the cluster.
        name: A program that the document has.
        records: The records of the state directory.
        now_s: Seconds since the Unix epoch.
    """
    node = node_named(document, name)
    if node is None:
        raise LookupError(name)
    yield Statement(0, name, _state(node), observer(document))
    yield from _desired(name, records, now_s)
    if node.rung is not None:
        yield Statement(1, name, f"is on the rung {described(node.rung, node.recovery)}", observer(document))
    if node.ready:
        yield Statement(1, name, _serving(node), "its own answer")
        yield from _part(document, node)
    else:
        yield from _exit(document, node, now_s)
        yield from _complaint(name, records)
        yield from _next(document, node, records, now_s)
        yield from _consequences(document, node)
    for path, how in records.damage.items():
        yield Statement(1, name, f"its file {path} {how}: 'kraftd {_rewrite(node)}' writes it again", "its files")
    for note in node.notes:
        yield Statement(1, name, note, observer(document))
    for event in records.events.get(name, ())[-_EVENTS_SHOWN:]:
        yield Statement(1, name, f"{_ago(event.at, now_s)}: {event.kind.replace('_', ' ')}, {event.text}", "events")
    yield Statement(1, name, f"logs to {node.log}", "plan")


def _state(node: ProgramView) -> str:
    reason = f": {node.reason}" if node.reason else ""
    return f"is {node.service_state}{reason}"


def _rewrite(node: ProgramView) -> str:
    """Return the command that writes a program's damaged files again, which only its next start reads."""
    if node.ready:
        return "apply"
    return f"start {node.name}" if node.pid is None else f"restart {node.name}"


def _serving(node: ProgramView) -> str:
    since = f" for {duration(node.uptime_s)}" if node.uptime_s is not None else ""
    return f"runs as pid {node.pid}{since} and answers on {node.listeners[0]}"


def _desired(name: str, records: StateRecords, now_s: float) -> Iterator[Statement]:
    desired = records.desired.programs.get(name)
    if desired is None:
        yield Statement(1, name, "was never asked to run", "desired.json")
        return
    wanted = "should run" if desired.running else "should not run"
    if desired.running and desired.paused:
        wanted = "should be left alone"
    yield Statement(
        1, name, f"{wanted}: set by '{desired.by}' {_ago(desired.since, now_s)} ({desired.why})", "desired.json"
    )


def _exit(document: StatusDocument, node: ProgramView, now_s: float) -> Iterator[Statement]:
    if node.pid is not None:
        text = f"its process runs (pid {node.pid}, {node.process_state}) but does not serve: {node.reason}"
        yield Statement(1, node.name, text, "its port")
        return
    ended = node.last_exit
    if ended is None:
        yield Statement(1, node.name, f"it has no process ({node.process_state})", observer(document))
        return
    yield Statement(1, node.name, f"its last run ended {_ago(ended.at, now_s)} with {ended}", "supervisord.log")
    if ended.cause:
        yield Statement(2, node.name, ended.cause, "its log")


def _complaint(name: str, records: StateRecords) -> Iterator[Statement]:
    found = records.complaints.get(name)
    if found is not None:
        yield Statement(2, name, found.text, "its log")
        yield Statement(2, name, found.remedy.rstrip("."), "its log")


def _next(document: StatusDocument, node: ProgramView, records: StateRecords, now_s: float) -> Iterator[Statement]:
    name = node.name
    if node.pid is not None:
        return
    if node.service_state is ServiceState.STOPPED:
        desired = records.desired.programs.get(name)
        if desired is not None and desired.running:
            yield Statement(
                1, name, "nothing restarts it, because nothing of the cluster runs; 'kraftd start' does", "plan"
            )
        return
    if node.service_state is ServiceState.PAUSED:
        yield Statement(1, name, f"is not restarted while it is paused: 'kraftd resume {name}' restarts it", "plan")
        return
    memory = records.restart_histories.get(name, RestartHistory())
    daemon = node_named(document, DAEMON)
    if name == DAEMON:
        yield Statement(1, name, "supervisord restarts it at once, while supervisord itself runs", "plan")
    elif memory.given_up is not None:
        yield Statement(1, name, f"is not restarted: {memory.given_up}", "restarts.json")
        yield Statement(
            2,
            name,
            f"fix that, then run 'kraftd start {name}', or 'kraftd apply' for a changed kraftd.toml",
            "restarts.json",
        )
    elif document.status is Status.UNSUPERVISED or daemon is None or daemon.pid is None:
        missing = "the daemon does not run"
        if document.status is Status.UNSUPERVISED:
            missing = "supervisord does not run, or does not answer"
        yield Statement(1, name, f"nothing restarts it, because {missing}; 'kraftd start' does", observer(document))
    elif node.next_restart_at is not None:
        pause = duration(max(0.0, parse_timestamp(node.next_restart_at) - now_s))
        tried = f"after {plural(memory.attempts, 'restart')} without two healthy minutes"
        yield Statement(1, name, f"the daemon restarts it in {pause}, {tried}", "restarts.json")
        yield Statement(2, name, f"'kraftd start {name}' starts it at once", "restarts.json")
    else:
        yield Statement(1, name, "the daemon restarts it at once", "restarts.json")


def _part(document: StatusDocument, node: ProgramView) -> Iterator[Statement]:
    """Yield the partitions and replicas of a broker that serves."""
    broker = _broker(document, node)
    if broker is None:
        return
    if broker.leads is not None and broker.in_sync is not None and broker.replicas is not None:
        leads, replicas = plural(broker.leads, "partition"), plural(broker.replicas, "replica")
        yield Statement(
            1, node.name, f"leads {leads}; {broker.in_sync} of {replicas} in sync", _asker(document, "topics")
        )
    if broker.unfenced is False:
        yield Statement(
            1, node.name, "the cluster does not count it as alive: it is fenced", _asker(document, "topics")
        )


def _consequences(document: StatusDocument, node: ProgramView) -> Iterator[Statement]:
    """Yield the consequences of a program that does not serve."""
    broker = _broker(document, node)
    if broker and broker.leads is not None and broker.in_sync is not None and broker.replicas is not None:
        leads, replicas = plural(broker.leads, "partition"), plural(broker.replicas, "replica")
        behind = broker.replicas - broker.in_sync
        yield Statement(1, node.name, f"{behind} of {replicas} out of sync; leads {leads}", _asker(document, "topics"))
    quorum = document.quorum if isinstance(document, HealthDocument) else None
    if quorum is not None and node.node_id in {voter.node_id for voter in quorum.voters}:
        leader = "no leader" if quorum.leader_id is None else f"leader {quorum.leader_id}"
        yield Statement(1, node.name, f"it is a voter; the quorum has {leader}", _asker(document, "quorum"))


def _broker(document: StatusDocument, node: ProgramView) -> BrokerView | None:
    brokers = document.brokers if isinstance(document, HealthDocument) else ()
    return next((broker for broker in brokers if broker.name == node.name), None)


def _ago(at: str, now_s: float) -> str:
    return f"{duration(max(0.0, now_s - parse_timestamp(at)))} ago"
