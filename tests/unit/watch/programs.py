"""Program views and snapshots for tests."""

from dataclasses import replace

from kraftd.broker.model import Partition, Quorum, TopicState, Voter
from kraftd.spec.plan import Kind
from kraftd.watch.kafka_view import KafkaView
from kraftd.watch.snapshot import ProgramView, ServiceState, Snapshot

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
    kind = {"broker": Kind.BROKER, "controller": Kind.CONTROLLER, "kraftd": Kind.DAEMON}
    return replace(
        READY,
        name=name,
        kind=kind.get(name.partition("-")[0], Kind.APP),
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
