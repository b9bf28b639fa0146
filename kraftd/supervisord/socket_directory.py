"""The directory of the control socket: whoever may write there could answer in supervisord's place."""

import errno
import os
from pathlib import Path

_OTHERS_MAY_WRITE = 0o022
_ANYBODY_MAY_WRITE = 0o002


def make_socket_directory(path: Path) -> None:
    """Make a directory for the owner only, in one that exists.

    Raises:
        OSError: The operating system refuses, or the directory is in one that every user may write to, and does not
            belong to this user alone.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    found, above = path.lstat(), path.parent.stat()
    if not above.st_mode & _ANYBODY_MAY_WRITE:
        return
    if path.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & _OTHERS_MAY_WRITE:
        raise PermissionError(errno.EACCES, "it does not belong to this user alone", str(path))
