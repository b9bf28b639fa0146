"""What a target holds: the backups that can be read, those that cannot, and which ones `kraftd backup prune` removes.

A directory that is damaged, of a newer kraftd or not of kraftd at all keeps no other backup from being used.
"""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from kraftd.errors import FileAccessError, IdentityMismatchError, KraftdError, UnknownNameError, unknown_name
from kraftd.operate.backup.format import DamagedBackupError
from kraftd.operate.backup.manifest import (
    LOGICAL,
    MANIFEST,
    BackupManifest,
    newest_of_each,
    parse_manifest,
    removable,
    sealed,
)
from kraftd.operate.backup.target import PARTIAL, Target, is_backup_id, target_errors


@dataclass(frozen=True, slots=True)
class Unusable:
    """A directory of a target that is not a usable backup, though it is named as one, or has a manifest."""

    name: str
    error: KraftdError

    @property
    def document(self) -> dict[str, str]:
        """What is wrong with it, as commands tell it in JSON."""
        return {"name": self.name, "code": self.error.code, "message": str(self.error), "hint": self.error.hint}


@dataclass(frozen=True)
class Content:
    """The finished backups of a target.

    Attributes:
        manifests: Of those whose manifest can be read, oldest first.
        unusable: The others, by name.
    """

    target: str
    manifests: tuple[BackupManifest, ...]
    unusable: tuple[Unusable, ...] = ()

    @cached_property
    def known(self) -> dict[str, BackupManifest]:
        """The manifests by the ids of their backups."""
        return {manifest.id: manifest for manifest in self.manifests}

    @property
    def maybe_continued(self) -> frozenset[str]:
        """The ids of the backups that unusable ones may continue: of each cluster the newest older one of records."""
        found = set()
        for each in self.unusable:
            before = [known for known in self.manifests if known.kind == LOGICAL and known.id < each.name]
            if is_backup_id(each.name):
                found |= {known.id for known in newest_of_each(before)}
        return frozenset(found)


def content_of(target: Target) -> Content:
    """Return what a target holds.

    Raises:
        FileAccessError: The place itself cannot be read.
    """
    manifests, unusable = [], []
    for name in target.names():
        if name.endswith(PARTIAL):
            continue
        try:
            manifests.append(_manifest(target, name))
        except (DamagedBackupError, IdentityMismatchError) as error:
            unusable.append(Unusable(name, error))
        except FileAccessError as error:
            if is_backup_id(name) and name in target.names():
                unusable.append(Unusable(name, error))
    return Content(target.name, tuple(sorted(manifests, key=lambda each: (each.created_at, each.id))), tuple(unusable))


def _manifest(target: Target, name: str) -> BackupManifest:
    path = f"{name}/{MANIFEST}"
    where = f"{target.name}/{path}"
    with target.open(path, "rb") as file, target_errors(target, path):
        content = file.read()
    manifest = parse_manifest(content, where)
    if manifest.id != name:
        raise IdentityMismatchError(
            f"cannot use {where}: it is the manifest of the backup {manifest.id}",
            hint=f"A backup keeps its name: rename that directory to {manifest.id}, or remove it.",
            code="renamed_backup",
        )
    return manifest


def existing_content(target: Target) -> Content:
    """Return what a target holds, where at least one backup was begun in it.

    Raises:
        UnknownNameError: There is no such place, or it is empty: its name may be wrong.
        FileAccessError: The place itself cannot be read.
    """
    if not target.names():
        raise _without_backup(target)
    return content_of(target)


def _without_backup(target: Target) -> UnknownNameError:
    return UnknownNameError(
        f"cannot find a backup in {target.name}", hint=f"'kraftd backup create {target.name}' makes one."
    )


def chosen_backup(
    target: Target, chosen: str | None, cluster_id: str | None = None
) -> tuple[BackupManifest, dict[str, BackupManifest]]:
    """Return a backup by its id, else the newest, and all by their ids.

    Args:
        target: Where the backups are.
        chosen: The id; None for the newest.
        cluster_id: The cluster whose newest one it is; the newest of all where the target has none of it.

    Raises:
        UnknownNameError: There is none, or none with that id.
        KraftdError: The chosen one, or one that is newer than all others, cannot be used.
    """
    content = content_of(target)
    if chosen is not None and chosen in content.known:
        return content.known[chosen], content.known
    preferred = [each for each in content.manifests if each.cluster_id == cluster_id] or content.manifests
    newest = preferred[-1].id if preferred else ""
    for each in reversed(content.unusable):
        # To restore an older one instead would be a surprise.
        if each.name == chosen or (chosen is None and is_backup_id(each.name) and each.name > newest):
            raise each.error
    if not preferred:
        raise _without_backup(target)
    if chosen is None:
        return preferred[-1], content.known
    raise unknown_name(f"cannot find the backup {chosen} in {target.name}", chosen, list(content.known))


def remove_stale(target: Target) -> tuple[str, ...]:
    """Remove what interrupted calls left, and return the names; the caller holds the target exclusively."""
    stale = tuple(target.abandoned())
    for name in stale:
        target.remove(name)
    return stale


@contextmanager
def new_backup(target: Target, created_at: str) -> Iterator[str]:
    """Yield the id of a backup that is written, in the directory of that name and PARTIAL; a failure leaves none of it.

    Args:
        target: Where it is written.
        created_at: When its offsets were taken, RFC 3339 in UTC: ids sort by time.
    """
    chosen = target.new_name(re.sub(r"[-:]", "", created_at.partition(".")[0]) + "Z")
    try:
        yield chosen
    except BaseException:
        if chosen + PARTIAL in target.names():
            target.remove(chosen + PARTIAL)
        raise


def published(target: Target, manifest: BackupManifest) -> BackupManifest:
    """Finish a backup with its manifest, and return that with its checksum."""
    manifest = sealed(manifest)
    target.publish(manifest)
    return manifest


@dataclass(frozen=True, slots=True)
class Pruned:
    """Backups that are removed, or are to be.

    Attributes:
        continued: How many of those that are kept stay only for what continues them, or may.
        unusable: The names of what cannot be read; it stays, with the backups that it may continue.
    """

    target: str
    removed: tuple[BackupManifest, ...]
    kept: tuple[BackupManifest, ...]
    continued: int
    unusable: tuple[str, ...] = ()


def planned_prune(
    target: Target, keep: int, agreed: Collection[str] | None = None, cluster_id: str | None = None
) -> Pruned:
    """Return which backups go: all except the newest of each cluster and those that they continue.

    Args:
        target: Where they are.
        keep: How many of the newest of each cluster stay.
        agreed: The ids of those that may go at all; None for every one.
        cluster_id: The cluster whose backups may go at all; None for every one.

    Raises:
        ConfigurationError: Fewer than one is to be kept.
        UnknownNameError: There is no backup.
    """
    content = existing_content(target)
    gone = removable(content.manifests, keep, content.maybe_continued)
    continued = len(content.manifests) - len(gone) - len(newest_of_each(content.manifests, keep))
    if agreed is not None:
        gone = tuple(each for each in gone if each.id in agreed)
    if cluster_id is not None:
        gone = tuple(each for each in gone if each.cluster_id == cluster_id)
    kept = tuple(each for each in content.manifests if each not in gone)
    return Pruned(target.name, gone, kept, continued, tuple(each.name for each in content.unusable))


def prune(target: Target, keep: int, agreed: Collection[str] | None = None) -> Pruned:
    """Remove all backups except the newest of each cluster and those that they continue, and what ended calls left.

    The newest of them goes first, so that an interrupted call leaves whole chains. With the ids that were agreed to,
    one that became old since then stays.

    Raises:
        RefusedError: Another command works on the target.
        FileAccessError: One cannot be removed.
    """
    with target.exclusive("backup prune"):
        remove_stale(target)
        planned = planned_prune(target, keep, agreed)
        for manifest in reversed(planned.removed):
            target.remove(manifest.id)
    return planned
