import importlib.util
from pathlib import Path

import pytest

from kraftd.clock import SystemClock
from kraftd.errors import ConfigurationError, RuntimeMissingError
from kraftd.runtime.jars import JarCache, JarSet, locked_versions, metrics_agent_jar, read_lock, size_bytes
from tests.unit.runtime.jars import CONTENTS, JARS, Heard, Source

README = Path(__file__).parents[3] / "README.md"


def cache_at(path, source=None) -> JarCache:
    return JarCache(path, source or Source(), SystemClock())


def filled(path) -> JarCache:
    cache = cache_at(path)
    cache.fetch(JARS, Heard())
    return cache


def test_an_empty_cache_lacks_every_jar(tmp_path):
    shortfall = cache_at(tmp_path).shortfall(JARS)

    assert shortfall.absent == JARS
    assert shortfall.damaged == ()
    assert shortfall.size_bytes == sum(map(len, CONTENTS.values()))


def test_a_fetch_makes_the_cache_complete(tmp_path):
    cache = filled(tmp_path)

    assert not cache.shortfall(JARS)
    assert [path.read_bytes() for path in cache.classpath(JARS)] == list(CONTENTS.values())


def test_the_classpath_keeps_the_order_of_the_lock(tmp_path):
    names = [path.name for path in cache_at(tmp_path).classpath(JARS)]

    assert names == ["alpha-1.0.jar", "beta-1.0.jar", "gamma-1.0.jar"]


def test_a_complete_cache_asks_for_nothing(tmp_path):
    filled(tmp_path)
    source, heard = Source(), Heard()

    cache_at(tmp_path, source).fetch(JARS, heard)

    assert source.asked == []
    assert heard.total_bytes is None


def test_only_what_is_missing_is_fetched_and_announced(tmp_path):
    cache = filled(tmp_path)
    cache.classpath(JARS)[1].unlink()
    source, heard = Source(), Heard()

    cache_at(tmp_path, source).fetch(JARS, heard)

    assert source.asked == ["beta"]
    assert heard.total_bytes == heard.seen_bytes == len(CONTENTS["beta"])


@pytest.mark.parametrize("content", [b"", CONTENTS["alpha"][:-1], CONTENTS["alpha"][:-1] + b"\0"])
def test_a_damaged_jar_is_noticed_and_fetched_again_with_a_note(tmp_path, content):
    cache = filled(tmp_path)
    cache.classpath(JARS)[0].write_bytes(content)

    assert cache.shortfall(JARS).damaged == JARS[:1]

    heard = Heard()
    cache.fetch(JARS, heard)

    assert not cache.shortfall(JARS)
    assert heard.notes == ["alpha-1.0.jar in the cache is damaged: fetching it again"]


def test_a_jar_that_is_fetched_again_keeps_its_time(tmp_path):
    cache = filled(tmp_path)
    path = cache.classpath(JARS)[0]
    before = path.stat().st_mtime_ns
    path.write_bytes(b"damaged")

    cache.fetch(JARS, Heard())

    assert path.stat().st_mtime_ns == before


def test_what_differs_from_the_lock_never_comes_into_the_cache(tmp_path):
    cache = cache_at(tmp_path, Source({**CONTENTS, "beta": b"<html>log in to the proxy</html>"}))

    with pytest.raises(RuntimeMissingError, match=r"cannot use the downloaded beta-1\.0\.jar"):
        cache.fetch(JARS, Heard())

    assert [jar.artifact for jar in cache.shortfall(JARS).absent] == ["beta", "gamma"]


def test_what_was_whole_before_a_failure_stays(tmp_path):
    cache = cache_at(tmp_path, Source(fails_after=2))

    with pytest.raises(RuntimeMissingError, match="no connection"):
        cache.fetch(JARS, Heard())

    assert [jar.artifact for jar in cache.shortfall(JARS).absent] == ["gamma"]
    assert list(tmp_path.rglob("fetch-*")) == []


def test_what_a_killed_download_left_is_removed(tmp_path):
    leftover = tmp_path / "staging" / "fetch-abandoned" / "alpha-1.0.jar"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half")

    filled(tmp_path)

    assert not leftover.parent.exists()


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


def test_the_readme_tells_how_much_a_setup_fetches():
    fetched = size_bytes((*read_lock("3.9.2").jars, metrics_agent_jar()))

    assert f"({fetched // 1024**2} MiB from Maven Central" in README.read_text(encoding="utf-8")


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
