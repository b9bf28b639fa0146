"""Where the files of a cluster are, and which files of a state directory are kraftd's own."""

import hashlib
import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kraftd.errors import ConfigurationError, IdentityMismatchError
from kraftd.plan.program import Program

SOCKET_PATH_MAX_BYTES = 95
"""Longest control socket path that works everywhere: AF_UNIX takes 103 bytes on macOS (107 on Linux), and supervisord
first binds ``<path>.<pid>``."""

_SOCKET = "supervisor.sock"

_UNUSABLE = {
    ",": "Kafka reads a comma in log.dirs as the end of a path",
    '"': "the JVM's -Xlog cannot quote a double quote",
    "%p": "the JVM's -Xlog replaces %p",
    "%t": "the JVM's -Xlog replaces %t",
    "${": "Kafka's logging replaces ${...}",
    "\0": "no path can have a NUL",
    "\n": "supervisord.conf has no line breaks in values",
    "\r": "supervisord.conf has no line breaks in values",
}
"""Texts that a state directory's path must not contain, and why."""


PROGRAM_DIRECTORIES = ("config", "data", "logs")
"""Directories that hold one directory for each program."""

DIRECTORIES = (*PROGRAM_DIRECTORIES, "events", "run")
"""Every directory that kraftd makes directly in a state directory."""

RECORDS = (
    "generation",
    "desired.json",
    "restarts.json",
    "rolling.json",
    "overrides.json",
    "backups.json",
    "restore.json",
    "restore.lock",
    "scale.json",
    "scale.lock",
    "topics.json",
    "topics.lock",
    "supervisord.conf",
    "manifest.json",
    "plan.json",
    "ownership.json",
)
"""Every file that kraftd writes directly in a state directory, except the lock; the record of ownership is last."""

SECRET_FILES = (".env", "*.token")
"""Patterns of the files among a program's rendered ones that hold secrets only: an app's settings, and its token."""

TOOLS = "kafka-tools"
"""The directory of the files for Kafka's tools, which belong to no program."""

TOO_NEW = "ownership_too_new"
"""The code of the error about a record that a newer kraftd wrote."""

_SCHEMA_VERSION = 1
_NOT_IN_THE_PLAN = (TOOLS, "supervisord")
_PROGRAM = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_TEMPORARY = re.compile(rf"\.({'|'.join(map(re.escape, RECORDS))})\.\d+")
_FILES = {
    "events": re.compile(r"(commands|daemon)\.jsonl(\.1)?"),
    "logs": re.compile(r"supervisord\.log(\.\d+)?|\.?supervisord\.log-\d{8}T\d{6}\.\d{6}Z(\.gz)?"),
    "run": re.compile(r"\.?heartbeat(\.\d+)?|supervisord\.pid|supervisor\.sock(\.\d+)?|foreground\.lock|operations"),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one cluster, all absolute."""

    state_dir: Path
    socket: Path

    @property
    def socket_is_elsewhere(self) -> bool:
        """Whether the control socket is in a directory of its own outside the state directory."""
        return not self.socket.is_relative_to(self.state_dir)

    @property
    def plan(self) -> Path:
        """The plan of the cluster that is running, or ran last."""
        return self.state_dir / "plan.json"

    @property
    def manifest(self) -> Path:
        """The manifest: values fixed at the first format."""
        return self.state_dir / "manifest.json"

    @property
    def ownership(self) -> Path:
        """The list of what kraftd wrote into the state directory, which may hold other files too."""
        return self.state_dir / "ownership.json"

    @property
    def desired(self) -> Path:
        """The desired state."""
        return self.state_dir / "desired.json"

    @property
    def generation(self) -> Path:
        """The number of stops so far; a start that is under way ends when it changes."""
        return self.state_dir / "generation"

    @property
    def lock(self) -> Path:
        """The lock of the one command that may change the cluster."""
        return self.state_dir / "lock"

    @property
    def foreground_lock(self) -> Path:
        """The lock of the one command that keeps the cluster in the foreground."""
        return self.state_dir / "run" / "foreground.lock"

    @property
    def restarts(self) -> Path:
        """The daemon's memory of restarts."""
        return self.state_dir / "restarts.json"

    @property
    def rolling(self) -> Path:
        """The journal of a rolling restart that is under way, or ended early."""
        return self.state_dir / "rolling.json"

    @property
    def overrides(self) -> Path:
        """The brokers' settings that were changed while they ran, until they are read from their files."""
        return self.state_dir / "overrides.json"

    @property
    def operations(self) -> Path:
        """The directory in which each process of a long operation records how far it is."""
        return self.state_dir / "run" / "operations"

    @property
    def backups(self) -> Path:
        """The daemon's memory of the backups that it had made."""
        return self.state_dir / "backups.json"

    @property
    def restore_journal(self) -> Path:
        """What a restore of a backup has begun and not finished."""
        return self.state_dir / "restore.json"

    @property
    def restore_lock(self) -> Path:
        """The lock of the one command that may restore a backup; the cluster is used meanwhile."""
        return self.state_dir / "restore.lock"

    @property
    def scale_journal(self) -> Path:
        """The journal of a scale that is unfinished."""
        return self.state_dir / "scale.json"

    @property
    def scale_lock(self) -> Path:
        """The lock of the one scale at a time; it moves replicas for long, without the lock of the cluster."""
        return self.state_dir / "scale.lock"

    @property
    def created_topics(self) -> Path:
        """The record of the topics that ``kraftd topics apply`` created."""
        return self.state_dir / "topics.json"

    @property
    def topics_lock(self) -> Path:
        """The lock of the one application of declared topics at a time."""
        return self.state_dir / "topics.lock"

    @property
    def supervisord_conf(self) -> Path:
        """The rendered configuration of supervisord."""
        return self.state_dir / "supervisord.conf"

    @property
    def supervisord_pid(self) -> Path:
        """The pid file that supervisord writes; no process is signalled by it."""
        return self.state_dir / "run" / "supervisord.pid"

    @property
    def heartbeat(self) -> Path:
        """The file that the daemon touches after each look, and that supervisord watches."""
        return self.state_dir / "run" / "heartbeat"

    @property
    def supervisord_log(self) -> Path:
        """The log of supervisord, the only place with true exit statuses."""
        return self.state_dir / "logs" / "supervisord.log"

    @property
    def events(self) -> Path:
        """The directory of events, with a file for each writer."""
        return self.state_dir / "events"

    def data(self, program: str) -> Path:
        """A node's log directory, in Kafka's sense of the word."""
        return self.state_dir / "data" / program

    def logs(self, program: str) -> Path:
        """The log files of a program."""
        return self.state_dir / "logs" / program

    def log_files(self, program: Program) -> tuple[Path, ...]:
        """The log files of a program, the most informative one last."""
        return tuple(self.logs(program.name) / name for name in program.logs.files)

    def all_log_files(self, program: Program) -> tuple[Path, ...]:
        """Every log file of a program, those last that say nothing about a failure."""
        return tuple(self.logs(program.name) / name for name in (*program.logs.files, *program.logs.further))

    def main_log(self, program: Program) -> Path:
        """The log of a program to show first."""
        return self.logs(program.name) / program.logs.main

    def console(self, program: str) -> Path:
        """The stdout and stderr of a program."""
        return self.logs(program) / "console.log"

    def config(self, program: str) -> Path:
        """The rendered files of a program."""
        return self.state_dir / "config" / program

    def temporary(self, program: str) -> Path:
        """The directory into which the JVM of a node unpacks native libraries; emptied at a start."""
        return self.config(program) / "tmp"

    def metrics_agent(self, node: str) -> Path:
        """What a node's JVM takes to load the metrics agent; empty where it runs without."""
        return self.config(node) / "metrics-agent"

    @property
    def jmx(self) -> Path:
        """The directory of the password for the brokers' JMX, among the files of the daemon."""
        return self.config("kraftd")

    def identity(self, program: str) -> str:
        """The text in the marker of a program, unique to it across all clusters of this machine."""
        return f"{self.state_dir}/{program}"


def clusters_dir(environ: Mapping[str, str], home: Path | None) -> Path:
    """Return the parent of the default state directories.

    Raises:
        ConfigurationError: It is below a home directory that is not known, or is not an absolute path.
    """
    return _base(environ, "XDG_STATE_HOME", home, ".local/state", "--state-dir") / "kraftd"


def cache_dir(environ: Mapping[str, str], home: Path | None) -> Path:
    """Return the directory of downloads and archives, shared by all clusters.

    Raises:
        ConfigurationError: It is below a home directory that is not known, or is not an absolute path.
    """
    return _base(environ, "XDG_CACHE_HOME", home, ".cache", "XDG_CACHE_HOME in the environment") / "kraftd"


def absolute_home(home: Path | None, instead: str) -> Path:
    """Return the home directory, where it can be used.

    Args:
        home: The home directory as the system gives it; None where it gives none.
        instead: What to set if it cannot be used, besides HOME.

    Raises:
        ConfigurationError: It is not known, or is not an absolute path.
    """
    if home is not None and home.is_absolute():
        return home
    what = "cannot find the home directory: HOME is not set, and the system does not know this user"
    if home is not None:
        what = f"cannot use the home directory {str(home)!r}: HOME is not an absolute path"
    raise ConfigurationError(what, hint=f"Set HOME, or {instead}, to an absolute path.", code="no_home")


def layout_of(*, cluster: str, state_dir: Path | None, environ: Mapping[str, str], home: Path | None) -> Layout:
    """Return the layout of a cluster.

    The control socket is in the state directory; where its path is too long for the operating system, in a private
    directory below ``TMPDIR``. The plan of a cluster that runs records where its socket is.

    Raises:
        ConfigurationError: The path has a character that one of the programs would misread, or it is below a home
            directory that is not known.
    """
    state_dir = _checked(clusters_dir(environ, home) / cluster if state_dir is None else state_dir)
    socket = state_dir / "run" / _SOCKET
    if len(str(socket).encode()) > SOCKET_PATH_MAX_BYTES:
        socket = _short_socket(state_dir, environ.get("TMPDIR", ""))
    return Layout(state_dir, socket)


def _short_socket(state_dir: Path, temporary: str) -> Path:
    name = Path(f"kraftd-{hashlib.sha256(str(state_dir).encode()).hexdigest()[:16]}", _SOCKET)
    chosen = temporary / name
    is_usable = Path(temporary).is_absolute() and not _reason_against(temporary)
    return chosen if is_usable and len(str(chosen).encode()) <= SOCKET_PATH_MAX_BYTES else "/tmp" / name  # noqa: S108


def _checked(state_dir: Path) -> Path:
    reason = _reason_against(str(state_dir))
    if reason:
        raise ConfigurationError(
            f"cannot use the state directory {str(state_dir)!r}: {reason}",
            hint="Set cluster.state_dir (or --state-dir) to a plainer path.",
            code="unusable_state_dir",
        )
    return state_dir


def _reason_against(path: str) -> str:
    """Return why a program would misread a path; empty where none would."""
    reason = next((reason for part, reason in _UNUSABLE.items() if part in path), "")
    return reason or ("" if _is_utf_8(path) else "it is not UTF-8")


def _is_utf_8(text: str) -> bool:
    """Return whether the bytes of a path are the UTF-8 of its text; in a Latin-1 locale they are not."""
    try:
        return text.encode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()) == text.encode()
    except UnicodeEncodeError:
        return False


def _base(environ: Mapping[str, str], variable: str, home: Path | None, below_home: str, instead: str) -> Path:
    # The XDG base directory specification: a relative path is invalid and ignored.
    chosen = Path(environ.get(variable, ""))
    return chosen if chosen.is_absolute() else absolute_home(home, instead) / below_home


@dataclass(frozen=True, slots=True)
class Ownership:
    """The record of what kraftd wrote into a state directory.

    Attributes:
        programs: Every program that was ever started from it, in the order of their names.
    """

    programs: tuple[str, ...] = ()

    def extended(self, programs: Iterable[str]) -> "Ownership":
        """Return the ownership with further programs; names that no program can have are ignored."""
        names = {name for name in programs if _PROGRAM.fullmatch(name)}
        return Ownership(tuple(sorted({*self.programs, *names})))

    def covers_record(self, name: str) -> bool:
        """Return whether a file directly in the state directory is kraftd's."""
        return name in RECORDS or _TEMPORARY.fullmatch(name) is not None

    def covers(self, directory: str, name: str) -> bool:
        """Return whether an entry of one of ``DIRECTORIES``, with all below it, is kraftd's."""
        if directory in PROGRAM_DIRECTORIES and name in (*self.programs, *_NOT_IN_THE_PLAN):
            return True
        pattern = _FILES.get(directory)
        return pattern is not None and pattern.fullmatch(name) is not None

    def to_json(self) -> str:
        """Return the text of ``ownership.json``."""
        return json.dumps({"schema_version": _SCHEMA_VERSION, "programs": self.programs}, indent=2) + "\n"


def parse_ownership(text: str, path: Path) -> Ownership:
    """Return the ownership that a text holds.

    Raises:
        IdentityMismatchError: The text is damaged, or a newer kraftd wrote it.
    """
    try:
        raw = json.loads(text)
        version, programs = int(raw["schema_version"]), [str(name) for name in raw["programs"]]
    except (ValueError, KeyError, TypeError) as error:
        raise IdentityMismatchError(
            f"cannot read the record of ownership {path}: it is damaged ({error})",
            hint="Remove that file: the next start writes a new one.",
            code="ownership_damaged",
        ) from error
    if version > _SCHEMA_VERSION:
        raise IdentityMismatchError(
            f"cannot read the record of ownership {path}: it has schema version {version}, "
            f"this kraftd knows {_SCHEMA_VERSION}",
            hint="Use the kraftd that made this cluster, or a newer one.",
            code=TOO_NEW,
        )
    return Ownership().extended(programs)
