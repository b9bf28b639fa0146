"""A systemd unit that keeps a cluster in the foreground: `kraftd render --systemd`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kraftd.errors import ConfigurationError

_START_TIMEOUT_S = 210
_STOP_TIMEOUT_S = 360
"""Half a minute more than kraftd's own."""

_WATCHDOG_S = 60
_OPEN_FILES = 524_288
"""systemd's own hard limit, as the soft one."""

_FINAL_STATUSES = (2, 4, 6, 8)
"""Usage or configuration, permission, other data than expected, refused: the same start would fail again."""

_ENDS = (
    f"TimeoutStartSec={_START_TIMEOUT_S}",
    "# TERM for kraftd alone, which stops the others in order; KILL for what is left in the end.",
    "KillMode=mixed",
    f"TimeoutStopSec={_STOP_TIMEOUT_S}",
    "Restart=on-failure",
    "RestartSec=5",
    f"RestartPreventExitStatus={' '.join(map(str, _FINAL_STATUSES))}",
    "# kraftd says that its daemon observes; where it does not, the cluster is stopped in order.",
    f"WatchdogSec={_WATCHDOG_S}",
    "WatchdogSignal=SIGTERM",
    "# A program that the kernel kills for want of memory is restarted by kraftd.",
    "OOMPolicy=continue",
)
"""How long a start and a stop may take, what is signalled, and what is started again."""

_SANDBOX = (
    "NoNewPrivileges=yes",
    "LockPersonality=yes",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "SystemCallArchitectures=native",
)
"""What a service needs no mount namespace for, so that a user's manager can do it too."""

_SYSTEM_SANDBOX = (
    "ProtectSystem=full",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectControlGroups=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
)
"""No MemoryDenyWriteExecute, because Java compiles; no PrivateTmp, because commands attach to a JVM through /tmp."""

_UNSAFE_EXECUTABLE = re.compile(r"""["'\\\x00-\x1f\x7f]""")
"""systemd takes no such executable, however it is quoted."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Service:
    """A cluster as a service.

    Attributes:
        command: The command that keeps the cluster in the foreground, its executable first.
        state_dir: The cluster's directory.
        environment: The variables that the command needs.
        user: Whose programs they are; None for a unit of this user's own service manager.
        left_out: The names of variables that set something now, and that the unit does not have.
        working_dir: Where the command is started; None for the choice of the service manager.
    """

    cluster: str
    command: Sequence[str]
    state_dir: Path
    environment: Mapping[str, str]
    user: str | None
    left_out: Sequence[str] = ()
    working_dir: Path | None = None


def systemd_unit(service: Service) -> str:
    """Return the text of the unit.

    Raises:
        ConfigurationError: A path or a value is not UTF-8.
    """
    is_system = service.user is not None
    head = [f"# Written by 'kraftd render --systemd{'' if is_system else ' --user'}'."]
    # Whoever may run a program may read its unit.
    head += [f"# Everybody can read a unit, so that it is not in here: {name}" for name in service.left_out]
    lines = [
        *head,
        "[Unit]",
        f"Description=Kafka cluster {_literal(service.cluster)} (kraftd)",
        *(["After=network.target"] if is_system else []),
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        *([f"User={_literal(service.user)}"] if service.user is not None else []),
        *([f"WorkingDirectory={_literal(str(service.working_dir))}"] if service.working_dir is not None else []),
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in service.environment.items()),
        f"ExecStart={_command_line(service.command)}",
        *_ENDS,
        f"LimitNOFILE={_OPEN_FILES}",
        "UMask=0077",
        *_SANDBOX,
        *([*_SYSTEM_SANDBOX, f"ReadWritePaths={_quoted(f'-{service.state_dir}')}"] if is_system else []),
        "",
        "[Install]",
        f"WantedBy={'multi-user.target' if is_system else 'default.target'}",
        "",
    ]
    return "\n".join(lines)


def _command_line(command: Sequence[str]) -> str:
    """Return a command for ExecStart, exactly as it is: the colon takes the meaning from ``$``."""
    if _UNSAFE_EXECUTABLE.search(command[0]):
        command = ("/bin/sh", "-c", 'exec "$0" "$@"', *command)
    return f":{' '.join(map(_quoted, command))}"


def _quoted(text: str) -> str:
    """Return one word, in quotes: systemd.syntax(7) has C's escapes, and systemd.unit(5) replaces ``%``."""
    escaped = _literal(text.replace("\\", "\\\\").replace('"', '\\"'))
    return '"' + _CONTROL.sub(lambda found: rf"\x{ord(found[0]):02x}", escaped) + '"'


def _literal(text: str) -> str:
    """Return a text in which nothing is replaced.

    Raises:
        ConfigurationError: It is not UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            f"cannot write a unit with {text!r}: it is not UTF-8, which systemd wants",
            hint="Use a plainer path.",
            code="not_utf_8",
        ) from error
    return text.replace("%", "%%")
