"""`kraftd destroy`: removes a cluster's data, and of its directory only the files that kraftd wrote."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from kraftd.errors import FileAccessError, NotRunningError, RefusedError
from kraftd.host.files import remove, tree_bytes
from kraftd.operate.context import ClusterContext
from kraftd.operate.ownership import Contents, claim, contents_of, ownership_of, refuse_data_in_use
from kraftd.plan.layout import DIRECTORIES, Layout

_LOCK_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Removal:
    """The removal of a cluster.

    Attributes:
        entries: Each path and its bytes; a directory that is removed whole is one entry.
        kept: The other files of the state directory, which kraftd did not write.
    """

    cluster: str
    entries: tuple[tuple[Path, int], ...]
    kept: tuple[Path, ...]


def planned_removal(layout: Layout, cluster: str) -> Removal:
    """Return the removal that a destroy would do.

    Raises:
        NotRunningError: There is no such cluster.
        IdentityMismatchError: A newer kraftd wrote it.
    """
    contents = _contents(layout, cluster)
    partly_kept = {path.parent for path in contents.others}
    places = [path if path.parent in partly_kept else path.parent for path in contents.own]
    entries = [(path, _size_bytes(path)) for path in dict.fromkeys((*places, *contents.records))]
    return Removal(cluster, tuple(entries), contents.others)


def destroy(cluster: ClusterContext) -> Removal:
    """Remove a stopped cluster with its data; an interrupted removal can be repeated.

    Raises:
        RefusedError: The cluster runs, here or elsewhere.
        NotRunningError: There is no such cluster.
        IdentityMismatchError: A newer kraftd wrote it.
        FileAccessError: The operating system refuses.
    """
    plan, layout = cluster.plan, cluster.layout
    _contents(layout, plan.cluster)  # before the lock makes a file there
    with cluster.lock("destroy", timeout_s=_LOCK_TIMEOUT_S):
        process_table = cluster.find_processes()
        if process_table.supervisor is not None or process_table.processes:
            running = ", ".join(process_table.processes) or "supervisord"
            raise RefusedError(
                f"cannot destroy the cluster {plan.cluster}: it runs ({running})",
                hint="Run 'kraftd stop' first.",
            )
        refuse_data_in_use(cluster, plan.names, "destroy")
        what = planned_removal(layout, plan.cluster)
        with contextlib.suppress(FileAccessError):
            # The files of an earlier kraftd are known by records that are removed now; a full disk takes no better one.
            claim(layout, ())
        remove_contents(layout, _contents(layout, plan.cluster))
        remove(layout.lock)
    _remove_empty(layout.socket.parent, layout.state_dir)
    return what


def remove_contents(layout: Layout, contents: Contents) -> None:
    """Remove the files that kraftd wrote, and directories left empty.

    Raises:
        FileAccessError: The operating system refuses.
    """
    for path in contents.own:
        remove(path)
    _remove_empty(*(layout.state_dir / name for name in DIRECTORIES))
    for path in contents.records:
        remove(path)
    if layout.socket.is_socket():
        remove(layout.socket)


def _contents(layout: Layout, cluster: str) -> Contents:
    owned = ownership_of(layout)
    if owned is None:
        raise NotRunningError(
            f"cannot find the cluster {cluster}: nothing was started in {layout.state_dir}",
            hint="'kraftd list' shows the clusters of this machine.",
            code="never_started",
        )
    return contents_of(layout, owned)


def _remove_empty(*directories: Path) -> None:
    for directory in directories:
        with contextlib.suppress(OSError):
            # Not empty, or not a directory: it holds other things, or is a symbolic link of the user's.
            directory.rmdir()


def _size_bytes(path: Path) -> int:
    return tree_bytes(path) if path.is_dir() and not path.is_symlink() else path.lstat().st_size
