"""`kraftd backup list` and `prune`: the backups of a target."""

from dataclasses import dataclass

from kraftd.operate.backup.manifest import Manifest, removable
from kraftd.operate.backup.target import Target, existing_manifests, remove_stale


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
