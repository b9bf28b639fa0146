"""The lock that one command at a time holds on a cluster."""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from kraftd.clock import Clock
from kraftd.errors import TimedOutError
from kraftd.host.files import explained, make_private_directory

_RETRY_S = 0.05


@contextlib.contextmanager
def held(
    path: Path, *, command: str, clock: Clock, timeout_s: float, on_wait: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold the lock; the kernel releases it when the process ends, however it ends.

    Args:
        path: The lock file; its content says who holds it.
        command: What this process is doing, for others that wait.
        clock: Time.
        timeout_s: How long to wait for another holder.
        on_wait: Told once who holds it.

    Raises:
        TimedOutError: Another command kept it.
        PermissionDeniedError: The lock file cannot be opened.
    """
    make_private_directory(path.parent)
    with explained("open the lock", path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(descriptor, path, clock, timeout_s, on_wait)
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "command": command}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def held_if_free(path: Path, *, command: str) -> Iterator[bool]:
    """Hold the lock where nobody else does; yield whether it is held."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _try_lock(descriptor):
            yield False
            return
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "command": command}).encode(), 0)
        yield True
    finally:
        os.close(descriptor)


def _acquire(
    descriptor: int, path: Path, clock: Clock, timeout_s: float, on_wait: Callable[[str], None] | None
) -> None:
    deadline_s = clock.monotonic_s() + timeout_s
    told = False
    while not _try_lock(descriptor):
        if clock.monotonic_s() >= deadline_s:
            raise TimedOutError(
                f"cannot take the lock {path} within {timeout_s:g} s: {_holder(descriptor)} holds it",
                hint="Wait for that command, or end it.",
            )
        if not told and on_wait is not None:
            on_wait(_holder(descriptor))
            told = True
        clock.sleep(_RETRY_S)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f"'kraftd {holder['command']}' (pid {holder['pid']})"
    except (ValueError, KeyError, TypeError):
        return "another kraftd command"
