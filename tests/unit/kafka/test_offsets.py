from kraftd.kafka.model import LogDir, Partition
from kraftd.kafka.offsets import EARLIEST, LATEST, IsolationLevel, describe_log_dirs, offsets_at
from kraftd.kafka.wire import NO_LEADER
from tests.unit.kafka.fake_wire import CODES, TIMED_OUT, FakeWire, failure, record

CODES[56] = ("KAFKA_STORAGE_ERROR", True)


def log_dir(path, error_code=0, total=100, usable=40, **sizes):
    topics = [
        record(name=name, partitions=[record(partition_index=0, partition_size=size)]) for name, size in sizes.items()
    ]
    return record(log_dir=path, error_code=error_code, total_bytes=total, usable_bytes=usable, topics=topics)


def test_a_log_directory_holds_replicas_and_has_room():
    wire = FakeWire({"DescribeLogDirs": record(error_code=0, results=[log_dir("/data", t=7, u=0)])})

    found = describe_log_dirs(wire, [1])

    assert found.values == {1: (LogDir("/data", {("t", 0): 7, ("u", 0): 0}, 100, 40, None),)}


def test_sizes_that_a_broker_does_not_tell_are_unknown():
    wire = FakeWire({"DescribeLogDirs": record(error_code=0, results=[log_dir("/data", total=-1, usable=-1)])})

    ((found,),) = describe_log_dirs(wire, [1]).values.values()

    assert (found.total_bytes, found.usable_bytes) == (None, None)


def test_an_offline_directory_is_a_failure_beside_the_others():
    results = [log_dir("/bad", error_code=56, total=-1, usable=-1), log_dir("/good")]
    wire = FakeWire({"DescribeLogDirs": record(error_code=0, results=results)})

    bad, good = describe_log_dirs(wire, [1]).values[1]

    assert (bad.failure, good.failure) == (failure(56), None)


def test_a_broker_that_does_not_answer_costs_its_directories():
    wire = FakeWire(
        {
            (1, "DescribeLogDirs"): TIMED_OUT,
            (2, "DescribeLogDirs"): record(error_code=0, results=[]),
            (3, "DescribeLogDirs"): record(error_code=16, results=[]),
        }
    )

    found = describe_log_dirs(wire, [1, 2, 3])

    assert found.values == {2: ()}
    assert found.failures == {1: TIMED_OUT, 3: failure(16)}


T0, T1, U0 = Partition("t", 0, 1, (1, 2), (1, 2)), Partition("t", 1, 2, (2, 1), (2,)), Partition("u", 0, 1, (1,), (1,))


def answer(error_codes=None, offset=10):
    """Answer every partition that is asked for with the same offset, or with its error."""

    def answered(request):
        return record(
            topics=[
                record(
                    name=topic["name"],
                    partitions=[
                        record(
                            partition_index=partition["partition_index"],
                            error_code=(error_codes or {}).get((topic["name"], partition["partition_index"]), 0),
                            offset=offset,
                        )
                        for partition in topic["partitions"]
                    ],
                )
                for topic in request.fields["topics"]
            ]
        )

    return answered


def test_each_leader_is_asked_once_for_all_of_its_partitions():
    wire = FakeWire({"ListOffsets": answer()})

    found = offsets_at(wire, [T0, T1, U0], LATEST)

    assert found.values == {T0.key: 10, T1.key: 10, U0.key: 10}
    assert [node_id for node_id, _ in wire.asked] == [1, 2]


def test_a_partition_without_a_leader_costs_only_itself():
    offline = Partition("t", 2, None, (1, 2), ())
    found = offsets_at(FakeWire({"ListOffsets": answer()}), [T0, offline], LATEST)

    assert found.values == {T0.key: 10}
    assert found.failures == {offline.key: NO_LEADER}


def test_a_leader_that_does_not_answer_costs_its_partitions():
    found = offsets_at(FakeWire({(1, "ListOffsets"): TIMED_OUT, (2, "ListOffsets"): answer()}), [T0, T1, U0], LATEST)

    assert found.values == {T1.key: 10}
    assert found.failures == {T0.key: TIMED_OUT, U0.key: TIMED_OUT}


def test_a_partition_in_error_costs_only_itself():
    found = offsets_at(FakeWire({"ListOffsets": answer({T0.key: 6})}), [T0, U0], LATEST)

    assert found.values == {U0.key: 10}
    assert found.failures == {T0.key: failure(6)}


def test_no_record_at_a_time_is_neither_an_offset_nor_a_failure():
    found = offsets_at(FakeWire({"ListOffsets": answer(offset=-1)}), [T0], at_ms=1_700_000_000_000)

    assert (found.values, found.failures) == ({}, {})


def test_offset_zero_is_an_offset():
    assert offsets_at(FakeWire({"ListOffsets": answer(offset=0)}), [T0], EARLIEST).values == {T0.key: 0}


def test_the_isolation_level_is_asked_for():
    wire = FakeWire({"ListOffsets": answer()})

    offsets_at(wire, [T0], LATEST, IsolationLevel.READ_COMMITTED)

    ((_, request),) = wire.asked
    assert request.fields["isolation_level"] == 1
    assert request.min_version == 2


def test_no_partitions_ask_nothing():
    wire = FakeWire({})

    assert offsets_at(wire, [], LATEST).values == {}
    assert wire.asked == []
