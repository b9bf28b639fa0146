"""Kafka's jars: the locks that name them with SHA-256 and size, and the cache that holds them."""

import hashlib
import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Protocol

from kraftd.clock import Clock
from kraftd.errors import ConfigurationError, RuntimeMissingError
from kraftd.host import lock
from kraftd.host.files import make_private_directory, os_errors_named

_SUFFIX = ".toml"
_PREFIX = "kafka-"
_METRICS_AGENT = "metrics-agent.toml"
_HASHING_THREADS = 4
OTHER_FETCH_TIMEOUT_S = 900.0
"""How long to wait for another process that fetches, where the command has no limit of its own."""
_FIXED_MTIME_S = 1_000_000_000
"""The modification time of every jar in the cache, constant because the JVM compares it with that in its archive."""


class JarSet(StrEnum):
    """The purpose of a list of jars."""

    BROKER = "broker"
    TOOLS = "tools"


@dataclass(frozen=True, slots=True)
class Jar:
    """A jar of a Maven repository.

    Attributes:
        sha256: Of the file, in lower-case hexadecimal digits.
        sets: The sets with this jar; a jar in both has the same version in both.
    """

    group: str
    artifact: str
    version: str
    sha256: str
    size_bytes: int
    sets: tuple[JarSet, ...]

    @property
    def file_name(self) -> str:
        """The jar's file name in the repository."""
        return f"{self.artifact}-{self.version}.jar"


@dataclass(frozen=True, slots=True)
class Lock:
    """The jars of one Kafka version, in the order of the classpath."""

    kafka_version: str
    jars: tuple[Jar, ...]

    def jars_of(self, jar_set: JarSet) -> tuple[Jar, ...]:
        """Return the jars of a set."""
        return tuple(jar for jar in self.jars if jar_set in jar.sets)


def locked_versions() -> tuple[str, ...]:
    """Return the Kafka versions that kraftd can fetch, oldest first."""
    names = [entry.name for entry in (resources.files("kraftd.runtime") / "locks").iterdir()]
    versions = [name.removeprefix(_PREFIX).removesuffix(_SUFFIX) for name in names if name.startswith(_PREFIX)]
    return tuple(sorted(versions, key=lambda version: [int(part) for part in version.split(".")]))


def read_lock(version: str) -> Lock:
    """Return the lock of an exact Kafka version.

    Raises:
        ConfigurationError: This version has no lock.
    """
    available = locked_versions()
    if version not in available:
        raise ConfigurationError(
            f"cannot fetch Kafka {version}: kraftd has locks for {', '.join(available)}",
            hint="Set cluster.kafka_version to one of these, or kafka.home to an unpacked Kafka release.",
            details={"available": list(available)},
        )
    return Lock(version, _jars_in(f"{_PREFIX}{version}{_SUFFIX}"))


def metrics_agent_jar() -> Jar:
    """Return the jar of the JMX metrics agent, which needs no others."""
    (jar,) = _jars_in(_METRICS_AGENT)
    return jar


def _jars_in(lock: str) -> tuple[Jar, ...]:
    text = (resources.files("kraftd.runtime") / "locks" / lock).read_text(encoding="utf-8")
    return tuple(_jar(entry) for entry in tomllib.loads(text)["jars"])


def size_bytes(jars: tuple[Jar, ...]) -> int:
    """Return the total size of some jars."""
    return sum(jar.size_bytes for jar in jars)


def _jar(entry: dict[str, object]) -> Jar:
    sets = entry["sets"]
    size = entry["size_bytes"]
    if not isinstance(sets, list) or not isinstance(size, int):
        raise TypeError(f"not a jar: {entry}")
    return Jar(
        group=str(entry["group"]),
        artifact=str(entry["artifact"]),
        version=str(entry["version"]),
        sha256=str(entry["sha256"]),
        size_bytes=size,
        sets=tuple(JarSet(name) for name in sets),
    )


class DownloadProgress(Protocol):
    """A receiver of the progress of a download."""

    def begin(self, total_bytes: int) -> None:
        """Report the total size."""

    def advance(self, byte_count: int) -> None:
        """Report further bytes; negative if a part was lost and will be fetched again."""

    def note(self, text: str) -> None:
        """Report a message for people."""


class Source(Protocol):
    """A repository of jars."""

    def fetch(self, jars: Sequence[Jar], into: Path, progress: DownloadProgress) -> Iterator[tuple[Jar, Path]]:
        """Yield each jar with its file, not yet verified, as soon as it is complete.

        Raises:
            RuntimeMissingError: A jar cannot be fetched.
        """


@dataclass(frozen=True, slots=True)
class Shortfall:
    """The absent and damaged jars of the cache; false if there are none."""

    absent: tuple[Jar, ...]
    damaged: tuple[Jar, ...]

    @property
    def jars(self) -> tuple[Jar, ...]:
        """Every jar to fetch."""
        return self.absent + self.damaged

    @property
    def size_bytes(self) -> int:
        """The total size to fetch."""
        return size_bytes(self.jars)

    def __bool__(self) -> bool:
        return bool(self.jars)


class JarCache:
    """The cache of jars in one directory.

    Every check hashes all jars: 48 MB take 24 ms with two or more threads, 43 ms with one (2 cores with SHA
    instructions), which is cheap enough not to trust sizes and times instead.
    """

    def __init__(self, cache_dir: Path, source: Source, clock: Clock) -> None:
        self._root = cache_dir / "jars"
        self._staging = cache_dir / "staging"
        self._source = source
        self._clock = clock

    def classpath(self, jars: Sequence[Jar]) -> tuple[Path, ...]:
        """Return the paths of jars in the given order, present or not."""
        return tuple(self._root / jar.group / jar.file_name for jar in jars)

    def shortfall(self, jars: Sequence[Jar]) -> Shortfall:
        """Return the jars that are absent, and those that differ from the lock."""
        with ThreadPoolExecutor(_HASHING_THREADS) as executor:
            # Largest first, so that the threads end at about the same time.
            ordered = sorted(jars, key=lambda jar: -jar.size_bytes)
            found = dict(zip(ordered, executor.map(_sha256, self.classpath(ordered)), strict=True))
        return Shortfall(
            absent=tuple(jar for jar in jars if found[jar] is None),
            damaged=tuple(jar for jar in jars if found[jar] not in {None, jar.sha256}),
        )

    def fetch(self, jars: Sequence[Jar], progress: DownloadProgress, *, wait_s: float = OTHER_FETCH_TIMEOUT_S) -> None:
        """Fetch what the cache lacks.

        A jar is staged, compared with the lock and then renamed into place, so that a jar in place is whole. One
        process fetches at a time while others wait; files that a killed process left are removed.

        Raises:
            RuntimeMissingError: A jar cannot be fetched, or differs from the lock.
            FileAccessError: The cache cannot be written.
            TimedOutError: Another process was fetching for the whole time limit, ``wait_s``.
        """
        with self._only_fetcher(progress, wait_s) as staging:
            lacking = self.shortfall(jars)
            if not lacking:
                return
            for jar in lacking.damaged:
                progress.note(f"{jar.file_name} in the cache is damaged: fetching it again")
            progress.begin(lacking.size_bytes)
            for jar, staged in self._source.fetch(lacking.jars, staging, progress):
                self._take_in(jar, staged)

    def _take_in(self, jar: Jar, staged: Path) -> None:
        if (found := _sha256(staged)) != jar.sha256:
            raise RuntimeMissingError(
                f"cannot use the downloaded {jar.file_name}: its SHA-256 is {found}, but the lock has {jar.sha256}",
                hint="A proxy or mirror between this machine and the repository may change files: ask its operator.",
                code="jar_differs_from_lock",
                details={"jar": jar.file_name},
            )
        (place,) = self.classpath([jar])
        make_private_directory(place.parent)
        with os_errors_named("write", place):
            with staged.open("rb+") as file:
                os.fsync(file.fileno())
            os.utime(staged, (_FIXED_MTIME_S, _FIXED_MTIME_S))
            staged.replace(place)

    @contextmanager
    def _only_fetcher(self, progress: DownloadProgress, wait_s: float) -> Iterator[Path]:
        with lock.acquire(
            self._staging / "lock",
            command="setup",
            clock=self._clock,
            timeout_s=wait_s,
            on_wait=lambda holder: progress.note(f"waiting for {holder}, which is fetching Kafka"),
        ):
            for leftover in self._staging.glob("fetch-*"):
                shutil.rmtree(leftover)
            staging = Path(tempfile.mkdtemp(prefix="fetch-", dir=self._staging))
            try:
                yield staging
            finally:
                # A thread that waits for the network may still write a file: the next fetch removes the rest.
                shutil.rmtree(staging, ignore_errors=True)


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None
