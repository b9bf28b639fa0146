"""The last log records of one run of a program."""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kraftd.host.files import tail
from kraftd.spec.layout import Layout
from kraftd.spec.program import Program

_STAMP = re.compile(r"^(?P<bracket>\[)?(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(,\d+)?)")
"""How a record begins: in brackets in Kafka's logs, without in those of the apps."""

_STAMP_FORMAT = "%Y-%m-%d %H:%M:%S"
_LINES = 400


def last_records(layout: Layout, program: Program, since_s: float | None) -> list[str]:
    """Return the last records of a program's logs that belong to its run since a time, in seconds since the epoch.

    An error of an earlier run must not explain the end of this one. Records with a time count from that time on, and
    are in its order across the files of a node; what has no time counts when its file was written since, and is last.

    Returns:
        Records, oldest first. A record of Kafka's logs has the lines that continue it, as those of a stack trace.
    """
    since = datetime.fromtimestamp(since_s or 0.0).strftime(_STAMP_FORMAT)  # noqa: DTZ006 logs have local time
    *stamped, console = layout.log_files(program)
    found = [record for path in stamped for record in _records(path, since, since_s)]
    found.sort(key=lambda record: record.at)
    return [record.text for record in (*found, *_records(console, since, since_s))]


@dataclass(slots=True)
class _Record:
    at: str
    text: str
    is_kafkas: bool


def _records(path: Path, since: str, since_s: float | None) -> list[_Record]:
    """Return a file's last records since a local time; none where it was last written before, or is absent."""
    try:
        written_s = path.stat().st_mtime
    except FileNotFoundError:
        return []
    records: list[_Record] = []
    for line in tail(path, _LINES) if written_s >= (since_s or 0.0) - 1 else ():
        stamp = _STAMP.match(line)
        if stamp is None and records and records[-1].is_kafkas:
            records[-1].text += f"\n{line}"
        else:
            records.append(_Record(stamp["at"] if stamp else "", line, is_kafkas=bool(stamp and stamp["bracket"])))
    return [record for record in records if not record.at or record.at >= since]
