"""Why a program ended, from its exit and its last log lines, and whether starting it again can help. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """A diagnosis.

    Attributes:
        text: What happened, with the line that says so where there is one.
        remedy: The next step.
        retry_helps: False where the same start must fail again.
    """

    text: str
    remedy: str
    retry_helps: bool = True


@dataclass(frozen=True, slots=True)
class _Pattern:
    line: re.Pattern[str]
    remedy: str
    retry_helps: bool


def _pattern(line: str, remedy: str, *, retry_helps: bool = False) -> _Pattern:
    return _Pattern(re.compile(line), remedy, retry_helps)


_PATTERNS = (
    _pattern(
        r"[Aa]ddress already in use|failed to bind|BindException",
        "Another process listens on that port: end it, or choose other ports with cluster.port_offset.",
        retry_helps=True,
    ),
    _pattern(
        r"Failed to acquire lock on file \.lock",
        "Another process uses this data directory: end it, then 'kraftd start'.",
        retry_helps=True,
    ),
    _pattern(
        r"No `meta\.properties` found|No readable meta\.properties",
        "The data directory is not formatted: run 'kraftd stop' and 'kraftd start'.",
    ),
    _pattern(
        r"Invalid cluster\.id|INCONSISTENT_CLUSTER_ID|doesn't match previous node id|Stored node id",
        "The data belongs to another cluster or node: restore the right data, or use another state directory.",
    ),
    _pattern(r"No space left on device", "Free disk space; nothing is lost until then."),
    _pattern(r"OutOfMemoryError", "Raise cluster.heap, or lower what clients send at once.", retry_helps=True),
    _pattern(
        r"Could not reserve enough space|Cannot allocate memory|insufficient memory",
        "This machine has too little free memory: lower cluster.heap or cluster.brokers.",
    ),
    _pattern(
        r"Unrecognized VM option|Multiple garbage collectors|Conflicting collector"
        r"|Could not create the Java Virtual Machine|UnsupportedClassVersionError",
        "The JVM refuses its command line: check java.home and java.options.",
    ),
    _pattern(r"ConfigException|Invalid value .* for configuration", "Mend that property below [broker.config]."),
    _pattern(
        r"ClassNotFoundException|NoClassDefFoundError|Could not find or load main class",
        "Kafka's jars are incomplete: run 'kraftd setup'.",
    ),
    _pattern(r"ModuleNotFoundError|ImportError", "The Python installation is incomplete: install kraftd again."),
    _pattern(r"cannot use the settings|cannot start", "Mend that setting in kraftd.toml.", retry_helps=True),
)

_FAULT = re.compile(r"\b(ERROR|FATAL|level=error)\b|^\s*(Exception|Error|Caused by|Error occurred)\b|^error:")
_MOST_CHARACTERS = 300


def diagnose(exit_text: str, log_lines: Sequence[str]) -> Cause:
    """Return why a program ended.

    Args:
        exit_text: How it ended, as "exit status 1" or "signal SIGKILL".
        log_lines: The last lines of its logs, oldest first.
    """
    for pattern in _PATTERNS:
        for line in reversed(log_lines):
            if pattern.line.search(line):
                return Cause(f"{exit_text}: {_shortened(line)}", pattern.remedy, pattern.retry_helps)
    for line in reversed(log_lines):
        if _FAULT.search(line):
            return Cause(f"{exit_text}: {_shortened(line)}", "Read its log.")
    return Cause(exit_text, "Read its log.")


def _shortened(line: str) -> str:
    text = line.strip()
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 3] + "..."
