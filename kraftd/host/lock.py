"""The lock that one command at a time holds on a cluster."""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from kraftd.clock import Clock
from kraftd.errors import LOCKED, FileAccessError, RefusedError, TimedOutError
from kraftd.host.files import make_private_directory, open_for_owner, os_errors_named

_RETRY_S = 0.05
_KERNEL_LOCKS = Path("/proc/locks")
"""See proc_locks(5); Linux only."""
_MOST_REMOVALS = 100
"""More holders do not remove the directory in a row, each between two system calls of this process."""


@contextlib.contextmanager
def acquire(
    path: Path, *, command: str, clock: Clock, timeout_s: float, on_wait: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Acquire the lock and hold it in a context; the kernel releases it when the process ends, even if killed.

    A lock file that this call created is removed again if nothing else was created beside it, so that a refused
    command leaves no trace.

    Args:
        path: The lock file; its content says who holds it.
        command: The command of this process, for messages of waiting processes.
        clock: Time.
        timeout_s: How long to wait for another holder.
        on_wait: Called once with the holder, if there is another.

    Raises:
        TimedOutError: Another command kept the lock.
        FileAccessError: The lock file cannot be opened.
    """
    absent = [place for place in (path, *path.parents) if not place.exists()]
    before = set(path.parent.glob("*"))
    descriptor = _wait_for_lock(path, clock, timeout_s, on_wait)
    try:
        _write_holder(descriptor, command)
        yield
    finally:
        _remove_unused(path, absent, before)
        os.close(descriptor)


@contextlib.contextmanager
def try_acquire(path: Path, *, command: str) -> Iterator[bool]:
    """Acquire the lock if it is free; yield whether it was.

    Raises:
        FileAccessError: The lock file cannot be opened.
    """
    descriptor = _try_lock(path)
    if descriptor is None:
        yield False
        return
    try:
        _write_holder(descriptor, command)
        yield True
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def acquire_at_once(path: Path, *, command: str, what: str) -> Iterator[None]:
    """Acquire the lock and hold it in a context.

    Args:
        path: The lock file.
        command: The command of this process, for messages of others.
        what: What the holder does, as a part of a sentence: ``restore into local``.

    Raises:
        RefusedError: Another command holds it.
        FileAccessError: The lock file cannot be opened.
    """
    with try_acquire(path, command=command) as is_held:
        if not is_held:
            raise RefusedError(
                f"cannot {what}: {holder_now(path) or 'another command'} does so now",
                hint="Wait for that command, or end it.",
                code=LOCKED,
            )
        yield


def holder_now(path: Path) -> str | None:
    """Return who holds a lock, without touching it; None for nobody, and where the system does not tell."""
    try:
        inode, held = path.stat().st_ino, _KERNEL_LOCKS.read_text(encoding="utf-8")
    except OSError:
        return None
    rows = [line.split() for line in held.splitlines()]
    is_held = any("FLOCK" in row and any(word.endswith(f":{inode}") for word in row) for row in rows)
    return _holder(path) if is_held else None


def _wait_for_lock(path: Path, clock: Clock, timeout_s: float, on_wait: Callable[[str], None] | None) -> int:
    deadline_s = clock.monotonic_s() + timeout_s
    is_reported = False
    while (descriptor := _try_lock(path)) is None:
        if clock.monotonic_s() >= deadline_s:
            within = f" within {timeout_s:g} s" if timeout_s else ""
            raise TimedOutError(
                f"cannot take the lock {path}{within}: {_holder(path)} holds it",
                hint="Wait for that command, or end it.",
                code=LOCKED,
            )
        if not is_reported and on_wait is not None:
            on_wait(_holder(path))
            is_reported = True
        clock.sleep(_RETRY_S)
    return descriptor


def _try_lock(path: Path) -> int | None:
    """Return an open descriptor that holds the lock; None if another process holds it."""
    descriptor = _opened(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The last holder may have removed the file: a lock on a file that no other process can open is no lock.
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _opened(path: Path) -> int:
    """Open the lock file, again where the last holder removes its directory between the steps."""
    for _ in range(_MOST_REMOVALS):
        try:
            return _open(path)
        except FileAccessError as error:
            if not isinstance(error.__cause__, FileNotFoundError | FileExistsError):
                raise
    # A place where nothing can be made, as /proc, says the same every time.
    return _open(path)


def _open(path: Path) -> int:
    make_private_directory(path.parent)
    with os_errors_named("open the lock", path):
        return open_for_owner(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)


def _write_holder(descriptor: int, command: str) -> None:
    # The name of the holder is only for messages: a full disk must not prevent the lock.
    with contextlib.suppress(OSError):
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "command": command}).encode(), 0)


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f"'kraftd {holder['command']}' (pid {holder['pid']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another kraftd command"


def _remove_unused(path: Path, absent: list[Path], before: set[Path]) -> None:
    """Remove a lock file and its directories as far as they were absent before and nothing else was created there."""
    if path not in absent or set(path.parent.glob("*")) - before - {path}:
        return
    path.unlink(missing_ok=True)
    for directory in absent[1:]:
        with contextlib.suppress(OSError):
            # Not empty, or gone.
            directory.rmdir()
