"""The lock that one command at a time holds on a cluster."""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from kraftd.clock import Clock
from kraftd.errors import FileAccessError, TimedOutError
from kraftd.host.files import make_private_directory, os_errors_named

_RETRY_S = 0.05


@contextlib.contextmanager
def held(
    path: Path, *, command: str, clock: Clock, timeout_s: float, on_wait: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold the lock; the kernel releases it when the process ends, however it ends.

    A lock file that this call made goes again where nothing else came beside it: what is refused leaves no trace.

    Args:
        path: The lock file; its content says who holds it.
        command: What this process is doing, for others that wait.
        clock: Time.
        timeout_s: How long to wait for another holder.
        on_wait: Told once who holds it.

    Raises:
        TimedOutError: Another command kept it.
        FileAccessError: The lock file cannot be opened.
    """
    absent = [place for place in (path, *path.parents) if not place.exists()]
    before = set(path.parent.glob("*"))
    descriptor = _acquired(path, clock, timeout_s, on_wait)
    try:
        _sign(descriptor, command)
        yield
    finally:
        _remove_unused(path, absent, before)
        os.close(descriptor)


@contextlib.contextmanager
def try_acquire(path: Path, *, command: str) -> Iterator[bool]:
    """Hold the lock where nobody else does; yield whether it is held.

    Raises:
        FileAccessError: The lock file cannot be opened.
    """
    descriptor = _locked(path)
    if descriptor is None:
        yield False
        return
    try:
        _sign(descriptor, command)
        yield True
    finally:
        os.close(descriptor)


def _acquired(path: Path, clock: Clock, timeout_s: float, on_wait: Callable[[str], None] | None) -> int:
    deadline_s = clock.monotonic_s() + timeout_s
    told = False
    while (descriptor := _locked(path)) is None:
        if clock.monotonic_s() >= deadline_s:
            raise TimedOutError(
                f"cannot take the lock {path} within {timeout_s:g} s: {_holder(path)} holds it",
                hint="Wait for that command, or end it.",
                code="locked",
            )
        if not told and on_wait is not None:
            on_wait(_holder(path))
            told = True
        clock.sleep(_RETRY_S)
    return descriptor


def _locked(path: Path) -> int | None:
    """Return an open descriptor that holds the lock; None where another process does."""
    try:
        make_private_directory(path.parent)
        with os_errors_named("open the lock", path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileAccessError as error:
        if isinstance(error.__cause__, FileNotFoundError | FileExistsError) and not path.parent.is_file():
            return None  # the last holder is removing the directory
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The last holder may have removed the file: a lock on what nobody else can open protects nothing.
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _sign(descriptor: int, command: str) -> None:
    # On a full disk nobody learns who holds the lock; it is held all the same.
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
    """Remove a lock file that was absent before, and its directories that were, where nothing came beside it."""
    if path not in absent or set(path.parent.glob("*")) - before - {path}:
        return
    path.unlink(missing_ok=True)
    for directory in absent[1:]:
        with contextlib.suppress(OSError):
            # Not empty, or gone.
            directory.rmdir()
