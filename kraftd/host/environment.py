"""What supervised programs inherit, an allow list of variables and limits of open files; and the tools on the PATH."""

import contextlib
import os
import pwd
import resource
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, tzinfo
from pathlib import Path

from kraftd.plan.kinds import Executable, ToolDefinition, ToolHome

_KEPT = ("HOME", "LOGNAME", "PATH", "SHELL", "TMPDIR", "USER")
_KEPT_PREFIXES = ("SSL_CERT_",)
_KEPT_FOR_OBJECT_STORES = ("AWS_", "AZURE_", "GOOGLE_")
_FIXED = {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
"""Without a UTF-8 locale (cron, CI), Java cannot open a path that is not ASCII; in Turkish it lower-cases names in
another way, and in Arabic it writes other digits. Logs in local time are misread by a command in another time zone, and
have one hour twice in autumn."""

_ZONE = "_KRAFTD_ZONE"
"""The time zone in which a person wrote the times of kraftd.toml; ``KRAFTD_`` alone would make it a setting."""

_MACHINE_ZONE = Path("/etc/localtime")

MOST_OPEN_FILES = 100_000
"""The limit that Kafka's documentation recommends (Hardware and OS)."""


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


def supervised_environment(environ: Mapping[str, str], *, has_object_store: bool) -> dict[str, str]:
    """Return the variables of supervisord and what it runs: the inherited ones, with the caller's time zone beside.

    Args:
        environ: The caller's variables.
        has_object_store: Whether scheduled backups go to one, for which its credentials are kept.
    """
    prefixes = _KEPT_FOR_OBJECT_STORES if has_object_store else ()
    credentials = {name: value for name, value in environ.items() if name.startswith(prefixes)}
    zone = environ.get("TZ")
    return credentials | inherited_environment(environ) | ({_ZONE: zone} if zone else {})


def local_zone(environ: Mapping[str, str], machine_zone: Path = _MACHINE_ZONE) -> tzinfo:
    """Return the time zone of the person who started this program: that of ``TZ`` there, else the machine's.

    Args:
        environ: The variables of a supervised program, which itself runs in UTC.
        machine_zone: The file of the machine's time zone; without one, it is UTC.
    """
    from zoneinfo import ZoneInfo  # noqa: PLC0415 3 ms in each command, and the daemon alone needs it

    # None was named, or one of another form ("CET-1CEST"), or one that this machine does not know.
    with contextlib.suppress(KeyError, ValueError, OSError):
        return ZoneInfo(environ[_ZONE].removeprefix(":"))
    with contextlib.suppress(ValueError, OSError), machine_zone.open("rb") as file:
        return ZoneInfo.from_file(file)
    return UTC


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


def highest_open_files() -> int:
    """Return the limit that programs started by this process can have: its hard limit, or the most that is useful."""
    return _useful(resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def highest_processes() -> int | None:
    """Return the hard limit of this user's processes and threads; None where there is none."""
    limit = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    return None if limit == resource.RLIM_INFINITY else limit


def open_files_of(pid: int) -> int | None:
    """Return the limit of open files of a process; None where the operating system does not tell."""
    if not hasattr(resource, "prlimit"):
        return None
    try:
        return _useful(resource.prlimit(pid, resource.RLIMIT_NOFILE)[0])
    except OSError:
        return None


@contextlib.contextmanager
def raised_limits() -> Iterator[None]:
    """Let a child inherit the highest limits. The child itself sets none: this process may have threads."""
    before = {kind: resource.getrlimit(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)}
    files, processes = (hard for _, hard in before.values())
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_useful(files), files))
        with contextlib.suppress(ValueError, OSError):
            # macOS has a lower maximum than the hard limit that it tells.
            resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
        yield
    finally:
        for kind, limits in before.items():
            resource.setrlimit(kind, limits)


def open_files_limit(pid: int | None) -> int | None:
    """Return the limit of open files of a process, which what it starts inherits; None where nobody tells."""
    if pid is None or not hasattr(resource, "prlimit"):
        return None
    try:
        return resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
    except (OSError, ValueError):
        return None


def raise_open_files(pid: int) -> int | None:
    """Give a running process this process's limit where that is higher; return what it has then.

    Only root may raise a hard limit. A process without one that it could have is left as it is.

    Returns:
        The limit of the process; None where the operating system does not tell.
    """
    if not hasattr(resource, "prlimit"):
        return None
    wanted = highest_open_files()
    try:
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        for limit in (wanted, min(wanted, _useful(hard))):
            if limit <= _useful(soft):
                break
            with contextlib.suppress(PermissionError):
                higher = hard if hard == resource.RLIM_INFINITY else max(limit, hard)
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, higher))
                return limit
        return _useful(soft)
    except (OSError, ValueError):
        return None


def _useful(limit: int) -> int:
    return MOST_OPEN_FILES if limit == resource.RLIM_INFINITY else min(limit, MOST_OPEN_FILES)


def user_name() -> str:
    """Return the name of the user that runs this process; the number of one that the system does not know."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        # In a container, for example.
        return str(os.getuid())
