"""The locks: which jars make up a Kafka version, each with its SHA-256 and size. Written by ``tools/lock_kafka.py``."""

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

from kraftd.errors import ConfigurationError

_SUFFIX = ".toml"
_PREFIX = "kafka-"


class JarSet(StrEnum):
    """What a list of jars is for."""

    BROKER = "broker"
    TOOLS = "tools"


@dataclass(frozen=True, slots=True)
class Jar:
    """A jar of a Maven repository.

    Attributes:
        sha256: Of the file, in lower-case hexadecimal digits.
        sets: The sets that hold it. A jar that both hold has the same version in both.
    """

    group: str
    artifact: str
    version: str
    sha256: str
    size_bytes: int
    sets: tuple[JarSet, ...]

    @property
    def file_name(self) -> str:
        """The name that the repository gives it."""
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
    names = [entry.name for entry in (resources.files("kraftd.host") / "locks").iterdir()]
    versions = [name.removeprefix(_PREFIX).removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)]
    return tuple(sorted(versions, key=lambda version: [int(part) for part in version.split(".")]))


def read_lock(version: str) -> Lock:
    """Return the lock of an exact Kafka version.

    Raises:
        ConfigurationError: There is no lock of this version.
    """
    available = locked_versions()
    if version not in available:
        raise ConfigurationError(
            f"cannot fetch Kafka {version}: kraftd has locks for {', '.join(available)}",
            hint="Set cluster.kafka_version to one of these, or kafka.home to an unpacked Kafka release.",
            details={"available": list(available)},
        )
    file = resources.files("kraftd.host") / "locks" / f"{_PREFIX}{version}{_SUFFIX}"
    document = tomllib.loads(file.read_text(encoding="utf-8"))
    return Lock(document["kafka_version"], tuple(_jar(entry) for entry in document["jars"]))


def size_bytes(jars: tuple[Jar, ...]) -> int:
    """Return the bytes of some jars."""
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
