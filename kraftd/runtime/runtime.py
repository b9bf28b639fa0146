"""The runtime of a node: a Java with Kafka's jars, from the cache or from an unpacked release."""

import re
from dataclasses import dataclass
from pathlib import Path

from kraftd.clock import Clock
from kraftd.errors import RuntimeMissingError
from kraftd.plan.versions import check_java, check_kafka_version, resolve_kafka_version, version_of_jar
from kraftd.runtime.archive import archive_for
from kraftd.runtime.download import MavenCentral
from kraftd.runtime.jars import (
    OTHER_FETCH_TIMEOUT_S,
    DownloadProgress,
    JarCache,
    JarSet,
    Shortfall,
    Source,
    locked_versions,
    metrics_agent_jar,
    read_lock,
)
from kraftd.runtime.java import Java, find_java
from kraftd.runtime.scratch_node import checkpoint_path, has_checkpoint, make_checkpoint, needs_checkpoint
from kraftd.units import human_size, plural

_NOT_THE_CODE = re.compile(r"-(sources|javadoc|scaladoc|test|test-sources)\.jar$")
_HINT = "Set kafka.home to the directory of an unpacked Kafka release, or remove it to use kraftd's own jars."


@dataclass(frozen=True, slots=True)
class Release:
    """The jars in the ``libs`` of an unpacked Kafka release.

    Attributes:
        kafka_version: The version in the name of the server's jar.
        classpath: Every jar, ordered by name.
    """

    kafka_version: str
    classpath: tuple[Path, ...]


def read_release(home: Path) -> Release:
    """Return the release unpacked in a directory.

    Raises:
        RuntimeMissingError: The directory holds no release, or several.
        ConfigurationError: kraftd does not support the release.
    """
    libs = home / "libs"
    jars = tuple(sorted(path for path in libs.glob("*.jar") if not _NOT_THE_CODE.search(path.name)))
    if not jars:
        raise RuntimeMissingError(
            f"cannot use kafka.home = {home}: {libs} {'has no jars' if libs.is_dir() else 'is not a directory'}",
            hint=_HINT,
            code="kafka_missing",
        )
    versions = {found for jar in jars if (found := version_of_jar(jar.name))}
    if len(versions) != 1:
        found = " and ".join(sorted(versions)) if versions else "no kafka_2.13-VERSION.jar"
        raise RuntimeMissingError(f"cannot use kafka.home = {home}: it holds {found}", hint=_HINT, code="kafka_broken")
    (version,) = versions
    check_kafka_version(version)
    return Release(version, jars)


@dataclass(frozen=True, slots=True)
class RuntimeSpec:
    """The runtime that the configuration asks for.

    Attributes:
        kafka_version: The exact version.
        kafka_home: An unpacked release to take the jars from; None for kraftd's own.
        java_home: A JAVA_HOME; None for the Java that came with kraftd.
        java_options: The user's options for nodes, on which the archive depends.
    """

    kafka_version: str
    kafka_home: Path | None = None
    java_home: Path | None = None
    java_options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Runtime:
    """A Java and the jars of one set, all present and verified.

    Attributes:
        archive: The start-up archive that fits; None to start without one, as tools always do.
        bootstrap_checkpoint: The file to put beside ``meta.properties``; None if this Kafka needs none.
    """

    kafka_version: str
    java: Java
    classpath: tuple[Path, ...]
    archive: Path | None = None
    bootstrap_checkpoint: Path | None = None


def exact_kafka_version(asked: str, kafka_home: Path | None) -> str:
    """Return the version that will run: that of the release in ``kafka.home``, else the locked one.

    Raises:
        ConfigurationError: No such version is locked, or kraftd does not support it.
        RuntimeMissingError: ``kafka.home`` holds no release.
    """
    return (
        resolve_kafka_version(asked, locked_versions())
        if kafka_home is None
        else read_release(kafka_home).kafka_version
    )


def find_runtime(wanted: RuntimeSpec, cache_dir: Path, clock: Clock, jar_set: JarSet = JarSet.BROKER) -> Runtime:
    """Return the runtime found on this machine; fetches nothing and starts no JVM.

    Raises:
        RuntimeMissingError: A part is missing or damaged (the text has the size to fetch), or Java is unsuitable.
        ConfigurationError: This Kafka version has no lock.
    """
    java = _suitable_java(wanted)
    classpath = _release_jars(wanted)
    if classpath is None:
        jars = read_lock(wanted.kafka_version).jars_of(jar_set)
        cache = JarCache(cache_dir, MavenCentral(), clock)
        if lacking := cache.shortfall(jars):
            raise _missing(wanted.kafka_version, lacking)
        classpath = cache.classpath(jars)
    if needs_checkpoint(wanted.kafka_version) and not has_checkpoint(cache_dir, wanted.kafka_version):
        checkpoint = checkpoint_path(cache_dir, wanted.kafka_version)
        what = "empty" if checkpoint.exists() else "missing"
        raise RuntimeMissingError(
            f"cannot format Kafka {wanted.kafka_version}: {checkpoint} is {what}",
            hint="Run 'kraftd setup'; it needs no network for this.",
            code="bootstrap_checkpoint_missing",
        )
    return _runtime(wanted, cache_dir, java, classpath, jar_set)


def fetch_runtime(
    wanted: RuntimeSpec,
    cache_dir: Path,
    clock: Clock,
    progress: DownloadProgress,
    jar_set: JarSet = JarSet.BROKER,
    source: Source | None = None,
    wait_s: float = OTHER_FETCH_TIMEOUT_S,
) -> Runtime:
    """Return the runtime, after fetching missing or damaged parts; fast if there are none.

    Another process that fetches is waited for at most ``wait_s``. The start-up archive is not made; see ``training``.

    Raises:
        RuntimeMissingError: A missing part cannot be fetched, or Java is unsuitable.
        ConfigurationError: This Kafka version has no lock.
        FileAccessError: The cache cannot be written.
        KraftdError: Kafka's StorageTool failed.
        TimedOutError: Another process was fetching all the time.
    """
    java = _suitable_java(wanted)
    classpath = _release_jars(wanted)
    if classpath is None:
        jars = read_lock(wanted.kafka_version).jars_of(jar_set)
        cache = JarCache(cache_dir, source or MavenCentral(), clock)
        if cache.shortfall(jars):
            cache.fetch(jars, progress, wait_s=wait_s)
        classpath = cache.classpath(jars)
    if needs_checkpoint(wanted.kafka_version):
        make_checkpoint(cache_dir, wanted.kafka_version, java, classpath, clock)
    return _runtime(wanted, cache_dir, java, classpath, jar_set)


def find_metrics_agent(cache_dir: Path, clock: Clock) -> Path | None:
    """Return the jar of the JMX metrics agent; None where the cache lacks it."""
    cache, jars = JarCache(cache_dir, MavenCentral(), clock), [metrics_agent_jar()]
    return None if cache.shortfall(jars) else cache.classpath(jars)[0]


def fetch_metrics_agent(
    cache_dir: Path,
    clock: Clock,
    progress: DownloadProgress,
    wait_s: float = OTHER_FETCH_TIMEOUT_S,
) -> Path:
    """Return the jar of the JMX metrics agent, after fetching it where the cache lacks it.

    Raises:
        RuntimeMissingError: It cannot be fetched.
        FileAccessError: The cache cannot be written.
        TimedOutError: Another process was fetching for ``wait_s``.
    """
    cache, jars = JarCache(cache_dir, MavenCentral(), clock), [metrics_agent_jar()]
    if cache.shortfall(jars):
        cache.fetch(jars, progress, wait_s=wait_s)
    return cache.classpath(jars)[0]


def _suitable_java(wanted: RuntimeSpec) -> Java:
    java = find_java(wanted.java_home)
    check_java(wanted.kafka_version, java.major)
    return java


def _release_jars(wanted: RuntimeSpec) -> tuple[Path, ...] | None:
    if wanted.kafka_home is None:
        return None
    release = read_release(wanted.kafka_home)
    if release.kafka_version != wanted.kafka_version:
        raise RuntimeMissingError(
            f"cannot run Kafka {wanted.kafka_version} from {wanted.kafka_home}: it holds {release.kafka_version}",
            hint=f"Set kafka.home to a release of Kafka {wanted.kafka_version}.",
            code="kafka_broken",
        )
    return release.classpath


def _runtime(wanted: RuntimeSpec, cache_dir: Path, java: Java, classpath: tuple[Path, ...], jar_set: JarSet) -> Runtime:
    version = wanted.kafka_version
    is_for_nodes = jar_set is JarSet.BROKER
    return Runtime(
        kafka_version=version,
        java=java,
        classpath=classpath,
        archive=archive_for(cache_dir, version, java, classpath, wanted.java_options) if is_for_nodes else None,
        bootstrap_checkpoint=checkpoint_path(cache_dir, version) if needs_checkpoint(version) else None,
    )


def _missing(kafka_version: str, lacking: Shortfall) -> RuntimeMissingError:
    damaged = ", ".join(jar.file_name for jar in lacking.damaged)
    absent = len(lacking.absent)
    missing = f"{plural(absent, 'jar')} {'is' if absent == 1 else 'are'} not in the cache"
    is_or_are = "is" if len(lacking.damaged) == 1 else "are"
    what = f"{damaged} in the cache {is_or_are} damaged" if damaged else missing
    return RuntimeMissingError(
        f"cannot run Kafka {kafka_version}: {what}",
        hint=f"Run 'kraftd setup' with a network: it fetches {human_size(lacking.size_bytes)}.",
        code="jars_missing",
        details={
            "missing_bytes": lacking.size_bytes,
            "absent": [jar.file_name for jar in lacking.absent],
            "damaged": [jar.file_name for jar in lacking.damaged],
        },
    )
