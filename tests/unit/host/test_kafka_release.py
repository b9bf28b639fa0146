import pytest

from kraftd.errors import ConfigurationError, RuntimeMissingError
from kraftd.host.kafka_release import read_release
from tests.unit.host.installations import release_at


def test_the_version_stands_in_the_name_of_the_jar(tmp_path):
    assert read_release(release_at(tmp_path, "kafka_2.13-3.9.2.jar")).kafka_version == "3.9.2"


def test_a_vendor_may_append_to_the_version(tmp_path):
    assert read_release(release_at(tmp_path, "kafka_2.13-3.9.1-vendor4.jar")).kafka_version == "3.9.1-vendor4"


def test_the_classpath_is_every_jar_by_name_but_what_is_not_code(tmp_path):
    jars = (
        "zstd-jni.jar",
        "kafka_2.13-3.9.2.jar",
        "kafka_2.13-3.9.2-sources.jar",
        "kafka_2.13-3.9.2-test.jar",
        "a.jar",
    )

    release = read_release(release_at(tmp_path, *jars))

    assert [path.name for path in release.classpath] == ["a.jar", "kafka_2.13-3.9.2.jar", "zstd-jni.jar"]


@pytest.mark.parametrize(
    ("jars", "said"),
    [
        ((), "has no jars"),
        (("activemq.jar",), "it holds no kafka_2.13-VERSION.jar"),
        (("kafka_2.13-3.9.1.jar", "kafka_2.13-3.9.2.jar"), "it holds 3.9.1 and 3.9.2"),
    ],
)
def test_a_directory_without_one_release_is_refused(tmp_path, jars, said):
    with pytest.raises(RuntimeMissingError, match=said) as caught:
        read_release(release_at(tmp_path, *jars))

    assert "kafka.home" in caught.value.hint


def test_a_home_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RuntimeMissingError, match="is no directory"):
        read_release(tmp_path / "kafka")


def test_a_release_that_kraftd_cannot_run_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"Kafka 2\.8\.2"):
        read_release(release_at(tmp_path, "kafka_2.13-2.8.2.jar"))
