"""The free space of the file systems that hold a cluster, and when they will be full. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kraftd.units import duration, human_size, plural

WINDOW_S = 300.0
"""How far back the rate looks: a segment that Kafka deletes meanwhile counts as space won."""

LEAST_SPAN_S = 60.0
"""The shortest time from which a rate is computed: the burst of a start is no rate."""

WARN_BEFORE_S = 600.0
"""How long before a file system is full the cluster is degraded."""

LEAST_FREE_FILES = 1000
"""Fewer new files than that are short: each segment of a partition takes three."""

_FILES_OF_A_START = 200

_STEP_S = 5.0
_SMALL_DISK_BYTES = 2560 * 1024**2
_SMALL_DISK_PART = 10


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """One file system, as the operating system tells it now.

    Attributes:
        free_files: How many more files this user can make (inodes); None where there is no such limit.
        total_files: How many there can be at all.
    """

    path: str
    free_bytes: int
    total_bytes: int
    free_files: int | None = None
    total_files: int = 0

    @property
    def least_free_files(self) -> int:
        """How many more files (inodes) must be possible: on a small file system a tenth, but enough for a start."""
        return min(LEAST_FREE_FILES, max(_FILES_OF_A_START, self.total_files // _SMALL_DISK_PART))

    @property
    def is_short_of_files(self) -> bool:
        """Whether hardly any more files can be made on it, however many bytes are free."""
        return self.free_files is not None and self.free_files < self.least_free_files

    def least_free_bytes(self, min_free_bytes: int) -> int:
        """Return how much must be free: the setting; on a small disk, as tests use, a tenth of it is enough."""
        is_small = self.total_bytes < _SMALL_DISK_BYTES
        return min(min_free_bytes, self.total_bytes // _SMALL_DISK_PART) if is_small else min_free_bytes


@dataclass(frozen=True, slots=True)
class DiskView:
    """One file system that holds data or logs of the cluster.

    Attributes:
        path: A directory of the cluster on it.
        free_bytes: The space that this user can still take.
        least_free_bytes: The space below which a start is refused.
        full_in_s: How long the free space lasts at the rate of the last minutes; None where it does not shrink, or was
            not looked at for long enough.
        rate_bytes_per_s: How fast it shrinks; None likewise.
        free_files: How many more files can be made, where hardly any can; else None.
    """

    path: str
    free_bytes: int
    total_bytes: int
    least_free_bytes: int
    full_in_s: float | None = None
    rate_bytes_per_s: float | None = None
    free_files: int | None = None


@dataclass(frozen=True, slots=True)
class FreeSpaceSample:
    """The free space at one time.

    Attributes:
        monotonic_s: On the clock that never steps.
    """

    monotonic_s: float
    free_bytes: int


Samples = Mapping[str, tuple[FreeSpaceSample, ...]]
"""By path, oldest first."""


def extended(samples: Samples, spaces: Iterable[DiskSpace], monotonic_s: float) -> Samples:
    """Return the samples of the window with those of now, where a step has passed since the newest."""
    return {space.path: _with_now(samples.get(space.path, ()), space, monotonic_s) for space in spaces}


def _with_now(known: tuple[FreeSpaceSample, ...], space: DiskSpace, now_s: float) -> tuple[FreeSpaceSample, ...]:
    kept = tuple(each for each in known if now_s - each.monotonic_s <= WINDOW_S)
    if kept and now_s - kept[-1].monotonic_s < _STEP_S:
        return kept
    return (*kept, FreeSpaceSample(now_s, space.free_bytes))


def disk_views(spaces: Sequence[DiskSpace], samples: Samples, min_free_bytes: int) -> tuple[DiskView, ...]:
    """Return the file systems with the time until each is full.

    Args:
        spaces: The file systems now.
        samples: What was free before.
        min_free_bytes: The setting ``disk.min_free``.
    """
    return tuple(_view(space, samples.get(space.path, ()), min_free_bytes) for space in spaces)


def _view(space: DiskSpace, samples: Sequence[FreeSpaceSample], min_free_bytes: int) -> DiskView:
    rate = _shrinking_bytes_per_s(samples)
    full_in_s = space.free_bytes / rate if rate else None
    least = space.least_free_bytes(min_free_bytes)
    files = space.free_files if space.is_short_of_files else None
    return DiskView(space.path, space.free_bytes, space.total_bytes, least, full_in_s, rate, files)


def _shrinking_bytes_per_s(samples: Sequence[FreeSpaceSample]) -> float | None:
    if not samples:
        return None
    first, last = samples[0], samples[-1]
    span_s, taken_bytes = last.monotonic_s - first.monotonic_s, first.free_bytes - last.free_bytes
    return taken_bytes / span_s if span_s >= LEAST_SPAN_S and taken_bytes > 0 else None


def disk_reasons(disks: Iterable[DiskView]) -> Iterator[str]:
    """Yield a sentence for each file system that is short of space, or will be full soon."""
    for disk in disks:
        if disk.free_files is not None:
            yield f"the disk of {disk.path} takes only {plural(disk.free_files, 'more file')}: its inodes run out"
        is_filling = disk.full_in_s is not None and disk.full_in_s < WARN_BEFORE_S
        if disk.free_bytes >= disk.least_free_bytes and not is_filling:
            continue
        least = f", less than the {human_size(disk.least_free_bytes)} of disk.min_free"
        short = least if disk.free_bytes < disk.least_free_bytes else ""
        soon = (
            f"; full in {duration(disk.full_in_s)} at {human_size(round(disk.rate_bytes_per_s))}/s"
            if is_filling and disk.full_in_s is not None and disk.rate_bytes_per_s is not None
            else ""
        )
        yield (
            f"the disk of {disk.path} has {human_size(disk.free_bytes)} of {human_size(disk.total_bytes)} "
            f"free{short}{soon}"
        )
