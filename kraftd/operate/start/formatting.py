"""The format of empty data directories; directories with data are only compared, never written.

No JVM is needed: a node of a static quorum starts from ``meta.properties`` alone, and 4.x needs beside it the
``bootstrap.checkpoint`` that its StorageTool writes, which holds no ids.
"""

from dataclasses import replace
from pathlib import Path

from kraftd.errors import IdentityMismatchError
from kraftd.host.files import make_private_directory, read_text, write_atomically
from kraftd.operate.store import Store
from kraftd.plan.kinds import Node
from kraftd.plan.manifest import Manifest, manifest_of
from kraftd.plan.plan import Plan
from kraftd.runtime.scratch_node import meta_properties, random_id

_META = "meta.properties"
_BOOTSTRAP = "bootstrap.checkpoint"


def unformatted(plan: Plan, manifest: Manifest | None) -> tuple[Node, ...]:
    """Return the nodes whose data directory is still to be formatted, after comparing all others.

    Raises:
        IdentityMismatchError: A directory holds another cluster's or another node's data, or data without identity,
            or a formatted node's data has vanished.
    """
    empty = []
    for node in plan.nodes:
        path = plan.layout.data(node.name) / _META
        text = read_text(path)
        if text is not None:
            _compare(plan, node, manifest, path, text)
        elif _holds_anything(path.parent):
            raise _without_identity(node, path)
        else:
            empty.append(node)
    _refuse_vanished(plan, manifest, empty)
    return tuple(empty)


def format_nodes(plan: Plan, nodes: tuple[Node, ...], bootstrap_checkpoint: Path | None) -> Manifest:
    """Format data directories, recorded in the manifest as unfinished before and as done after.

    Args:
        plan: The cluster.
        nodes: What ``unformatted`` returned.
        bootstrap_checkpoint: A file to copy beside each identity; None where this Kafka needs none.

    Returns:
        The manifest as it is now.
    """
    store = Store(plan.layout)
    known = store.manifest()
    manifest = manifest_of(plan, known.cluster_id, known.removed) if known else manifest_of(plan, random_id())
    manifest = replace(manifest, upgraded_from=known.upgraded_from) if known else manifest
    if nodes:
        store.write_manifest(replace(manifest, unfinished=tuple(node.name for node in nodes)))
    for node in nodes:
        directory = plan.layout.data(node.name)
        make_private_directory(directory)
        for leftover in filter(_is_of_a_format, directory.iterdir()):
            leftover.unlink()
        if bootstrap_checkpoint is not None:
            write_atomically(directory / _BOOTSTRAP, bootstrap_checkpoint.read_bytes())
        # The identity comes last: a directory with it is whole.
        write_atomically(directory / _META, meta_properties(manifest.cluster_id, node.node_id))
    if nodes or manifest != known:
        store.write_manifest(manifest)
    return manifest


def _compare(plan: Plan, node: Node, manifest: Manifest | None, path: Path, text: str) -> None:
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    if manifest is None:
        raise IdentityMismatchError(
            f"cannot use {path}: it is formatted (cluster.id={found.get('cluster.id')}), "
            f"but there is no manifest {plan.layout.manifest}",
            hint="Restore the manifest from a backup, or start with another cluster.state_dir.",
            code="manifest_missing",
        )
    for key, expected in (("cluster.id", manifest.cluster_id), ("node.id", str(node.node_id))):
        if found.get(key) != expected:
            raise IdentityMismatchError(
                f"cannot use the data of {node.name}: {key} is {found.get(key)} in {path}, "
                f"but {expected} in {plan.layout.manifest}",
                hint="Restore the right data directory, or start with another cluster.state_dir. "
                "kraftd never formats over data.",
                details={"key": key, "found": found.get(key), "expected": expected, "path": str(path)},
            )


def _refuse_vanished(plan: Plan, manifest: Manifest | None, empty: list[Node]) -> None:
    # A directory that an interrupted format left empty has lost nothing: the manifest names it as unfinished.
    formatted = {node.name for node in manifest.nodes} - set(manifest.unfinished) if manifest else set()
    vanished = [node for node in empty if node.name in formatted]
    if not vanished:
        return
    names = ", ".join(node.name for node in vanished)
    paths = [str(plan.layout.data(node.name)) for node in vanished]
    raise IdentityMismatchError(
        f"cannot use the data of {names}: it was formatted ({plan.layout.manifest}), but there is nothing in\n"
        + "\n".join(f"  {path}" for path in paths),
        hint="Mount the disk again, or restore the directories. An emptied voter must not rejoin by itself: "
        "it could make the quorum forget records. To start over, without the data: 'kraftd destroy'.",
        code="data_vanished",
        details={"paths": paths},
    )


def _without_identity(node: Node, path: Path) -> IdentityMismatchError:
    return IdentityMismatchError(
        f"cannot format {path.parent} for {node.name}: it holds files, but no {_META}",
        hint="Restore the missing file, or move the directory away. kraftd never formats over data.",
        code="identity_missing",
    )


def _holds_anything(directory: Path) -> bool:
    return directory.is_dir() and not all(map(_is_of_a_format, directory.iterdir()))


def _is_of_a_format(path: Path) -> bool:
    """Return whether a file is one that an interrupted format leaves before the identity."""
    return path.name == _BOOTSTRAP or path.name.startswith((f".{_BOOTSTRAP}.", f".{_META}."))
