import pytest

from kraftd.cli.arguments import parse_duration, split_arguments


@pytest.mark.parametrize(
    "argv",
    [
        ["--json", "--state-dir", "/s", "status", "broker-1"],
        ["status", "broker-1", "--json", "--state-dir", "/s"],
        ["status", "--json", "--state-dir", "/s", "broker-1"],
    ],
)
def test_a_global_option_may_stand_anywhere(argv):
    assert split_arguments(argv) == (["--json", "--state-dir", "/s"], ["status", "broker-1"])


def test_a_value_may_be_joined_to_its_option():
    assert split_arguments(["start", "--set=cluster.brokers=1", "--timeout=3m"]) == (
        ["--set=cluster.brokers=1", "--timeout=3m"],
        ["start"],
    )


def test_a_value_that_looks_like_an_option_stays_a_value():
    assert split_arguments(["-c", "--json", "status"]) == (["-c", "--json"], ["status"])


@pytest.mark.parametrize("verb", ["kafka", "exec"])
def test_what_follows_a_verb_that_hands_its_arguments_on_is_not_touched(verb):
    argv = ["-q", verb, "topics", "--json", "--", "-c", "x"]

    assert split_arguments(argv) == (["-q"], [verb, "topics", "--json", "--", "-c", "x"])


def test_what_follows_two_dashes_is_not_touched():
    assert split_arguments(["start", "--", "--json"]) == ([], ["start", "--", "--json"])


def test_an_option_without_its_value_does_not_swallow_the_verb():
    assert split_arguments(["status", "--set"]) == (["--set"], [])


@pytest.mark.parametrize(
    ("text", "seconds"), [("180s", 180.0), ("3m", 180.0), ("0.5h", 1800.0), ("500ms", 0.5), ("7", 7.0), (" 2s ", 2.0)]
)
def test_a_duration_is_read_in_its_unit(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1 s", "1d", "s", "1e3", "nan", "0", "0ms"])
def test_what_is_no_duration_or_none_at_all_is_refused(text):
    with pytest.raises(ValueError, match=r"it is no duration|it leaves no time"):
        parse_duration(text)
