"""Program views and snapshots for tests."""

from dataclasses import replace

from kraftd.health.lag.lag import group_lag
from kraftd.health.lag.status import LagStatus
from kraftd.health.lag.time_lag import AgeBounds
from kraftd.health.lag.view import (
    Canary,
    CollectorRun,
    Excluded,
    GroupStatus,
    KafkaView,
    LogDirs,
    Offsets,
    Unreadable,
)
from kraftd.health.programs.alerts import Alert, Alerts
from kraftd.health.programs.disks import DiskView
from kraftd.health.programs.state import (
    BrokerContact,
    LastExit,
    ProcessUsage,
    ProgramView,
    ServiceState,
    Snapshot,
)
from kraftd.kafka.model import (
    BrokerEndpoint,
    Failure,
    GroupState,
    LogDir,
    Member,
    Partial,
    Partition,
    Quorum,
    RoundTrip,
    TopicState,
    Voter,
)
from kraftd.plan.program import Kind

READY = ProgramView(
    name="broker-1",
    kind=Kind.BROKER,
    node_id=1,
    pid=4711,
    process_state="RUNNING",
    service_state=ServiceState.READY,
    ready=True,
    restarts=0,
    last_exit=None,
    reason=None,
    uptime_s=12.5,
    listeners=("127.0.0.1:9092",),
    jmx_port=9999,
    heap_bytes=4 * 1024**3,
    log="/srv/kraftd/local/logs/broker-1/server.log",
    metrics_port=7071,
)


def program(name, state=ServiceState.READY, reason=None):
    number = name.partition("-")[2]
    kind = {"broker": Kind.BROKER, "controller": Kind.CONTROLLER, "kraftd": Kind.DAEMON}
    kind |= {"prometheus": Kind.TOOL, "grafana": Kind.TOOL}
    return replace(
        READY,
        name=name,
        kind=kind.get(name.partition("-")[0], Kind.APP),
        node_id=int(number) if number.isdecimal() else None,
        service_state=state,
        ready=state is ServiceState.READY,
        reason=reason,
    )


def snapshot(*programs, kafka=None, supervised=True):
    return Snapshot(1000.0, 1000.0, supervised, programs, kafka or KafkaView())


def topic(name, *leaders, replicas=(1, 2), in_sync=(1, 2)):
    partitions = (Partition(name, number, leader, replicas, in_sync) for number, leader in enumerate(leaders))
    return TopicState(name, internal=False, partitions=tuple(partitions))


def quorum(leader_id=1, *voters):
    return Quorum(leader_id, 3, 100, voters, ())


def voter(node_id, age_s=0.0, lag=0):
    return Voter(node_id, 100, lag, age_s)


REFUSED = Failure("UNKNOWN_TOPIC_OR_PARTITION", "it was deleted", retriable=False)


def full_snapshot():
    """Return a snapshot with a value in every part, and a reason in every place for one."""
    ended = replace(
        program("broker-2", ServiceState.DOWN, "it ended"),
        pid=None,
        last_exit=LastExit("2026-01-01T00:00:00.000Z", None, "SIGKILL", "out of memory"),
    )
    return replace(
        snapshot(program("broker-1"), ended, program("producer"), program("kraftd"), kafka=full_view()),
        contacts={1: BrokerContact(0.002, unfenced=True), 2: BrokerContact(None, unfenced=False)},
        usages={"broker-1": ProcessUsage(12.5, 900_000_000, 120, 80, 900.0)},
        disks=(DiskView("/srv", 1024**4, 4 * 1024**4, 1024**2),),
        alerts=Alerts((Alert("BrokerDown", "critical", "Broker 2 is down.", "Why.", "2026-01-01T00:00:00Z"),), 1),
    )


def full_view():
    """Return what Kafka says, of a group that reads one partition of two."""
    key, other = ("orders", 0), ("orders", 1)
    member = Member("m", "c", "/127.0.0.1", (key, other))
    group = GroupState("readers", "Stable", "consumer", "classic", 1, (member,))
    bad_disk = LogDir("/bad", {}, None, None, Failure("KAFKA_STORAGE_ERROR", "it is read-only", retriable=False))
    return KafkaView(
        quorum=quorum(1, voter(1), voter(2, 0.2, 3)),
        topics=(topic("orders", 1, None, in_sync=(1,)),),
        groups={"readers": group, "gone": replace(group, name="gone", members=None)},
        lags={"readers": group_lag({key: 7, other: 1}, {key: 10}, {key: 0}, existing=[key, other], assigned=[key])},
        lags_taken_at_s=990.0,
        failures={"log_dirs": "no answer"},
        brokers=(BrokerEndpoint(1, "127.0.0.1", 9092),),
        offsets=Offsets(995.0, Partial({key: 10}, {other: REFUSED}), Partial({key: 0}), Partial({key: 10})),
        time_lags={"readers": {key: AgeBounds(10.0, 14.0)}},
        statuses={"readers": GroupStatus(LagStatus.STALL, {key: LagStatus.STALL})},
        log_dirs=LogDirs(980.0, Partial({1: (LogDir("/data", {key: 2048}, 1000, 400, None), bad_disk)}, {2: REFUSED})),
        canary=Canary(998.0, Partial({1: RoundTrip(0.003, 0.002)}, {2: REFUSED}), {1: 998.0, 2: 988.0}),
        unreadable=Unreadable(groups={"gone": REFUSED}, commits={"gone": REFUSED}, coordinators={2: REFUSED}),
        runs={"quorum": CollectorRun(up=True, duration_s=0.01, last_success_s=999.0, errors={"TIMED_OUT": 1})},
        excluded=Excluded(topics=frozenset(("a", "b"))),
    )
