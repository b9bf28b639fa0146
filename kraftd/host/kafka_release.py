"""An unpacked Kafka release, as ``kafka.home`` names it."""

import re
from dataclasses import dataclass
from pathlib import Path

from kraftd.errors import RuntimeMissingError
from kraftd.spec.compatibility import check_kafka_version

_SERVER_JAR = re.compile(r"kafka_2\.1\d-(\d+\.\d+\.\d+[\w.-]*?)\.jar")
_NOT_THE_CODE = re.compile(r"-(sources|javadoc|scaladoc|test|test-sources)\.jar$")
_HINT = "Set kafka.home to the directory of an unpacked Kafka release, or remove it to use kraftd's own jars."


@dataclass(frozen=True, slots=True)
class Release:
    """What a release's ``libs`` hold.

    Attributes:
        kafka_version: The version in the name of its server's jar.
        classpath: Every jar in it, by name.
    """

    kafka_version: str
    classpath: tuple[Path, ...]


def read_release(home: Path) -> Release:
    """Return the release unpacked in a directory.

    Raises:
        RuntimeMissingError: There is none, or two.
        ConfigurationError: It is too old or too new for kraftd.
    """
    libs = home / "libs"
    jars = tuple(sorted(path for path in libs.glob("*.jar") if not _NOT_THE_CODE.search(path.name)))
    if not jars:
        raise RuntimeMissingError(
            f"cannot use kafka.home = {home}: {libs} {'has no jars' if libs.is_dir() else 'is no directory'}",
            hint=_HINT,
            code="kafka_missing",
        )
    versions = {match.group(1) for jar in jars if (match := _SERVER_JAR.fullmatch(jar.name))}
    if len(versions) != 1:
        found = " and ".join(sorted(versions)) if versions else "no kafka_2.13-VERSION.jar"
        raise RuntimeMissingError(f"cannot use kafka.home = {home}: it holds {found}", hint=_HINT, code="kafka_broken")
    (version,) = versions
    check_kafka_version(version)
    return Release(version, jars)
