"""Program views and snapshots for tests."""

from dataclasses import replace

from kraftd.broker.model import GroupState, Member, Partition, Quorum, TopicState, Voter
from kraftd.spec.plan import Kind
from kraftd.watch.kafka_view import KafkaView
from kraftd.watch.lag import group_lag
from kraftd.watch.snapshot import LastExit, ProgramView, ServiceState, Snapshot

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
)


def program(name, state=ServiceState.READY, reason=None):
    number = name.partition("-")[2]
    kind = {"broker": Kind.BROKER, "controller": Kind.CONTROLLER, "kraftd": Kind.DAEMON}
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
    return Snapshot(1000.0, supervised, programs, kafka or KafkaView())


def topic(name, *leaders, replicas=(1, 2), in_sync=(1, 2)):
    partitions = (Partition(name, number, leader, replicas, in_sync) for number, leader in enumerate(leaders))
    return TopicState(name, internal=False, partitions=tuple(partitions))


def quorum(leader_id=1, *voters):
    return Quorum(leader_id, 3, 100, voters, ())


def voter(node_id, age_s=0.0, lag=0):
    return Voter(node_id, 100, lag, age_s)


def full_snapshot():
    """Return a snapshot with a value in every part."""
    group = GroupState(
        "readers", "Stable", "consumer", "classic", 1, (Member("m", "c", "/127.0.0.1", (("orders", 0),)),)
    )
    lag = group_lag({("orders", 0): 7}, {("orders", 0): 10}, {("orders", 0): 0}, existing=[("orders", 0)], assigned=())
    kafka = KafkaView(
        quorum=quorum(1, voter(1), voter(2, 0.2, 3)),
        topics=(topic("orders", 1, None, in_sync=(1,)),),
        groups={"readers": group, "gone": replace(group, name="gone", members=None)},
        lags={"readers": lag},
        lags_taken_at_s=990.0,
        failures={"log_dirs": "no answer"},
    )
    ended = replace(
        program("broker-2", ServiceState.DOWN, "it ended"),
        pid=None,
        last_exit=LastExit("2026-01-01T00:00:00.000Z", None, "SIGKILL", "out of memory"),
    )
    return snapshot(program("broker-1"), ended, program("producer"), program("kraftd"), kafka=kafka)
