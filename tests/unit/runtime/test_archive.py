import json
import os
from pathlib import Path

import pytest

from kraftd.runtime.archive import (
    archive_for,
    archive_path,
    decisive_options,
    forget,
    mark_used,
    prune_archives,
    record,
)
from kraftd.runtime.java import Java


@pytest.fixture
def java(tmp_path) -> Java:
    image = tmp_path / "java" / "lib" / "modules"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"modules")
    return Java(tmp_path / "java" / "bin" / "java", tmp_path / "java", "25.0.2", 25)


@pytest.fixture
def classpath(tmp_path) -> tuple[Path, ...]:
    jars = (tmp_path / "a.jar", tmp_path / "b.jar")
    for jar in jars:
        jar.write_bytes(b"jar")
        os.utime(jar, (1_000_000_000, 1_000_000_000))
    return jars


@pytest.fixture
def archive(tmp_path, java, classpath) -> Path:
    path = archive_path(tmp_path, "3.9.2", java, classpath, ())
    path.parent.mkdir()
    path.write_bytes(b"archive")
    record(path)
    return path


def found(tmp_path, java, classpath, *, kafka_version="3.9.2", options=()):
    return archive_for(tmp_path, kafka_version, java, classpath, options)


def test_an_archive_is_found_again(tmp_path, java, classpath, archive):
    assert found(tmp_path, java, classpath) == archive


def test_without_an_archive_there_is_none(tmp_path, java, classpath):
    assert found(tmp_path, java, classpath) is None


def test_a_java_that_writes_none_gets_none(tmp_path, java, classpath, archive):
    older = Java(java.executable, java.home, java.version, 24)

    assert found(tmp_path, older, classpath) is None


def test_another_order_of_the_jars_has_another_archive(tmp_path, java, classpath, archive):
    assert found(tmp_path, java, classpath[::-1]) is None


@pytest.mark.parametrize("change", [b"jar of another size", None])
def test_a_changed_jar_makes_the_archive_stale(tmp_path, java, classpath, archive, change):
    classpath[0].write_bytes(change or b"jar")

    assert found(tmp_path, java, classpath) is None


def test_an_updated_java_makes_the_archive_stale(tmp_path, java, classpath, archive):
    (java.home / "lib" / "modules").write_bytes(b"other modules")

    assert found(tmp_path, java, classpath) is None


@pytest.mark.parametrize(
    "option",
    ["-XX:+UseCompactObjectHeaders", "-XX:+UseZGC", "--add-opens=java.base/java.nio=ALL-UNNAMED", "-javaagent:a.jar"],
)
def test_options_that_the_jvm_compares_have_their_own_archive(tmp_path, java, classpath, archive, option):
    assert found(tmp_path, java, classpath, options=(option,)) is None


@pytest.mark.parametrize(
    "option", ["-Dsome.property=1", "-Xlog:class+load", "-Xmx8g", "-XX:Tier4InvocationThreshold=1"]
)
def test_options_that_the_jvm_does_not_compare_share_the_archive(tmp_path, java, classpath, archive, option):
    assert found(tmp_path, java, classpath, options=(option,)) == archive


def test_the_module_of_jmx_is_among_what_decides_and_its_address_is_not(java):
    options = decisive_options("3.9.2", java, ())

    assert "--add-modules=jdk.management.agent" in options
    assert not [option for option in options if "jmxremote" in option or "rmi" in option]


def test_a_half_written_archive_is_not_trusted(tmp_path, java, classpath, archive):
    archive.write_bytes(b"arch")

    assert found(tmp_path, java, classpath) is None


def test_a_changed_byte_is_noticed_where_the_time_changed_too(tmp_path, java, classpath, archive):
    archive.write_bytes(b"Archive")
    os.utime(archive, (1_000_000_000, 1_000_000_000))

    assert found(tmp_path, java, classpath) is None


def test_a_copy_of_the_cache_with_other_times_is_still_trusted(tmp_path, java, classpath, archive):
    os.utime(archive, (1_000_000_000, 1_000_000_000))

    assert found(tmp_path, java, classpath) == archive


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps({"stamp": "0 0"})])
def test_an_archive_without_a_readable_record_is_not_trusted(tmp_path, java, classpath, archive, text):
    archive.with_suffix(".json").write_text(text)

    assert found(tmp_path, java, classpath) is None


def test_a_forgotten_archive_is_gone(tmp_path, java, classpath, archive):
    forget(archive)

    assert found(tmp_path, java, classpath) is None
    assert list(archive.parent.iterdir()) == []


def test_the_archives_that_were_used_last_are_kept(tmp_path):
    archives = [tmp_path / "archives" / f"{number}.aot" for number in range(3)]
    archives[0].parent.mkdir()
    for age_s, path in enumerate(archives):
        path.write_bytes(b"archive")
        record(path)
        os.utime(path.with_suffix(".json"), (1_000_000_000 - age_s, 1_000_000_000 - age_s))
    mark_used(archives[2])

    prune_archives(2, tmp_path)

    assert [path.exists() for path in archives] == [True, False, True]
