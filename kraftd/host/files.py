"""Files that are whole or absent, and private to their owner."""

import codecs
import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kraftd.errors import FileAccessError

_PRIVATE_FILE = 0o600
_PRIVATE_DIRECTORY = 0o700
_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def os_errors_named(verb: str, path: Path) -> Iterator[None]:
    """Turn an OSError into an error that names the path.

    Raises:
        FileAccessError: In place of any OSError.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileAccessError(
            f"cannot {verb} {path}: {reason.lower()}",
            hint=_remedy(error, "cluster.state_dir (--state-dir)"),
            code=disk_full_code(error),
            details={"path": str(path)},
        ) from error


@contextlib.contextmanager
def hint_names_setting(place: Path, setting: str) -> Iterator[None]:
    """Name the setting that moves a place, in the hint of a FileAccessError about that place.

    Args:
        place: A file or directory that does not belong to the state directory.
        setting: The setting that chooses it.

    Raises:
        FileAccessError: With that setting in its hint.
    """
    try:
        yield
    except FileAccessError as error:
        refused = Path(error.details.get("path", ""))
        if isinstance(error.__cause__, OSError) and refused.is_relative_to(place):
            error.hint = _remedy(error.__cause__, setting)
        raise


def disk_full_code(error: OSError) -> str:
    """Return the code of the error that tells of what the operating system refused; empty for that of its kind."""
    return "disk_full" if error.errno in _FULL else ""


def _remedy(error: OSError, setting: str) -> str:
    elsewhere = f"choose another place with {setting}"
    match error.errno:
        case number if number in _FULL:
            return f"Free disk space, or {elsewhere}."
        case errno.EACCES | errno.EPERM:
            return f"Give this user access to it, or {elsewhere}."
        case _:
            return f"{elsewhere[0].upper()}{elsewhere[1:]}."


def is_locked(path: Path) -> bool:
    """Return whether another process holds a POSIX lock on a file, as a JVM's is; no where the system does not tell."""
    try:
        with path.open("rb") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError as error:
                return error.errno in (errno.EACCES, errno.EAGAIN)
    except OSError:
        # There is none, or it is not this user's to read.
        return False
    return False


def make_private_directory(path: Path) -> None:
    """Make a directory, and its absent parents, accessible to the owner only: to that of the nearest that was there.

    Raises:
        FileAccessError: The operating system refuses.
    """
    with os_errors_named("make the directory", path):
        # The mode of mkdir(parents=True) is not that of the parents.
        for place in reversed((path, *path.parents)):
            if not place.exists():
                _refuse_dangling_link(place, path)
                _make_directory(place)
        path.mkdir(mode=_PRIVATE_DIRECTORY, exist_ok=True)


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(mode=_PRIVATE_DIRECTORY)
    except FileExistsError:
        # Another command was faster; whether it is a directory, the caller finds out.
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        give_to_owner_of(path.parent, descriptor)
    finally:
        os.close(descriptor)


def _refuse_dangling_link(place: Path, path: Path) -> None:
    """Refuse a link to nowhere, as to a disk that is not mounted: the system would only say that the file exists."""
    if place.is_symlink():
        raise FileAccessError(
            f"cannot make the directory {path}: {place} is a symbolic link to {place.readlink()}, which does not exist",
            hint="Mount or make that place, or choose another one with cluster.state_dir (--state-dir).",
            details={"path": str(path)},
        ) from NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))


def write_atomically(path: Path, content: str | bytes, *, is_for_good: bool = True) -> None:
    """Write a private file so that a reader, or the next boot, sees the old content or the new one, never a part.

    A symbolic link at the path is replaced, not followed: a caller that means its target resolves it. What root writes
    in the directory of another user is that user's.

    Args:
        path: The file.
        content: A text, or bytes.
        is_for_good: Whether the next boot matters. It costs a wait for the disk.

    Raises:
        FileAccessError: The operating system refuses.
    """
    make_private_directory(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with os_errors_named("write", path):
        try:
            # A killed process with this pid, or another user, may have left a file: never write through it.
            temporary.unlink(missing_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
            with os.fdopen(descriptor, "wb") as file:
                give_to_owner_of(path.parent, descriptor)
                file.write(content.encode() if isinstance(content, str) else content)
                if is_for_good:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def give_to_owner_of(directory: Path, descriptor: int) -> None:
    """Let the owner of a directory have a new file in it: after 'sudo kraftd stop', that user could do nothing more."""
    if os.geteuid() != 0:
        return
    owner = directory.stat()
    if owner.st_uid != 0:
        # Where root may not do so either, as on some network file systems, the file stays root's.
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def open_for_owner(path: Path, flags: int) -> int:
    """Return a descriptor of a private file; one that is new belongs to the owner of its directory.

    Raises:
        OSError: The operating system refuses.
    """
    flags |= os.O_CREAT
    try:
        descriptor = os.open(path, flags | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags, 0o600)
    # Only what is new, which no link leads away from: root must give nobody a file that was there.
    give_to_owner_of(path.parent, descriptor)
    return descriptor


def nameless_file(text: str, directory: Path) -> Path:
    """Return a path by which this process, and what it becomes, can read a text; nobody else can, and nothing is left.

    Args:
        text: The content.
        directory: On whose file system the text is kept meanwhile.

    Raises:
        FileAccessError: The operating system refuses.
    """
    with os_errors_named("write a file in", directory), tempfile.TemporaryFile(dir=directory) as file:
        file.write(text.encode())
        file.seek(0)
        # A number above those of the standard streams, which the caller may have closed.
        return Path(f"/dev/fd/{fcntl.fcntl(file.fileno(), fcntl.F_DUPFD, 10)}")


def write_changed(files: dict[Path, str]) -> tuple[Path, ...]:
    """Write the files whose text differs from that on disk, and return their paths.

    For what is rendered again before it is used after a boot, and so need not be on the disk by then.

    Raises:
        FileAccessError: The operating system refuses.
    """
    changed = changed_files(files)
    for path in changed:
        write_atomically(path, files[path], is_for_good=False)
    return changed


def changed_files(files: dict[Path, str]) -> tuple[Path, ...]:
    """Return the paths whose text on disk differs from the given one or is absent."""
    return tuple(path for path, text in files.items() if read_text(path) != text)


def read_text(path: Path) -> str | None:
    """Return a file's text; None if there is no such file.

    Raises:
        FileAccessError: The file exists but cannot be read.
    """
    try:
        with os_errors_named("read", path):
            return path.read_text(encoding="utf-8", errors="replace")
    except FileAccessError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return None
        raise


def read_user_text(path: Path) -> str | None:
    """Return the text of a file that a person wrote, without a byte order mark; None if there is no such file.

    Raises:
        FileAccessError: The file exists but cannot be read, or is not in UTF-8.
    """
    try:
        with os_errors_named("read", path):
            content = path.read_bytes()
    except FileAccessError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return None
        raise
    return user_text(content, str(path))


def user_text(content: bytes, origin: str) -> str:
    """Return the text that a person wrote, without a byte order mark.

    Raises:
        FileAccessError: It is not in UTF-8; the text names the place.
    """
    if fault := _encoding_fault(content):
        raise FileAccessError(f"cannot read {origin}: {fault}", hint="Save it in UTF-8.", details={"path": origin})
    return content.decode("utf-8-sig")


def _encoding_fault(content: bytes) -> str | None:
    """Return in what way a content is not UTF-8, and where; None if it is."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content[:2]:
        return "it is UTF-16, and must be UTF-8"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        column = len(before.rpartition(b"\n")[2].decode("utf-8-sig")) + 1
        line = before.count(b"\n") + 1
        return f"it is not UTF-8: byte 0x{content[error.start]:02x} (at line {line}, column {column})"
    return None


def remove(path: Path) -> None:
    """Remove a file, or a directory with all that is in it.

    Raises:
        FileAccessError: The operating system refuses.
    """
    with os_errors_named("remove", path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def tree_bytes(path: Path) -> int:
    """Return the bytes of all files below a directory; files that vanish meanwhile do not count."""
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(directory) / name).lstat().st_size
    return total
