import pytest

from kraftd.health.programs.disks import DiskSpace, disk_reasons, disk_views, extended

MIB = 1024**2
GIB = 1024**3


def watched(free_bytes, *, total_bytes=100 * GIB, every_s=5.0, min_free_bytes=256 * MIB):
    """Return the view after a look at each of these amounts."""
    samples = {}
    for number, free in enumerate(free_bytes):
        spaces = (DiskSpace("/srv", free, total_bytes),)
        samples = extended(samples, spaces, number * every_s)
    (view,) = disk_views(spaces, samples, min_free_bytes)
    return view


def test_a_disk_that_fills_evenly_is_full_when_the_rate_says():
    view = watched([10 * GIB - number * 50 * MIB for number in range(25)])

    assert view.rate_bytes_per_s == 10 * MIB
    assert view.full_in_s == pytest.approx((10 * GIB - 1200 * MIB) / (10 * MIB))


@pytest.mark.parametrize(
    "free_bytes",
    [
        [GIB],
        [GIB] * 30,
        [GIB + number for number in range(30)],
        # The burst of a start.
        [GIB - number * MIB for number in range(11)],
        # A segment was deleted meanwhile.
        [*[GIB - number * MIB for number in range(20)], 2 * GIB],
    ],
)
def test_no_time_is_told_where_a_disk_does_not_shrink_or_was_not_seen_for_long(free_bytes):
    view = watched(free_bytes)

    assert (view.full_in_s, list(disk_reasons([view]))) == (None, [])


def test_only_the_last_minutes_count():
    view = watched([*range(100 * GIB, 0, -GIB), *[GIB] * 61])

    assert view.full_in_s is None


def test_looks_in_quick_succession_are_one_sample():
    samples = {}
    for number in range(600):
        samples = extended(samples, (DiskSpace("/srv", GIB, GIB),), number * 1.0)

    assert len(samples["/srv"]) == 60


@pytest.mark.parametrize(
    ("total_bytes", "least_bytes"),
    [(100 * GIB, 256 * MIB), (1000 * MIB, 100 * MIB), (2560 * MIB, 256 * MIB), (2559 * MIB, 2559 * MIB // 10)],
)
def test_of_a_small_disk_a_tenth_is_enough(total_bytes, least_bytes):
    assert DiskSpace("/srv", 0, total_bytes).least_free_bytes(256 * MIB) == least_bytes


def test_a_short_disk_is_named_with_its_numbers():
    (reason,) = disk_reasons([watched([100 * MIB])])

    assert reason == ("the disk of /srv has 100.0 MiB of 100.0 GiB free, less than the 256.0 MiB of disk.min_free")


def test_a_disk_that_will_be_full_soon_is_named_before_it_is_short():
    view = watched([4 * GIB - number * 50 * MIB for number in range(25)])
    (reason,) = disk_reasons([view])

    assert view.free_bytes > view.least_free_bytes
    assert reason.endswith("free; full in 4 min 49 s at 10.0 MiB/s")


def test_a_disk_that_lasts_for_longer_is_no_reason():
    assert list(disk_reasons([watched([100 * GIB - number * 50 * MIB for number in range(25)])])) == []


def test_without_a_limit_only_the_time_counts():
    assert list(disk_reasons([watched([MIB], min_free_bytes=0)])) == []


@pytest.mark.parametrize(
    ("free", "total", "is_short"),
    [(999, 10_000_000, True), (1000, 10_000_000, False), (199, 300, True), (None, 0, False)],
)
def test_a_disk_that_takes_hardly_any_more_files_is_a_reason(free, total, is_short):
    views = disk_views([DiskSpace("/srv", GIB, 100 * GIB, free, total)], {}, 256 * MIB)

    expected = [f"the disk of /srv takes only {free} more files: its inodes run out"] if is_short else []
    assert list(disk_reasons(views)) == expected
