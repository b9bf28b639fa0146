import struct

import pytest
from kafka.record.memory_records import MemoryRecordsBuilder

from kraftd.damage import DAMAGED, NOT_FOUND, REFUSED, Place
from kraftd.kafka.log import (
    EARLIEST,
    LATEST,
    IsolationLevel,
    batches_from,
    describe_log_dirs,
    headers,
    offsets_at,
    open_transactions,
    place_at,
)
from kraftd.kafka.model import AbortedTransaction, Batch, LogDir, OpenTransaction, Partition
from kraftd.kafka.wire import NO_LEADER
from tests.unit.kafka.fake_wire import CODES, TIMED_OUT, FakeWire, failure, record

ORDERS, OTHERS, LEADERLESS = (
    Partition("orders", index, leader, (1,), (1,)) for index, leader in enumerate((1, 2, None))
)

LENGTH_AT, MAGIC_AT = 8, 16

CODES[56] = ("KAFKA_STORAGE_ERROR", True)


def batch(base, last, count, attributes=0, producer=-1, body=b"x" * 20):
    head = struct.pack(">iBIhiqqqhii", 0, 2, 0, attributes, last - base, 0, 0, producer, 0, 0, count)
    return struct.pack(">qi", base, len(head) + len(body)) + head + body


def test_headers_say_what_a_batch_holds_without_a_record_being_decoded():
    fetched = batch(5, 9, 3) + batch(10, 19, 10, 0x13, 7) + batch(20, 20, 1, 0x30, 7)

    assert headers(fetched) == (
        Batch(5, 9, 3, -1, is_transactional=False, is_control=False, size_bytes=81),
        Batch(10, 19, 10, 7, is_transactional=True, is_control=False, size_bytes=81),
        Batch(20, 20, 1, 7, is_transactional=True, is_control=True, size_bytes=81),
    )


def test_a_batch_that_is_cut_after_its_header_is_known_and_one_cut_before_is_not():
    whole = batch(5, 9, 5)

    assert len(headers(whole + batch(10, 14, 5)[:61])) == 2
    assert len(headers(whole + batch(10, 14, 5)[:60])) == 1
    assert headers(b"") == ()


@pytest.mark.parametrize("length", [-(2**31), -93, -12, -1, 0, 13])
@pytest.mark.parametrize("magic", [0, 1, 2])
def test_a_damaged_length_is_the_end_of_the_headers_and_not_met_for_ever(length, magic):
    whole, damaged = batch(5, 9, 5), bytearray(batch(10, 14, 5))
    damaged[LENGTH_AT : LENGTH_AT + 4] = length.to_bytes(4, "big", signed=True)
    damaged[MAGIC_AT] = magic
    assert headers(whole + bytes(damaged) + batch(15, 19, 5)) == headers(whole)


@pytest.mark.parametrize("magic", [3, 90, 255])
def test_an_unknown_format_is_the_end_of_the_headers(magic):
    damaged = bytearray(batch(5, 9, 5))
    damaged[MAGIC_AT] = magic
    assert headers(bytes(damaged)) == ()


def test_headers_are_those_that_a_client_writes():
    builder = MemoryRecordsBuilder(magic=2, compression_type=0, batch_size=1000)
    for number in range(3):
        builder.append(1000, None, b"%d" % number)
    builder.close()

    (found,) = headers(bytes(builder.buffer()))

    assert (found.base_offset, found.last_offset, found.records, found.is_control) == (0, 2, 3, False)
    assert found.size_bytes == builder.size_in_bytes()


def answered(topic, index, error_code=0, records=b"", aborted=None, stable=0):
    partition = record(
        partition_index=index,
        error_code=error_code,
        last_stable_offset=stable,
        high_watermark=100,
        aborted_transactions=aborted,
        records=records,
    )
    return record(error_code=0, responses=[record(topic=topic, partitions=[partition])])


def test_each_leader_is_asked_once_for_what_is_committed_and_for_few_bytes():
    aborted = [record(producer_id=7, first_offset=5)]
    wire = FakeWire(
        {
            (1, "Fetch"): answered("orders", 0, records=batch(5, 9, 5), aborted=aborted, stable=12),
            (2, "Fetch"): TIMED_OUT,
        }
    )

    found = batches_from(wire, [(ORDERS, 5), (OTHERS, 6), (LEADERLESS, 7)])

    assert found.values["orders", 0].aborted == (AbortedTransaction(7, 5),)
    assert (found.values["orders", 0].stable, len(found.values["orders", 0].batches)) == (12, 1)
    assert found.failures["orders", 1] == TIMED_OUT
    assert found.failures["orders", 2].error == "NO_LEADER"
    (_, request), _ = wire.asked
    assert (request.fields["isolation_level"], request.fields["max_wait_ms"]) == (1, 0)
    assert request.fields["topics"][0]["partitions"][0]["fetch_offset"] == 5


def test_a_partition_in_error_has_a_failure():
    found = batches_from(FakeWire({"Fetch": answered("orders", 0, error_code=3)}), [(ORDERS, 5)])

    assert (found.values, found.failures) == ({}, {("orders", 0): failure(3)})


def producers(*states):
    active = [record(producer_id=p, current_txn_start_offset=start, last_timestamp=at) for p, start, at in states]
    partition = record(partition_index=0, error_code=0, error_message=None, active_producers=active)
    return record(topics=[record(name="orders", partitions=[partition])])


def test_the_oldest_open_transaction_is_told_with_its_id_age_and_timeout():
    state = record(
        error_code=0,
        transactional_id="tx",
        producer_id=8,
        transaction_start_time_ms=5000,
        transaction_timeout_ms=60_000,
    )
    listed = record(transaction_states=[record(transactional_id="tx", producer_id=8, transaction_state="Ongoing")])
    wire = FakeWire(
        {
            "DescribeProducers": producers((7, -1, 1000), (8, 40, 9000), (9, 60, 9500)),
            (1, "ListTransactions"): TIMED_OUT,
            (2, "ListTransactions"): listed,
            "DescribeTransactions": record(transaction_states=[state]),
        }
    )

    found = open_transactions(wire, [ORDERS], [1, 2])

    assert found.values == {("orders", 0): OpenTransaction(8, 40, 9.0, "tx", 5.0, 60.0)}
    assert [node_id for node_id, request in wire.asked if request.api == "DescribeTransactions"] == [2]


def test_a_transaction_whose_coordinator_does_not_answer_is_told_by_its_producer():
    wire = FakeWire({"DescribeProducers": producers((8, 40, -1)), "ListTransactions": TIMED_OUT})

    assert open_transactions(wire, [ORDERS], [1]).values == {("orders", 0): OpenTransaction(8, 40, None)}


def test_without_an_open_transaction_nobody_else_is_asked():
    wire = FakeWire({"DescribeProducers": producers((8, -1, 9000))})

    assert open_transactions(wire, [ORDERS], [1, 2]).values == {}
    assert [request.api for _, request in wire.asked] == ["DescribeProducers"]


@pytest.mark.parametrize(
    ("records", "error_code", "expected"),
    [(b"", 0, Place(fault=NOT_FOUND)), (b"", 2, Place(fault=REFUSED)), (b"", 1, Place())],
)
def test_a_place_without_a_batch_is_damage_or_the_end(records, error_code, expected):
    answer = answered("orders", 0, error_code, records)

    assert place_at(FakeWire({"Fetch": answer}), ORDERS, 5) == expected


def test_a_batch_is_checked_by_its_checksum():
    wire = FakeWire({"Fetch": answered("orders", 0, records=batch(5, 9, 5))})
    wire.checksum = lambda content: 7

    assert place_at(wire, ORDERS, 5).batch.fault == DAMAGED
    assert [request.fields["topics"][0]["partitions"][0]["partition_max_bytes"] for _, request in wire.asked] == [1]


def test_a_place_that_no_leader_tells_is_a_failure():
    assert place_at(FakeWire({"Fetch": TIMED_OUT}), ORDERS, 5) == TIMED_OUT
    assert place_at(FakeWire({"Fetch": answered("orders", 0, error_code=6)}), ORDERS, 5) == failure(6)
    assert place_at(FakeWire({}), LEADERLESS, 5).error == "NO_LEADER"


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
