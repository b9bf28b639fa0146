from dataclasses import replace

import pytest

from kraftd.broker.model import GroupState, Member
from kraftd.watch.steadiness import Seen, Steadiness

KEY, OTHER = ("orders", 0), ("orders", 1)
GROUP = GroupState("g", "Stable", "consumer", "classic", 1, (Member("m", "c", "127.0.0.1", (OTHER,)),))
SEEN = Seen({"g": GROUP}, {"g": {KEY: 5}}, {KEY: 9, OTHER: 9}, {KEY: 0, OTHER: 0}, frozenset({KEY, OTHER}))


@pytest.fixture
def steadiness():
    """A group that three measurements saw alike."""
    made = Steadiness()
    for _ in range(3):
        made.compare(SEEN)
    return made


def test_what_is_seen_for_the_first_time_has_not_been_unchanged():
    subject = Steadiness()

    subject.compare(SEEN)

    assert subject.looks_unchanged("g") == subject.looks_unchanged("another") == 0


def test_looks_that_saw_the_same_are_counted(steadiness):
    assert steadiness.looks_unchanged("g") == 2


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"commits": {"g": {KEY: 6}}}, id="a commit"),
        pytest.param({"commits": {"g": {KEY: 5, OTHER: 0}}}, id="a first commit"),
        pytest.param({"ends": {KEY: 10, OTHER: 9}}, id="a record where it has committed"),
        pytest.param({"ends": {KEY: 9, OTHER: 10}}, id="a record where it reads"),
        pytest.param({"ends": {OTHER: 9}}, id="an end that is not known"),
        pytest.param({"starts": {KEY: 1, OTHER: 0}}, id="retention"),
        pytest.param({"existing": frozenset({KEY})}, id="a partition that is gone"),
        pytest.param({"groups": {"g": replace(GROUP, members=())}}, id="a member that left"),
        pytest.param({"groups": {"g": replace(GROUP, members=None)}}, id="members that are not known"),
    ],
)
def test_whatever_a_lag_is_made_of_changes_a_group(steadiness, changed):
    steadiness.compare(replace(SEEN, **changed))

    assert steadiness.looks_unchanged("g") == 0


def test_what_does_not_concern_a_group_leaves_it_unchanged(steadiness):
    elsewhere = ("payments", 0)
    groups = SEEN.groups | {"other": replace(GROUP, name="other")}

    steadiness.compare(replace(SEEN, groups=groups, ends={**SEEN.ends, elsewhere: 1}))

    assert steadiness.looks_unchanged("g") == 3


def test_a_group_that_was_away_begins_anew(steadiness):
    steadiness.compare(replace(SEEN, groups={}, commits={}))
    steadiness.compare(SEEN)

    assert steadiness.looks_unchanged("g") == 0
