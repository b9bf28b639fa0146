import pytest

from kraftd.kafka.administration.settings import same_value


@pytest.mark.parametrize(
    ("stated", "shown"),
    [
        ("compact, delete", "compact,delete"),
        ("1", "1.0"),
        ("10485760", "1.048576E7"),
        (" 7000000", "7000000"),
        ("TRUE", "true"),
        (None, None),
    ],
)
def test_a_value_is_the_one_that_kafka_shows_in_its_own_form(stated, shown):
    assert same_value(stated, shown)


@pytest.mark.parametrize(
    ("stated", "shown"),
    [
        ("compact", "compact,delete"),
        ("9223372036854775807", "9223372036854775806"),
        ("true", "false"),
        ("GZIP", "gzip"),
        ("", None),
        (None, "1"),
        ("1d", "1"),
    ],
)
def test_another_value_is_told_apart(stated, shown):
    assert not same_value(stated, shown)
