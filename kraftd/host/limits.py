"""The operating system's limits on open files and processes, as programs inherit them from supervisord."""

import contextlib
import resource
from collections.abc import Iterator

MOST_OPEN_FILES = 100_000
"""The limit that Kafka's documentation recommends (Hardware and OS)."""


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
