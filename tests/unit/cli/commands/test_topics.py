import pytest

from kraftd.cli.commands.topics import configurations, removal_lines, topics_named
from kraftd.errors import ConfigurationError
from kraftd.operate.data.topics import Removal


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((["a=1", "b=x=y"], None, None), {"a": "1", "b": "x=y"}),
        ((["a="], None, None), {"a": None}),
        ((None, "7d", "1GiB"), {"retention.ms": "604800000", "retention.bytes": "1073741824"}),
        ((None, "unlimited", "-1"), {"retention.ms": "-1", "retention.bytes": "-1"}),
    ],
)
def test_options_become_kafkas_configurations(arguments, expected):
    assert configurations(*arguments) == expected


@pytest.mark.parametrize(
    "arguments", [(["a"], None, None), (["=1"], None, None), (None, "7", None), (None, None, "big"), (None, "0d", None)]
)
def test_a_value_without_its_form_is_refused(arguments):
    with pytest.raises(ConfigurationError):
        configurations(*arguments)


def test_many_topics_are_named_in_one_short_line():
    removals = [Removal(f"orders-{number}", 1, 0, ()) for number in range(500)]

    assert topics_named(removals[:1]) == "the topic orders-0"
    assert topics_named(removals).endswith("orders-5 and 494 more")


@pytest.mark.parametrize(
    ("groups", "unknown", "end"),
    [
        ((), None, "read by no group"),
        (("a", "b"), None, "read by a, b"),
        ((), "it loads", "read by no group that is known; others may read it: it loads"),
        (("a",), "it loads", "read by a; others may read it: it loads"),
    ],
)
def test_what_would_be_removed_says_who_reads_it(groups, unknown, end):
    assert removal_lines([Removal("t", 1, 0, groups, unknown)]) == [f"t: up to 0 records in 1 partition; {end}"]
