import importlib.util
from pathlib import Path

import pytest

from kraftd.errors import ConfigurationError
from kraftd.host.kafka_locks import JarSet, locked_versions, read_lock, size_bytes

ROOT = Path(__file__).resolve().parents[3]
VERSIONS = ("3.9.1", "3.9.2", "4.3.1")


@pytest.fixture(scope="module")
def lock_kafka():
    spec = importlib.util.spec_from_file_location("lock_kafka", ROOT / "tools" / "lock_kafka.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names(jars) -> set[str]:
    return {f"{jar.group}:{jar.artifact}" for jar in jars}


def test_three_versions_are_locked():
    assert locked_versions() == VERSIONS


def test_a_version_without_lock_is_refused_with_those_that_have_one():
    with pytest.raises(ConfigurationError, match=r"Kafka 3\.9\.7: kraftd has locks for 3\.9\.1, 3\.9\.2, 4\.3\.1"):
        read_lock("3.9.7")


@pytest.mark.parametrize("version", VERSIONS)
def test_every_jar_of_kafka_has_the_version_of_the_lock(version):
    assert {jar.version for jar in read_lock(version).jars if jar.group == "org.apache.kafka"} == {version}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_node_gets_nothing_of_connect_and_no_http_server(version):
    unwanted = ("connect", "jetty", "jersey", "servlet", "glassfish", "rocksdb")

    of_a_node = names(read_lock(version).jars_of(JarSet.BROKER))
    assert not [name for name in of_a_node if any(word in name for word in unwanted)]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_tools_get_all_that_a_node_gets_and_the_tools(version):
    lock = read_lock(version)

    assert names(lock.jars_of(JarSet.BROKER)) < names(lock.jars_of(JarSet.TOOLS))
    assert "org.apache.kafka:kafka-tools" in names(lock.jars_of(JarSet.TOOLS)) - names(lock.jars_of(JarSet.BROKER))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("jar_set", list(JarSet))
def test_no_set_holds_a_jar_in_two_versions(version, jar_set):
    jars = read_lock(version).jars_of(jar_set)

    assert len(names(jars)) == len(jars)


@pytest.mark.parametrize(
    ("version", "backend"),
    [("3.9.2", "org.slf4j:slf4j-reload4j"), ("4.3.1", "org.apache.logging.log4j:log4j-slf4j-impl")],
)
def test_a_node_gets_a_backend_for_its_logs(version, backend):
    assert backend in names(read_lock(version).jars_of(JarSet.BROKER))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_node_costs_less_than_50_megabytes(version):
    assert 40e6 < size_bytes(read_lock(version).jars_of(JarSet.BROKER)) < 50e6


@pytest.mark.parametrize("version", VERSIONS)
def test_a_lock_is_the_text_that_its_writer_would_write(version, lock_kafka):
    text = (lock_kafka.LOCKS / f"kafka-{version}.toml").read_text(encoding="utf-8")

    assert lock_kafka.lock_text(read_lock(version)) == text
    assert "://" not in text


def test_a_mixture_of_kafka_versions_is_not_locked(lock_kafka):
    lock = read_lock("3.9.2")
    mixed = type(lock)("4.3.1", lock.jars)

    with pytest.raises(SystemExit, match=r"cannot lock Kafka 4\.3\.1: the resolver chose .*kafka-clients-3\.9\.2"):
        lock_kafka.check(mixed)
