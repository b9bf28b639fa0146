"""The last log lines of one run of a program."""

import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from kraftd.host.files import tail
from kraftd.spec.layout import Layout
from kraftd.spec.plan import Kind

_STAMP = re.compile(r"^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")
_LINES = 400


def log_files(layout: Layout, program: str, kind: Kind) -> tuple[Path, ...]:
    """Return where a program logs, the most telling file last."""
    if kind in (Kind.BROKER, Kind.CONTROLLER):
        logs = layout.logs(program)
        return (logs / "controller.log", logs / "server.log", layout.console(program))
    return (layout.console(program),)


def main_log(layout: Layout, program: str, kind: Kind) -> Path:
    """Return the log that people want to see of a program."""
    if kind in (Kind.BROKER, Kind.CONTROLLER):
        return layout.logs(program) / "server.log"
    return layout.console(program)


def last_lines(layout: Layout, program: str, kind: Kind, since_s: float | None) -> list[str]:
    """Return the last lines of a program's logs that belong to its run since a time, in seconds since the epoch.

    An error of an earlier run must not explain the end of this one. Lines of Kafka's logs carry a time; of a file
    without times all counts when it was written since.
    """
    since = datetime.fromtimestamp(since_s or 0.0).strftime("%Y-%m-%d %H:%M:%S")  # noqa: DTZ006 logs have local time
    lines: list[str] = []
    for path in log_files(layout, program, kind):
        if path.is_file() and path.stat().st_mtime >= (since_s or 0.0) - 1:
            lines += _since(tail(path, _LINES), since)
    return lines


def _since(lines: Iterable[str], since: str) -> list[str]:
    kept = []
    current = True
    for line in lines:
        stamp = _STAMP.match(line)
        if stamp is not None:
            current = stamp[1] >= since
        if current:
            kept.append(line)
    return kept
