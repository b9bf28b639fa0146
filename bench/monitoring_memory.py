"""How much memory the daemon's collection takes while topics and groups come and go: an hour of cycles, in a minute.

The brokers are scripted and the clock is moved by hand; everything between the wire and the text of /metrics is real.
"""

import gc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import psutil

from kraftd.kafka.admin import KafkaAdmin
from kraftd.kafka.wire import Request, Response
from kraftd.observe.collector import Collector
from kraftd.plan.plan import Access
from kraftd.serve.metrics.exposition import Exposition
from tests.clocks import ManualClock
from tests.plans import plan_of
from tests.unit.kafka.fake_wire import FakeWire, metadata, record, topic

TOPICS, PARTITIONS, GROUPS, COMMITS = 30, 10, 50, 60
_BROKERS = (1, 2)
_CYCLE_S, _CYCLES_PER_HOUR = 10.0, 360
_WARM_UP_CYCLES = 120
_MIB = 1024 * 1024


class Churn:
    """A cluster in which each cycle replaces a topic and two groups, and every partition and commit moves on."""

    def __init__(self) -> None:
        self._cycle = 0

    def move(self) -> None:
        """Go on to the next cycle."""
        self._cycle += 1

    def wire(self) -> FakeWire:
        """Return brokers that answer with what there is now."""
        answers: dict[Any, Callable[[Request], Response]] = {
            "Metadata": lambda _: self._metadata(),
            "DescribeQuorum": lambda _: record(error_code=41, error_message=None),
            "DescribeGroups": _described,
            "OffsetFetch": self._commits,
            "ListOffsets": self._offsets,
            "DescribeLogDirs": lambda _: record(error_code=0, results=[]),
        }
        answers |= {(node_id, "ListGroups"): self._listed(node_id) for node_id in _BROKERS}
        return FakeWire(answers)

    def _topics(self) -> list[str]:
        return [f"topic-{number}" for number in range(self._cycle, self._cycle + TOPICS)]

    def _metadata(self) -> Response:
        led = [(1 + index % 2, [1, 2], [1, 2]) for index in range(PARTITIONS)]
        return metadata([topic(name, *led) for name in self._topics()], _BROKERS)

    def _listed(self, node_id: int) -> Callable[[Request], Response]:
        def listed(_: Request) -> Response:
            numbers = range(2 * self._cycle, 2 * self._cycle + GROUPS)
            names = [f"group-{number}" for number in numbers if number % 2 == node_id - 1]
            groups = [
                record(group_id=name, group_state="Empty", protocol_type="consumer", group_type="Classic")
                for name in names
            ]
            return record(error_code=0, groups=groups)

        return listed

    def _commits(self, request: Request) -> Response:
        places = [(name, index) for name in self._topics() for index in range(PARTITIONS)]
        groups = []
        for number, group in enumerate(request.fields["groups"]):
            read: dict[str, list[SimpleNamespace]] = {}
            for step in range(COMMITS):
                name, index = places[(number * 7 + step) % len(places)]
                partition = record(partition_index=index, error_code=0, committed_offset=90 * self._cycle)
                read.setdefault(name, []).append(partition)
            topics = [record(name=name, partitions=partitions) for name, partitions in read.items()]
            groups.append(record(group_id=group["group_id"], error_code=0, topics=topics))
        return record(groups=groups)

    def _offsets(self, request: Request) -> Response:
        return record(
            topics=[
                record(
                    name=each["name"],
                    partitions=[
                        record(partition_index=one["partition_index"], error_code=0, offset=100 * self._cycle)
                        for one in each["partitions"]
                    ],
                )
                for each in request.fields["topics"]
            ]
        )


def _described(request: Request) -> Response:
    return record(
        groups=[
            record(group_id=name, error_code=0, error_message=None, group_state="Empty", members=[])
            for name in request.fields["groups"]
        ]
    )


def print_memory(hours: float = 1.0) -> None:
    """Print the resident memory after twenty minutes of churn, after so many hours more, and the growth per hour."""
    churn, clock, exposition = Churn(), ManualClock(), Exposition()
    wire = churn.wire()
    cycles = round(hours * _CYCLES_PER_HOUR)
    with KafkaAdmin(Access(("scripted:1",)), clock=clock, connect=lambda *_: wire) as admin:
        collector = Collector(admin, clock, plan_of("[daemon]\nprobe = false\n"))

        def run(count: int) -> float:
            for _ in range(count):
                churn.move()
                exposition.show_kafka(collector.collect(is_settled=True))
                clock.advance(_CYCLE_S)
                wire.asked.clear()
                wire.learned.clear()
            gc.collect()
            return psutil.Process().memory_info().rss / _MIB

        begin_mib = run(_WARM_UP_CYCLES)
        seen_mib = [run(cycles // 6) for _ in range(6)]
    print(f"resident memory over {cycles} cycles of churn: {begin_mib:.1f} MiB, then", end=" ")
    print(", ".join(f"{each:.1f}" for each in seen_mib), end=" MiB; ")
    print(f"growth per hour {(seen_mib[-1] - begin_mib) / hours:+.2f} MiB")


if __name__ == "__main__":
    print_memory()
