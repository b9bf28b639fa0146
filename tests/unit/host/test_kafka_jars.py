import pytest

from kraftd.clock import SystemClock
from kraftd.errors import RuntimeMissingError
from kraftd.host.kafka_jars import JarCache
from tests.unit.host.jars import CONTENTS, JARS, Heard, Source


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

    with pytest.raises(RuntimeMissingError, match=r"cannot use beta-1\.0\.jar as it came"):
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
