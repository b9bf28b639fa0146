"""The file systems that hold a cluster's data and logs, looked at from this machine: also while no broker runs."""

import os
from collections.abc import Callable

from kraftd.clock import Clock
from kraftd.health.programs.disks import DiskSpace, DiskView, Samples, disk_views, extended
from kraftd.host.machine import nearest_existing
from kraftd.plan.plan import Plan


def disk_spaces(plan: Plan) -> tuple[DiskSpace, ...]:
    """Return each file system that holds files of a cluster; what cannot be asked is left out.

    A directory that is still to be made counts as its nearest parent.
    """
    found: dict[int, DiskSpace] = {}
    for path in (plan.layout.state_dir, *(plan.layout.data(node.name) for node in plan.nodes)):
        existing = nearest_existing(path)
        try:
            device, space = existing.stat().st_dev, os.statvfs(existing)
        except OSError:
            continue
        # Some virtual file systems tell no size.
        if device not in found and space.f_blocks:
            # File systems that make inodes as they need them tell none.
            found[device] = DiskSpace(
                str(path),
                space.f_bavail * space.f_frsize,
                space.f_blocks * space.f_frsize,
                space.f_favail if space.f_files else None,
                space.f_files,
            )
    return tuple(found.values())


class DiskWatch:
    """Remembers the free space of the last minutes."""

    def __init__(self, plan: Plan, clock: Clock, look: Callable[[Plan], tuple[DiskSpace, ...]] = disk_spaces) -> None:
        self._plan = plan
        self._clock = clock
        self._look = look
        self._samples: Samples = {}

    def views(self) -> tuple[DiskView, ...]:
        """Return the file systems now, each with the time until it is full."""
        spaces = self._look(self._plan)
        self._samples = extended(self._samples, spaces, self._clock.monotonic_s())
        return disk_views(spaces, self._samples, self._plan.min_free_disk_bytes)
