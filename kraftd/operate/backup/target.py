"""Where backups are kept: a directory, or what fsspec opens by a URL. A backup is there once its manifest is."""

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import BinaryIO, Protocol

from kraftd.clock import Clock, SystemClock
from kraftd.errors import ConfigurationError, FileAccessError, KraftdError
from kraftd.escapes import is_utf_8
from kraftd.host.files import disk_full_code
from kraftd.host.lock import acquire_at_once
from kraftd.operate.backup.manifest import MANIFEST, BackupManifest, manifest_bytes
from kraftd.plan.secrets import URL_PASSWORD
from kraftd.units import plural

PARTIAL = ".partial"
"""The end of the name of a backup that is not finished."""

_ID = re.compile(r"\d{8}T\d{6}Z(-\d+)?")
_LOCK = ".kraftd-backup.lock"
_ABANDONED_AFTER_S = 24 * 60 * 60
"""Longer than a command that runs writes to one file."""
_RANDOM_NUMBERS = 10**9


class Target(Protocol):
    """A place for backups; a backup is a directory in it, named by its id."""

    name: str

    def names(self) -> list[str]:
        """Return the names of the directories in it; none where the place does not exist."""

    def new_name(self, base: str) -> str:
        """Return a name for a new backup that nothing in the place has, and no other command chooses."""

    def open(self, path: str, mode: str) -> BinaryIO:
        """Open a file below it, ``rb`` or ``wb``; directories are made."""

    def remove(self, name: str) -> None:
        """Remove a directory with all that is in it."""

    def abandoned(self) -> list[str]:
        """Return the names of the unfinished backups that no command writes any more, for who holds it exclusively."""

    def publish(self, manifest: BackupManifest) -> None:
        """Give an unfinished backup its manifest and its name, so that it is there as a whole or not at all."""

    def exclusive(self, command: str) -> contextlib.AbstractContextManager[None]:
        """Keep other commands that change the place out, as far as it allows that.

        Raises:
            RefusedError: One is under way.
        """


def is_backup_id(name: str) -> bool:
    """Return whether a directory is named as a backup; kraftd leaves all others alone."""
    return _ID.fullmatch(name) is not None


def open_target(text: str, cwd: Path | None) -> Target:
    """Return the place that a command line names.

    Raises:
        ConfigurationError: It is empty or not UTF-8, or a URL, and fsspec or what it needs for it is not installed.
    """
    if not text:
        # The current directory, where a variable of a script is not set.
        raise ConfigurationError(
            "cannot use the target '': it is empty", hint="Name a directory, or a URL.", code="unusable_target"
        )
    if not is_utf_8(text):
        raise ConfigurationError(
            f"cannot use the target {text}: its name is not UTF-8",
            hint="The records of a restore and the events name it: choose another one.",
            code="unusable_target",
        )
    if "://" in text:
        return _url_target(text)
    path = Path(text).expanduser()
    return DirectoryTarget(path if path.is_absolute() or cwd is None else cwd / path)


class DirectoryTarget:
    """A directory."""

    def __init__(self, path: Path) -> None:
        self._path = Path(os.path.normpath(path))
        self.name = str(self._path)

    def names(self) -> list[str]:
        """Return the names of the directories in it."""
        with _named("read", self._path):
            try:
                return sorted(entry.name for entry in os.scandir(self._path) if entry.is_dir(follow_symlinks=False))
            except FileNotFoundError:
                return []

    def new_name(self, base: str) -> str:
        """Return the name, or one with a number; the caller holds the directory exclusively."""
        taken = {name.removesuffix(PARTIAL) for name in self.names()}
        return next(each for number in count(1) if (each := base if number == 1 else f"{base}-{number}") not in taken)

    def open(self, path: str, mode: str) -> BinaryIO:
        """Open a file; one that is written is private."""
        file = self._path / path
        with _named("open", file):
            if mode == "wb":
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                return os.fdopen(_created(file), "wb")
            return file.open("rb")

    def remove(self, name: str) -> None:
        """Remove a directory; it is renamed first, so that what is left of a backup never looks like a finished one."""
        with _named("remove", self._path / name):
            removed = self._path / (name.removesuffix(PARTIAL) + PARTIAL)
            (self._path / name).replace(removed)
            shutil.rmtree(removed)

    def abandoned(self) -> list[str]:
        """Return all that are unfinished: who holds the directory writes none."""
        return _unfinished(self.names())

    def publish(self, manifest: BackupManifest) -> None:
        """Write the manifest, bring everything to the disk, and rename the directory."""
        directory = self._path / (manifest.id + PARTIAL)
        with _named("write", directory / MANIFEST):
            # A backup without records has no files.
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for file in (path for path in directory.rglob("*") if path.is_file()):
                _to_disk(file)
            temporary = directory / f"{MANIFEST}.tmp"
            temporary.write_bytes(manifest_bytes(manifest))
            temporary.chmod(0o600)
            _to_disk(temporary)
            temporary.replace(directory / MANIFEST)
            _to_disk(directory)
            directory.rename(self._path / manifest.id)
            _to_disk(self._path)

    @contextlib.contextmanager
    def exclusive(self, command: str) -> Iterator[None]:
        """Hold a lock in the directory."""
        with _named("make the directory", self._path):
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with acquire_at_once(self._path / _LOCK, command=command, what=f"change the backups in {self._path}"):
            yield


def _created(file: Path) -> int:
    try:
        return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise FileAccessError(
            f"cannot write {file}: this backup has such a file already",
            hint="Where the file system ignores case, so do topics: leave one of the two out with --exclude, "
            "or choose another target.",
            code="backup_file_exists",
            details={"path": str(file)},
        ) from error


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class UrlTarget:
    """A place that fsspec opens. It can neither lock nor rename: a backup is finished once its manifest is there."""

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        import fsspec  # noqa: PLC0415 - an extra

        self._clock = clock or SystemClock()
        self._files, root = fsspec.core.url_to_fs(url)
        self._root = root.rstrip("/")
        self.name = url

    def names(self) -> list[str]:
        """Return the names of the directories in it, with PARTIAL for a backup that has no manifest."""
        with _named("read", self.name, Exception):
            self._files.invalidate_cache()
            if not self._is_there(self._root):
                return []
            found = [each for each in self._files.ls(self._root, detail=True) if each["type"] == "directory"]
            names = [str(each["name"]).rstrip("/").rpartition("/")[2] for each in found]
            return sorted(name + PARTIAL if self._is_unfinished(name) else name for name in names)

    def _is_unfinished(self, name: str) -> bool:
        return is_backup_id(name) and not self._is_there(f"{self._root}/{name}/{MANIFEST}")

    def _is_there(self, path: str) -> bool:
        """Return whether there is such a place; fsspec's ``exists`` also denies it where nobody can tell."""
        try:
            self._files.info(path)
        except OSError as error:
            # The one of smb is no FileNotFoundError.
            if isinstance(error, FileNotFoundError) or error.errno == errno.ENOENT:
                return False
            raise
        return True

    @staticmethod
    def new_name(base: str) -> str:
        """Return the name with a number that no command on another machine has in the same second."""
        return f"{base}-{secrets.randbelow(_RANDOM_NUMBERS)}"

    def open(self, path: str, mode: str) -> BinaryIO:
        """Open a file."""
        file = f"{self._root}/{self._final(path)}"
        with _named("open", file, Exception):
            if mode == "wb":
                self._files.makedirs(file.rpartition("/")[0], exist_ok=True)
            opened: BinaryIO = self._files.open(file, mode)
            return opened

    def remove(self, name: str) -> None:
        """Remove a directory, its manifest first."""
        directory = f"{self._root}/{self._final(name)}"
        with _named("remove", directory, Exception):
            with contextlib.suppress(FileNotFoundError):
                self._files.rm_file(f"{directory}/{MANIFEST}")
            self._files.rm(directory, recursive=True)

    def abandoned(self) -> list[str]:
        """Return those of whose objects none is new: another command may write any other one."""
        return [name for name in _unfinished(self.names()) if self._is_old(name)]

    def _is_old(self, name: str) -> bool:
        directory = f"{self._root}/{self._final(name)}"
        with _named("read", directory, Exception):
            files = self._files.find(directory)
        try:
            newest_s: float = max(self._files.modified(file).timestamp() for file in files)
        except Exception:  # noqa: BLE001 it has no object, or its store keeps no times, which each tells in its own way
            return False
        return newest_s + _ABANDONED_AFTER_S < self._clock.now_s()

    def publish(self, manifest: BackupManifest) -> None:
        """Write the manifest, where every file is there as it was written: nothing keeps others from removing one."""
        path = f"{self.name}/{manifest.id}"
        with _named("read", path, Exception):
            sizes_bytes = self._sizes_bytes(manifest.id) if manifest.all_files else {}
        lost = [each.path for each in manifest.all_files if sizes_bytes.get(each.path) != each.size_bytes]
        if lost:
            raise FileAccessError(
                f"cannot finish the backup {manifest.id}: {plural(len(lost), 'file')} of it, such as {lost[0]}, "
                f"changed or vanished in {self.name} meanwhile",
                hint="Another command or a rule of the store removed what this one had written. Make the backup again.",
                code="backup_changed",
                details={"path": f"{path}/{lost[0]}"},
            )
        try:
            with _named("write", f"{path}/{MANIFEST}", Exception), self.open(f"{manifest.id}/{MANIFEST}", "wb") as file:
                file.write(manifest_bytes(manifest))
        except BaseException:
            # With a part of it, the backup would not be taken for an unfinished one.
            with contextlib.suppress(Exception):
                self._files.rm_file(f"{self._root}/{manifest.id}/{MANIFEST}")
            raise

    def _sizes_bytes(self, name: str) -> dict[str, int]:
        self._files.invalidate_cache()
        directory = f"{self._root}/{name}"
        found = self._files.find(directory, detail=True)
        return {str(path).removeprefix(f"{directory}/"): each["size"] for path, each in found.items()}

    @contextlib.contextmanager
    def exclusive(self, command: str) -> Iterator[None]:
        """Hold nothing: object stores have no locks."""
        yield

    @staticmethod
    def _final(path: str) -> str:
        name, slash, rest = path.partition("/")
        return name.removesuffix(PARTIAL) + slash + rest


def _unfinished(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.endswith(PARTIAL) and is_backup_id(name.removesuffix(PARTIAL))]


@contextlib.contextmanager
def _named(verb: str, place: object, kinds: type[Exception] = OSError) -> Iterator[None]:
    try:
        yield
    except KraftdError:
        raise
    except kinds as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise FileAccessError(
            f"cannot {verb} {place}: {reason[:1].lower()}{reason[1:]}",
            hint="Give this user access and room there, or choose another target.",
            code=disk_full_code(error) if isinstance(error, OSError) else "",
            details={"path": str(place)},
        ) from error


def target_errors(target: Target, path: str) -> contextlib.AbstractContextManager[None]:
    """Name the file in an error of reading or writing one that is open.

    Raises:
        FileAccessError: In place of any OSError; where fsspec opened it, of what else its clients raise.
    """
    return _named("use", f"{target.name}/{path}", OSError if isinstance(target, DirectoryTarget) else Exception)


def _url_target(url: str) -> Target:
    if URL_PASSWORD.search(url):
        raise ConfigurationError(
            "cannot use a target with a password in its URL: it would be in the list of processes, and in records",
            hint="Leave it out: what opens the place reads it from its own file, or from the environment.",
            code="unusable_target",
        )
    try:
        return UrlTarget(url)
    except (ImportError, ValueError) as error:
        raise ConfigurationError(
            f"cannot use the target {url}: {error}",
            hint="pip install 'kraftd[backup]', and what fsspec needs for this kind of URL; or name a directory.",
            code="unusable_target",
        ) from error


def refuse_inside(target: Target, state_dir: Path) -> None:
    """Refuse a target in the cluster's own directory: it would be copied itself, and be removed with the cluster.

    Raises:
        ConfigurationError: Always where it is there.
    """
    if isinstance(target, DirectoryTarget) and Path(target.name).resolve().is_relative_to(state_dir.resolve()):
        raise ConfigurationError(
            f"cannot keep backups in {target.name}: it is in the state directory of the cluster, and removed with it",
            hint="Choose another target.",
            code="unusable_target",
        )
