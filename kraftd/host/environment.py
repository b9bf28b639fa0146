"""The environment that supervised programs inherit, an allow list, and the tools that are found in its PATH."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from kraftd.plan.kinds import Executable, ToolDefinition, ToolHome

_KEPT = ("HOME", "LOGNAME", "PATH", "SHELL", "TMPDIR", "USER")
_KEPT_PREFIXES = ("SSL_CERT_",)
_FIXED = {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
"""Without a UTF-8 locale (cron, CI), Java cannot open a path that is not ASCII; in Turkish it lower-cases names in
another way, and in Arabic it writes other digits. Logs in local time are misread by a command in another time zone, and
have one hour twice in autumn."""


_MEANT_FOR_BROKERS = (
    "KAFKA_HEAP_OPTS",
    "KAFKA_JMX_OPTS",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_OPTS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
)


def dropped_options(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables with which Kafka's own scripts, or any Java, are configured, and which are not inherited."""
    return tuple(name for name in _MEANT_FOR_BROKERS if environ.get(name))


def inherited_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that programs inherit, with the same locale and time zone for every user.

    KAFKA_*, JMX_*, CLASSPATH, JAVA_TOOL_OPTIONS, JDK_JAVA_OPTIONS, PYTHON* and all others are dropped: any of them
    could change how a node runs or bind a second JMX port.
    """
    kept = {name: value for name, value in environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}
    return kept | _FIXED


def foreground_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a tool that a person runs: those that programs inherit, but the person's time zone."""
    inherited = inherited_environment(environ)
    del inherited["TZ"]
    return inherited | {name: value for name, value in environ.items() if name == "TZ"}


def installed_tool(definition: ToolDefinition, environ: Mapping[str, str]) -> Executable | None:
    """Return the tool found on the PATH; None if it is in none of its directories.

    Args:
        definition: The tool.
        environ: The environment variables.
    """
    # With an empty path, which() would search this process's own PATH.
    path = environ.get("PATH") or "/nonexistent"
    names = (definition.name, definition.other_executable)
    found = next((found for name in names if name and (found := shutil.which(name, path=path))), None)
    if found is None:
        return None
    executable = Path(found).absolute()
    return _with_home(executable, definition.home) if definition.home else Executable(executable)


def _with_home(found: Path, wanted: ToolHome) -> Executable:
    """Return a tool with its home: beside its executable (its archive, Homebrew), or in the packages' place.

    The executable that packages put on the PATH may be a script with paths of its own.
    """
    prefix = found.resolve().parent.parent
    for home in (prefix, prefix / "share" / found.name, wanted.packaged):
        if (home / wanted.mark).is_file():
            own = home / "bin" / found.name
            return Executable(own if own.is_file() else found, home)
    return Executable(found)
