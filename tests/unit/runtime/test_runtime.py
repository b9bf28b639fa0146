import pytest

from kraftd.clock import SystemClock
from kraftd.errors import ConfigurationError, RuntimeMissingError
from kraftd.runtime.jars import JarSet, read_lock
from kraftd.runtime.runtime import RuntimeSpec, exact_kafka_version, fetch_runtime, find_runtime, read_release
from tests.unit.host.installations import java_home, release_at
from tests.unit.runtime.jars import Heard, Source


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
    with pytest.raises(RuntimeMissingError, match="is not a directory"):
        read_release(tmp_path / "kafka")


def test_a_release_that_kraftd_cannot_run_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"Kafka 2\.8\.2"):
        read_release(release_at(tmp_path, "kafka_2.13-2.8.2.jar"))


CLOCK = SystemClock()


class Unreachable:
    """A source that must not be asked."""

    def fetch(self, _jars, _into, _progress):
        raise AssertionError("asked for jars")


def test_an_empty_cache_is_told_with_what_to_fetch(tmp_path):
    with pytest.raises(RuntimeMissingError, match=r"cannot run Kafka 3\.9\.2: 57 jars are not in the cache") as caught:
        find_runtime(RuntimeSpec("3.9.2"), tmp_path, CLOCK)

    assert caught.value.hint == "Run 'kraftd setup' with a network: it fetches 45.7 MiB."
    assert caught.value.exit_code == 5


def test_a_damaged_jar_is_named(tmp_path):
    jar = read_lock("3.9.2").jars_of(JarSet.BROKER)[0]
    path = tmp_path / "jars" / jar.group / jar.file_name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")

    with pytest.raises(RuntimeMissingError, match=rf"{jar.file_name} in the cache is damaged") as caught:
        find_runtime(RuntimeSpec("3.9.2"), tmp_path, CLOCK)

    assert caught.value.details["damaged"] == [jar.file_name]


def test_without_network_a_first_setup_ends_as_the_source_says(tmp_path):
    with pytest.raises(RuntimeMissingError, match="no connection"):
        fetch_runtime(RuntimeSpec("3.9.2"), tmp_path, CLOCK, Heard(), source=Source(fails_after=0))


def test_a_release_at_home_is_used_without_any_download(tmp_path):
    home = release_at(tmp_path / "kafka", "kafka_2.13-3.9.2.jar", "a.jar")

    runtime = fetch_runtime(
        RuntimeSpec("3.9.2", kafka_home=home), tmp_path / "cache", CLOCK, Heard(), source=Unreachable()
    )

    assert [path.name for path in runtime.classpath] == ["a.jar", "kafka_2.13-3.9.2.jar"]
    assert runtime.java.major == 25
    assert runtime.archive is None
    assert runtime.bootstrap_checkpoint is None
    assert not (tmp_path / "cache").exists()


def test_a_release_of_another_version_than_the_data_is_refused(tmp_path):
    home = release_at(tmp_path / "kafka", "kafka_2.13-4.3.1.jar")

    with pytest.raises(RuntimeMissingError, match=r"cannot run Kafka 3\.9\.2 from .*: it holds 4\.3\.1"):
        find_runtime(RuntimeSpec("3.9.2", kafka_home=home), tmp_path / "cache", CLOCK)


def test_a_java_that_is_too_old_is_refused_before_anything_is_fetched(tmp_path):
    home = java_home(tmp_path / "java", release="11.0.21")

    with pytest.raises(RuntimeMissingError, match=r"Kafka 4\.3\.1 with Java 11"):
        fetch_runtime(RuntimeSpec("4.3.1", java_home=home), tmp_path / "cache", CLOCK, Heard(), source=Unreachable())


def test_a_kafka_4_without_its_checkpoint_is_not_ready(tmp_path):
    home = release_at(tmp_path / "kafka", "kafka_2.13-4.3.1.jar")

    with pytest.raises(RuntimeMissingError, match=r"kafka-4\.3\.1\.checkpoint is missing") as caught:
        find_runtime(RuntimeSpec("4.3.1", kafka_home=home), tmp_path / "cache", CLOCK)

    assert "kraftd setup" in caught.value.hint


def test_a_kafka_4_has_the_checkpoint_of_its_version(tmp_path):
    home = release_at(tmp_path / "kafka", "kafka_2.13-4.3.1.jar")
    checkpoint = tmp_path / "cache" / "bootstrap" / "kafka-4.3.1.checkpoint"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    with pytest.raises(RuntimeMissingError, match=r"checkpoint is empty"):
        find_runtime(RuntimeSpec("4.3.1", kafka_home=home), tmp_path / "cache", CLOCK)
    checkpoint.write_bytes(b"features")

    assert (
        find_runtime(RuntimeSpec("4.3.1", kafka_home=home), tmp_path / "cache", CLOCK).bootstrap_checkpoint
        == checkpoint
    )


def test_the_version_that_runs_is_the_locked_one_or_that_of_the_release(tmp_path):
    home = release_at(tmp_path, "kafka_2.13-4.2.0.jar")

    assert exact_kafka_version("3.9", None) == "3.9.2"
    assert exact_kafka_version("3.9", home) == "4.2.0"
    with pytest.raises(ConfigurationError):
        exact_kafka_version("3.7", None)
