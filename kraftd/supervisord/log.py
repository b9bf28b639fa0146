"""What supervisord's log alone tells: how programs ended, as RPC reports a signal as -1, and every pid. Pure."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

_EXIT = re.compile(
    r"^(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+) \w+ (?:exited|stopped): (?P<name>\S+) "
    r"\((?:exit status (?P<status>\d+)|terminated by (?:signal )?(?P<signal>SIG\w+|\d+)(?: \(core dumped\))?)"
)

_SPAWN = re.compile(r"^\S+ \S+ \w+ spawned: '(?P<name>[^']+)' with pid (?P<pid>\d+)$")

_STARTED = "supervisord started with pid"


@dataclass(frozen=True, slots=True)
class Exit:
    """The exit of a program's last run, by status or by signal; the other is None.

    Attributes:
        at: The log's timestamp, in UTC, ``2026-11-22 16:00:00,123``.
    """

    at: str
    status: int | None
    signal: str | None

    def __str__(self) -> str:
        return f"signal {self.signal}" if self.signal else f"exit status {self.status}"


def last_exits(log_lines: Iterable[str]) -> dict[str, Exit]:
    """Return the last exit of each program under the current supervisord, by name without the group."""
    found: dict[str, Exit] = {}
    for line in log_lines:
        if _STARTED in line:
            found.clear()
        match = _EXIT.match(line)
        if match:
            status = match["status"]
            found[match["name"]] = Exit(match["at"], int(status) if status is not None else None, match["signal"])
    return found


def spawned_pids(log_lines: Iterable[str], names: Collection[str]) -> frozenset[int]:
    """Return the pids that some programs have had, by name without the group, also under earlier supervisords."""
    found = map(_SPAWN.match, log_lines)
    return frozenset(int(match["pid"]) for match in found if match and match["name"] in names)
