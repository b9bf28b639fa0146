from kraftd_apps.consumer.record import SeenRecord
from kraftd_apps.consumer.ring import Ring


def record(offset: int, partition: int = 0, size: int = 2) -> SeenRecord:
    return SeenRecord(partition, offset, 1_700_000_000_000 + offset, None, b"x" * size)


def offsets(ring: Ring) -> list[int]:
    return [entry.record.offset for entry in ring.newest(100)]


def test_the_newest_come_first():
    ring = Ring(10)
    ring.add([record(1), record(2)])
    ring.add([record(3)])
    assert offsets(ring) == [3, 2, 1]
    assert [entry.record.offset for entry in ring.newest(2)] == [3, 2]


def test_a_full_ring_forgets_the_oldest():
    ring = Ring(3)
    ring.add(record(number) for number in range(10))
    assert offsets(ring) == [9, 8, 7]


def test_the_bytes_are_bounded_too_but_the_newest_record_is_always_kept():
    ring = Ring(100, max_bytes=5000)
    ring.add(record(number, size=1000) for number in range(10))
    assert offsets(ring) == [9, 8, 7, 6]
    ring.add([record(99, size=1_000_000)])
    assert offsets(ring) == [99]


def test_a_record_that_comes_twice_is_kept_once():
    ring = Ring(10)
    ring.add([record(1), record(2)])
    assert [entry.record.offset for entry in ring.add([record(2), record(3)])] == [3]
    assert offsets(ring) == [3, 2, 1]


def test_a_record_read_back_before_it_arrives_ends_among_the_arrived_ones():
    ring = Ring(10)
    ring.add_older([record(8), record(9)])
    ring.add([record(7)])
    assert [entry.record.offset for entry in ring.add([record(8), record(9)])] == [8, 9]
    assert offsets(ring) == [9, 8, 7]


def test_what_came_after_a_number_is_known_and_how_much_of_it_is_gone():
    ring = Ring(3)
    ring.add(record(number) for number in range(5))
    entries, forgotten = ring.since(1)
    assert ([entry.sequence for entry in entries], forgotten) == ([3, 4, 5], 1)
    assert ring.since(5) == ([], 0)


def test_a_record_is_found_by_its_place():
    ring = Ring(3)
    ring.add([record(1)])
    assert ring.find(0, 1) == record(1)
    assert ring.find(0, 2) is None


def test_the_same_offset_in_a_topic_made_again_is_another_record():
    ring = Ring(10)
    ring.add([record(1)])
    new = SeenRecord(0, 1, 1_800_000_000_000, None, b"new")
    assert ring.add([new])
    assert ring.find(0, 1) == new


def test_older_records_go_before_those_that_arrived_meanwhile_where_there_is_room():
    ring = Ring(3)
    ring.add([record(10)])
    ring.add_older([record(1), record(2), record(3)])
    assert offsets(ring) == [10, 3, 2]
    assert [entry.sequence for entry in ring.newest(3)] == [1, 0, -1]


def at(partition: int, offset: int, timestamp_ms: int | None) -> SeenRecord:
    return SeenRecord(partition, offset, timestamp_ms, None, b"{}")


def places(ring: Ring) -> list[tuple[int, int]]:
    return [(entry.record.partition, entry.record.offset) for entry in ring.newest(100)]


def test_a_member_that_catches_up_shows_the_newest_by_time_not_the_last_it_read():
    ring = Ring(10, now_ms=lambda: 9000)
    ring.add([at(0, 1, 1000), at(0, 2, 3000)])
    ring.add([at(1, 1, 500), at(1, 2, 2000)])
    assert places(ring) == [(0, 2), (1, 2), (0, 1), (1, 1)]


def test_a_record_stamped_long_ago_is_no_older_than_the_one_before_it():
    ring = Ring(10, now_ms=lambda: 9000)
    ring.add([at(0, 1, 5000), at(1, 1, 4000), at(0, 2, 1)])
    assert places(ring) == [(0, 2), (0, 1), (1, 1)]


def test_a_record_stamped_in_the_future_does_not_stay_on_top():
    clock = iter([5000, 6000])
    ring = Ring(10, now_ms=lambda: next(clock))
    ring.add([at(0, 1, 253_402_300_799_999)])
    ring.add([at(1, 1, 5500)])
    assert places(ring) == [(1, 1), (0, 1)]


def test_a_record_without_a_timestamp_counts_from_its_arrival():
    ring = Ring(10, now_ms=lambda: 9000)
    ring.add([at(0, 1, None), at(1, 1, 8000)])
    assert places(ring) == [(0, 1), (1, 1)]


def test_what_is_new_is_not_pushed_out_by_what_is_old_and_arrives_later():
    ring = Ring(3, now_ms=lambda: 9000)
    ring.add([at(0, 1, 5000), at(0, 2, 6000)])
    ring.add(at(1, offset, offset) for offset in range(100))
    assert places(ring) == [(0, 2), (0, 1), (1, 99)]
