"""How much memory this machine, or this container, has."""

from pathlib import Path

import psutil

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def total_bytes(limit_files: tuple[Path, ...] = _CGROUP_LIMITS) -> int:
    """Return the memory that processes here may use together: the machine's, or the cgroup's lower limit."""
    limits = [int(psutil.virtual_memory().total)]
    for path in limit_files:
        try:
            text = path.read_text(encoding="ascii").strip()
        except OSError:
            continue  # no such kind of cgroup here
        if text.isdecimal():
            limits.append(int(text))
    return min(limits)
