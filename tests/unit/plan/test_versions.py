import pytest

from kraftd.errors import ConfigurationError, RuntimeMissingError
from kraftd.plan.versions import check_java, check_kafka_version, resolve_kafka_version

LOCKED = ("3.9.1", "3.9.2", "4.3.1")


@pytest.mark.parametrize(
    ("asked", "meant"), [("3.9", "3.9.2"), ("3.9.1", "3.9.1"), ("4.3", "4.3.1"), ("4.3.1", "4.3.1")]
)
def test_a_version_means_itself_or_the_newest_patch(asked, meant):
    assert resolve_kafka_version(asked, LOCKED) == meant


def test_patches_are_compared_as_numbers():
    assert resolve_kafka_version("3.9", ("3.9.10", "3.9.9")) == "3.9.10"


@pytest.mark.parametrize("asked", ["3", "4", "3.8", "3.9.3", "4.3.10", "", "latest", "3.9."])
def test_any_other_version_is_refused_with_what_there_is(asked):
    with pytest.raises(ConfigurationError, match=r"3\.9\.1, 3\.9\.2, 4\.3\.1") as caught:
        resolve_kafka_version(asked, LOCKED)

    assert repr(asked) in str(caught.value)


@pytest.mark.parametrize(
    ("kafka", "java"), [("3.9.1", 25), ("3.9.2", 11), ("3.9.2", 30), ("4.3.1", 17), ("4.3.1", 25), ("3.9.0", 21)]
)
def test_a_java_that_runs_a_kafka_passes(kafka, java):
    check_java(kafka, java)


@pytest.mark.parametrize(
    ("kafka", "java", "wanted"),
    [
        ("4.3.1", 11, "Java 17 or newer"),
        ("3.9.2", 8, "Java 11 or newer"),
        ("3.9.0", 25, "Java 11 to 22"),
        ("3.9.0-vendor", 25, "Java 11 to 22"),
    ],
)
def test_a_java_that_does_not_is_refused_with_the_range_and_the_remedy(kafka, java, wanted):
    with pytest.raises(RuntimeMissingError, match=f"Kafka {kafka} with Java {java}: it needs {wanted}") as caught:
        check_java(kafka, java)

    assert "java.home" in caught.value.hint


@pytest.mark.parametrize("version", ["3.8.1", "2.8.0", "4.4.0", "5.0.0", "trunk"])
def test_a_kafka_outside_of_what_kraftd_knows_is_refused(version):
    with pytest.raises(ConfigurationError, match=r"kraftd supports 3\.9 to 4\.3"):
        check_kafka_version(version)
