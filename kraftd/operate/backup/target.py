"""Where backups are kept: a directory, or what fsspec opens by a URL. A backup is there once its manifest is.

Also which backups of a target `kraftd backup prune` removes.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from kraftd.errors import LOCKED, ConfigurationError, FileAccessError, RefusedError, UnknownNameError, unknown_name
from kraftd.host.files import code_of
from kraftd.host.lock import holder_now, try_acquire
from kraftd.operate.backup.manifest import MANIFEST, Manifest, manifest_bytes, parse_manifest, removable

PARTIAL = ".partial"
"""The end of the name of a backup that is not finished."""

_LOCK = ".kraftd-backup.lock"
_WITH_PASSWORD = re.compile(r"[^/]*://[^/]*:[^/]*@")


class Target(Protocol):
    """A place for backups; a backup is a directory in it, named by its id."""

    name: str

    def names(self) -> list[str]:
        """Return the names of the directories in it; none where the place does not exist."""

    def open(self, path: str, mode: str) -> BinaryIO:
        """Open a file below it, ``rb`` or ``wb``; directories are made."""

    def remove(self, name: str) -> None:
        """Remove a directory with all that is in it."""

    def publish(self, partial: str, name: str, manifest: bytes) -> None:
        """Give an unfinished backup its manifest and its name, so that it is there as a whole or not at all."""

    def exclusive(self, command: str) -> contextlib.AbstractContextManager[None]:
        """Keep other commands that change the place out, as far as it allows that.

        Raises:
            RefusedError: One is under way.
        """


def open_target(text: str, cwd: Path | None) -> Target:
    """Return the place that a command line names.

    Raises:
        ConfigurationError: It is a URL, and fsspec or what it needs for it is not installed.
    """
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

    def open(self, path: str, mode: str) -> BinaryIO:
        """Open a file; one that is written is private."""
        file = self._path / path
        with _named("open", file):
            if mode == "wb":
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
                return os.fdopen(descriptor, "wb")
            return file.open("rb")

    def remove(self, name: str) -> None:
        """Remove a directory; its manifest goes first, so that a part of a backup never looks like one."""
        with _named("remove", self._path / name):
            (self._path / name / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(self._path / name)

    def publish(self, partial: str, name: str, manifest: bytes) -> None:
        """Write the manifest, bring everything to the disk, and rename the directory."""
        directory = self._path / partial
        with _named("write", directory / MANIFEST):
            # A backup without records has no files.
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for file in (path for path in directory.rglob("*") if path.is_file()):
                _to_disk(file)
            temporary = directory / f"{MANIFEST}.tmp"
            temporary.write_bytes(manifest)
            temporary.chmod(0o600)
            _to_disk(temporary)
            temporary.replace(directory / MANIFEST)
            _to_disk(directory)
            directory.rename(self._path / name)
            _to_disk(self._path)

    @contextlib.contextmanager
    def exclusive(self, command: str) -> Iterator[None]:
        """Hold a lock in the directory."""
        lock = self._path / _LOCK
        with _named("make the directory", self._path):
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with try_acquire(lock, command=command) as is_held:
            if not is_held:
                raise RefusedError(
                    f"cannot change the backups in {self._path}: {holder_now(lock) or 'another command'} does so now",
                    hint="Wait for that command, or end it.",
                    code=LOCKED,
                )
            yield


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class UrlTarget:
    """A place that fsspec opens; without a lock, and without names that change: the manifest, written last, tells."""

    def __init__(self, url: str) -> None:
        import fsspec  # noqa: PLC0415 - an extra

        self._files, root = fsspec.core.url_to_fs(url)
        self._root = root.rstrip("/")
        self.name = url

    def names(self) -> list[str]:
        """Return the names of the directories in it, with PARTIAL where there is no manifest."""
        with _named("read", self.name, Exception):
            self._files.invalidate_cache()
            if not self._files.exists(self._root):
                return []
            found = [each for each in self._files.ls(self._root, detail=True) if each["type"] == "directory"]
            names = [str(each["name"]).rstrip("/").rpartition("/")[2] for each in found]
            return sorted(
                name if self._files.exists(f"{self._root}/{name}/{MANIFEST}") else name + PARTIAL for name in names
            )

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

    def publish(self, partial: str, name: str, manifest: bytes) -> None:
        """Write the manifest."""
        with self.open(f"{name}/{MANIFEST}", "wb") as file:
            file.write(manifest)

    @contextlib.contextmanager
    def exclusive(self, command: str) -> Iterator[None]:
        """Hold nothing: object stores have no locks."""
        yield

    @staticmethod
    def _final(path: str) -> str:
        name, slash, rest = path.partition("/")
        return name.removesuffix(PARTIAL) + slash + rest


@contextlib.contextmanager
def _named(verb: str, place: object, kinds: type[Exception] = OSError) -> Iterator[None]:
    try:
        yield
    except kinds as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise FileAccessError(
            f"cannot {verb} {place}: {reason[:1].lower()}{reason[1:]}",
            hint="Give this user access and room there, or choose another target.",
            code=code_of(error) if isinstance(error, OSError) else "",
            details={"path": str(place)},
        ) from error


def target_errors(target: Target, path: str) -> contextlib.AbstractContextManager[None]:
    """Name the file in an error of reading or writing one that is open.

    Raises:
        FileAccessError: In place of any OSError.
    """
    return _named("use", f"{target.name}/{path}")


def _url_target(url: str) -> Target:
    if _WITH_PASSWORD.match(url):
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


def manifests_in(target: Target) -> tuple[Manifest, ...]:
    """Return the manifests of the finished backups, oldest first.

    Raises:
        DamagedArchiveError: One of them is damaged.
        IdentityMismatchError: A newer kraftd wrote one.
    """
    found = []
    for name in target.names():
        if name.endswith(PARTIAL):
            continue
        try:
            with target.open(f"{name}/{MANIFEST}", "rb") as file:
                found.append(parse_manifest(file.read(), f"{target.name}/{name}/{MANIFEST}"))
        except FileAccessError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
    return tuple(sorted(found, key=lambda manifest: (manifest.created_at, manifest.id)))


def existing_manifests(target: Target) -> tuple[Manifest, ...]:
    """Return as manifests_in, of a place where at least one backup was begun.

    Raises:
        UnknownNameError: There is no such place, or it is empty: the name may be wrong.
    """
    if not target.names():
        raise _without_backup(target)
    return manifests_in(target)


def _without_backup(target: Target) -> UnknownNameError:
    return UnknownNameError(
        f"cannot find a backup in {target.name}", hint=f"'kraftd backup create {target.name}' makes one."
    )


def chosen_backup(target: Target, chosen: str | None) -> tuple[Manifest, dict[str, Manifest]]:
    """Return a backup by its id, else the newest, and all by their ids.

    Raises:
        UnknownNameError: There is none, or none with that id.
    """
    manifests = manifests_in(target)
    known = {manifest.id: manifest for manifest in manifests}
    if chosen is not None and chosen in known:
        return known[chosen], known
    if not manifests:
        raise _without_backup(target)
    if chosen is None:
        return manifests[-1], known
    raise unknown_name(f"cannot find the backup {chosen} in {target.name}", chosen, list(known))


def refuse_inside(target: Target, state_dir: Path) -> None:
    """Refuse a target in the cluster's own directory: it would be copied itself, and be gone with the cluster.

    Raises:
        ConfigurationError: Always where it is there.
    """
    if isinstance(target, DirectoryTarget) and Path(target.name).resolve().is_relative_to(state_dir.resolve()):
        raise ConfigurationError(
            f"cannot keep backups in {target.name}: it is in the state directory of the cluster, and goes with it",
            hint="Choose another target.",
            code="unusable_target",
        )


def remove_stale(target: Target) -> tuple[str, ...]:
    """Remove what interrupted calls left, and return the names; the place must be held exclusively."""
    stale = tuple(name for name in target.names() if name.endswith(PARTIAL))
    for name in stale:
        target.remove(name)
    return stale


def publish(target: Target, manifest: Manifest) -> None:
    """Finish a backup with its sealed manifest."""
    target.publish(manifest.id + PARTIAL, manifest.id, manifest_bytes(manifest))


@dataclass(frozen=True, slots=True)
class Pruned:
    """Backups that are removed, or are to be."""

    target: str
    removed: tuple[Manifest, ...]
    kept: tuple[Manifest, ...]


def planned_prune(target: Target, keep: int) -> Pruned:
    """Return which backups go: all but the newest, and but those that these continue.

    Raises:
        ConfigurationError: Fewer than one is to be kept.
        UnknownNameError: There is no backup.
        DamagedArchiveError: A manifest is damaged.
    """
    manifests = existing_manifests(target)
    gone = removable(manifests, keep)
    return Pruned(target.name, gone, tuple(each for each in manifests if each not in gone))


def prune(target: Target, keep: int) -> Pruned:
    """Remove these, the newest first, so that an interrupted call leaves whole chains; and what is unfinished.

    Raises:
        RefusedError: Another command works on the target.
        FileAccessError: One cannot be removed.
    """
    with target.exclusive("backup prune"):
        remove_stale(target)
        planned = planned_prune(target, keep)
        for manifest in reversed(planned.removed):
            target.remove(manifest.id)
    return planned
