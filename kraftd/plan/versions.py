"""Versions: the Java releases that each Kafka version supports, and the exact version for a short one. Pure."""

import re
from collections.abc import Sequence

from kraftd.errors import ConfigurationError, RuntimeMissingError

_OLDEST_KAFKA = (3, 9)
_FIRST_KAFKA_TOO_NEW = (4, 4)
"""Its data directories are formatted differently (KIP-1170), which kraftd does not do yet."""

_OLDEST_JAVA = {3: 11, 4: 17}
"""By Kafka's major version, as its documentation has it. Java 8 runs Kafka 3.9, but not the log options of kraftd."""

_NEWEST_JAVA: dict[tuple[int, ...], int] = {(3, 9, 0): 22}
"""Java 23 removed a method that SASL in 3.9.0 calls (KAFKA-17078, fixed in 3.9.1). The other versions have no known
upper limit: 3.9.1, 3.9.2 and 4.3.1 were tried with 25."""


_SERVER_JAR = re.compile(r"kafka_2\.1\d-(\d+\.\d+\.\d+[\w.-]*?)\.jar")
"""Kafka's own jar, with the version of Scala and its own in its name."""


def version_of_jar(name: str) -> str | None:
    """Return the Kafka version in the name of the server's jar; None for any other file."""
    found = _SERVER_JAR.fullmatch(name)
    return found[1] if found else None


def check_java(kafka_version: str, java_major: int) -> None:
    """Check that a Java release can run a Kafka version.

    Raises:
        RuntimeMissingError: The Java release is too old or too new.
        ConfigurationError: kraftd does not support this Kafka version.
    """
    check_kafka_version(kafka_version)
    kafka = numbers(kafka_version)
    oldest = _OLDEST_JAVA.get(kafka[0], max(_OLDEST_JAVA.values()))
    newest = _NEWEST_JAVA.get(kafka[:3])
    if java_major >= oldest and (newest is None or java_major <= newest):
        return
    wanted = f"Java {oldest} or newer" if newest is None else f"Java {oldest} to {newest}"
    raise RuntimeMissingError(
        f"cannot run Kafka {kafka_version} with Java {java_major}: it needs {wanted}",
        hint=f"Remove java.home from the configuration to use kraftd's own Java, or set it to a home of {wanted}.",
        code="java_unsuitable",
        details={"kafka_version": kafka_version, "java_major": java_major, "oldest": oldest, "newest": newest},
    )


def check_kafka_version(kafka_version: str) -> None:
    """Check that kraftd can run an exact Kafka version.

    Raises:
        ConfigurationError: The version is too old, too new or malformed.
    """
    if not _OLDEST_KAFKA <= numbers(kafka_version)[:2] < _FIRST_KAFKA_TOO_NEW:
        raise ConfigurationError(
            f"cannot run Kafka {kafka_version}: kraftd supports 3.9 to 4.3",
            hint='Set cluster.kafka_version to "3.9", or kafka.home to such a release.',
            code="unsupported_kafka_version",
        )


def is_of_line(kafka_version: str, asked: str) -> bool:
    """Return whether an exact version is what a requested one names: itself, or one of its first two numbers."""
    return kafka_version == asked or kafka_version.startswith(f"{asked}.")


def line_of(kafka_version: str) -> str:
    """Return the first two numbers of a version, which name its newest patch release."""
    return ".".join(map(str, numbers(kafka_version)[:2]))


def resolve_kafka_version(asked: str, locked: Sequence[str]) -> str:
    """Return the exact version for a requested one; ``3.9`` means its newest locked patch release.

    Args:
        asked: A version of two or three numbers.
        locked: The exact versions to choose from.

    Raises:
        ConfigurationError: No locked version matches.
    """
    candidates = [version for version in locked if is_of_line(version, asked)]
    if not candidates or "." not in asked:
        raise ConfigurationError(
            f"cannot use Kafka {asked!r}: kraftd has {', '.join(locked)}",
            hint='Set cluster.kafka_version to one of these, or to the first two numbers of one, such as "3.9".',
            code="unknown_kafka_version",
            details={"asked": asked, "available": list(locked)},
        )
    return max(candidates, key=numbers)


def numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version; vendors append words."""
    found = []
    for part in version.replace("-", ".").split("."):
        if not part.isdecimal():
            break
        found.append(int(part))
    return tuple(found)
