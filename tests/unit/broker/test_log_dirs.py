from kraftd.broker.log_dirs import describe_log_dirs
from kraftd.broker.model import LogDir
from tests.unit.broker.fake_wire import CODES, TIMED_OUT, FakeWire, failure, record

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
