"""Which Java runs which Kafka, and which Kafka a version asked for means. Pure."""

from collections.abc import Sequence

from kraftd.errors import ConfigurationError, RuntimeMissingError

_OLDEST_KAFKA = (3, 9)
_FIRST_KAFKA_TOO_NEW = (4, 4)
"""Its data directories are formatted differently (KIP-1170), which kraftd does not do yet."""

_OLDEST_JAVA = {3: 11, 4: 17}
"""By Kafka's major version, as its documentation has it. Java 8 runs Kafka 3.9, but not the log options of kraftd."""

_NEWEST_JAVA: dict[tuple[int, ...], int] = {(3, 9, 0): 22}
"""Java 23 removed what SASL of 3.9.0 calls (KAFKA-17078, in 3.9.1). Of the others no upper limit is known:
3.9.1, 3.9.2 and 4.3.1 were tried with 25."""


def check_java(kafka_version: str, java_major: int) -> None:
    """Check that a Java release runs a Kafka version.

    Raises:
        RuntimeMissingError: It is too old, or too new.
        ConfigurationError: kraftd does not run this Kafka version.
    """
    check_kafka_version(kafka_version)
    kafka = _numbers(kafka_version)
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
        ConfigurationError: It is too old or too new, or no version at all.
    """
    if not _OLDEST_KAFKA <= _numbers(kafka_version)[:2] < _FIRST_KAFKA_TOO_NEW:
        raise ConfigurationError(
            f"cannot run Kafka {kafka_version}: kraftd runs 3.9 to 4.3",
            hint='Set cluster.kafka_version to "3.9", or kafka.home to such a release.',
            code="unsupported_kafka_version",
        )


def resolve_kafka_version(asked: str, locked: Sequence[str]) -> str:
    """Return the exact version that is meant: itself, or the newest locked patch of ``3.9``.

    Args:
        asked: A version with two or three numbers.
        locked: The exact versions to choose from.

    Raises:
        ConfigurationError: None of them is meant.
    """
    candidates = [version for version in locked if version == asked or version.startswith(f"{asked}.")]
    if not candidates or "." not in asked:
        raise ConfigurationError(
            f"cannot use Kafka {asked!r}: kraftd has {', '.join(locked)}",
            hint='Set cluster.kafka_version to one of these or to the first two numbers of one, such as "3.9".',
            code="unknown_kafka_version",
            details={"asked": asked, "available": list(locked)},
        )
    return max(candidates, key=_numbers)


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers at the head of a version; vendors append words."""
    numbers = []
    for part in version.replace("-", ".").split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)
