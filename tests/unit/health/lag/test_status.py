import pytest

from kraftd.health.lag.status import MIN_SAMPLES, LagStatus, Window, partition_status, worst


def window(commits, ends):
    ends = [ends] * len(commits) if isinstance(ends, int) else ends
    return Window([10.0 * index for index in range(len(commits))], commits, ends)


def status(commits, ends, has_members=True):
    return partition_status(window(commits, ends), has_members=has_members)


@pytest.mark.parametrize(
    ("commits", "ends", "expected"),
    [
        pytest.param([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], LagStatus.OK, id="caught up"),
        pytest.param([5, 5, 5, 5, 5], 5, LagStatus.OK, id="idle and caught up"),
        pytest.param([1, 2, 3, 4, 5], 9, LagStatus.OK, id="behind and catching up"),
        pytest.param([1, 2, 3, 4, 5], [2, 4, 6, 8, 10], LagStatus.WARN, id="falling behind"),
        pytest.param([1, 2, 3, 4, 5], [3, 4, 5, 6, 7], LagStatus.WARN, id="behind and not catching up"),
        pytest.param([1, 2, 3, 4, 5], [2, 4, 6, 5, 10], LagStatus.OK, id="less behind once"),
        pytest.param([1, 2, 3, 3, 5], [1, 4, 6, 8, 10], LagStatus.OK, id="caught up once in the window"),
        pytest.param([5, 5, 5, 5, 5], [6, 7, 8, 9, 10], LagStatus.STALL, id="standing still while records come"),
        pytest.param([5, 5, 5, 5, 5], 9, LagStatus.STALL, id="standing still on an idle topic with records unread"),
        pytest.param([5, 5, 5, 5, 5], [5, 5, 5, 5, 9], LagStatus.OK, id="records have only just come"),
        pytest.param([5, 6, 2, 3, 4], 9, LagStatus.REWIND, id="went back"),
        pytest.param([5, 6, 2, 5, 6], 9, LagStatus.OK, id="went back and came back"),
        pytest.param([5, 6, 2, 3, 4], [5, 6, 6, 6, 4], LagStatus.OK, id="went back and has nothing to read"),
    ],
)
def test_a_group_with_members_is_judged_by_how_its_commits_move(commits, ends, expected):
    assert status(commits, ends) is expected


@pytest.mark.parametrize(
    ("commits", "ends", "expected"),
    [
        pytest.param([5, 5, 5, 5, 5], 9, LagStatus.STOP, id="commits ended before the window"),
        pytest.param([4, 5, 5, 5, 5], 9, LagStatus.STOP, id="commits ended early in the window"),
        pytest.param([2, 3, 4, 5, 5], 9, LagStatus.OK, id="commits ended a moment ago"),
        pytest.param([3, 4, 5, 5, 5], 9, LagStatus.EMPTY, id="as long silent as active before"),
        pytest.param([5, 5, 5, 5, 5], [5, 6, 7, 8, 9], LagStatus.EMPTY, id="was caught up in the window"),
        pytest.param([5, 5, 5, 5, 5], 5, LagStatus.OK, id="nothing to read"),
    ],
)
def test_a_group_without_members_does_not_keep_up_with_records_unread(commits, ends, expected):
    assert status(commits, ends, has_members=False) is expected


def test_a_group_whose_members_are_unknown_is_judged_as_burrow_does():
    assert status([5, 5, 5, 5, 5], 9, has_members=None) is LagStatus.STOP


def test_too_few_samples_say_nothing():
    assert status([5] * (MIN_SAMPLES - 1), 9) is None


def test_a_group_is_as_well_as_its_worst_partition():
    assert worst([LagStatus.OK, None, LagStatus.STALL, LagStatus.WARN]) is LagStatus.STALL
    assert worst([LagStatus.STALL, LagStatus.STOP]) is LagStatus.STOP
    assert worst([None]) is None
