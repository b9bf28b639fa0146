"""Ownership of a state directory: where a cluster may be made, and which files a destroy may remove."""

import json
import os
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from kraftd.errors import FileAccessError, IdentityMismatchError, KraftdError, RefusedError
from kraftd.host.files import os_errors_named, read_text, remove, write_atomically
from kraftd.operate.context import ClusterContext
from kraftd.operate.store import Store
from kraftd.plan.layout import (
    DIRECTORIES,
    PROGRAM_DIRECTORIES,
    RECORDS,
    SECRET_FILES,
    TOO_NEW,
    Layout,
    Ownership,
    parse_ownership,
)

_Record = TypeVar("_Record")

_KAFKA_LOCK = ".lock"
"""Every broker and controller holds a lock on it while it runs: LogManager.LockFileName."""
_RELEASED_WITHIN_S = 5.0
"""The main thread of a killed process is gone before the last one, which frees its memory, has closed the files."""
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Contents:
    """The files of a state directory, by who wrote them.

    Attributes:
        own: The files that kraftd wrote into its directories.
        records: The other files of kraftd, in the order of removal: the record of ownership comes last, so that an
            interrupted removal can be repeated.
        others: The files that kraftd did not write, symbolic links included.
    """

    own: tuple[Path, ...]
    records: tuple[Path, ...]
    others: tuple[Path, ...]


def ownership_of(layout: Layout) -> Ownership | None:
    """Return the ownership of a state directory; None where no cluster was ever made in it.

    An earlier kraftd left no record of ownership: a plan or a manifest says that the directory is a cluster's, and they
    and the desired state, which keeps every program that ever ran, name the programs.

    Raises:
        IdentityMismatchError: A newer kraftd wrote the record.
        FileAccessError: A record cannot be read.
    """
    store = Store(layout)
    recorded, plan, manifest = _recorded(layout), _readable(store.plan), _readable(store.manifest)
    if recorded is None and plan is None and manifest is None:
        return None
    desired = _readable(store.desired)
    names = {
        *(plan.names if plan else ()),
        *(node.name for node in (manifest.nodes if manifest else ())),
        *(desired.programs if desired else ()),
    }
    return (recorded or Ownership()).extended(names)


def claim(layout: Layout, programs: Iterable[str]) -> Ownership:
    """Record that kraftd writes these programs' files into the state directory, in addition to those recorded.

    Returns:
        All of them.

    Raises:
        IdentityMismatchError: A newer kraftd wrote the record.
        FileAccessError: It cannot be written.
    """
    owned = (ownership_of(layout) or Ownership()).extended(programs)
    if read_text(layout.ownership) != owned.to_json():
        write_atomically(layout.ownership, owned.to_json())
    return owned


def remove_stale_secrets(layout: Layout, owned: Ownership, rendered: Container[Path]) -> None:
    """Remove the rendered files with secrets that are not rendered any more: of a token or an app that is gone.

    Raises:
        FileAccessError: One cannot be removed.
    """
    for program in owned.programs:
        for pattern in SECRET_FILES:
            for path in layout.config(program).glob(pattern):
                if path not in rendered:
                    remove(path)


def refuse_foreign(layout: Layout, programs: Iterable[str] = ()) -> None:
    """Refuse to start where files that kraftd did not write have the names that it would write to.

    Args:
        layout: The cluster's paths.
        programs: The programs to start; of an existing cluster, only those that are new matter.

    Raises:
        RefusedError: Naming the files and directories.
    """
    owned = ownership_of(layout)
    found = _foreign_names(layout) if owned is None else _foreign_programs(layout, owned, programs)
    paths = [str(path) for path in found]
    if paths:
        raise RefusedError(
            f"cannot start a cluster in {layout.state_dir}: it holds files that kraftd did not write, under its names\n"
            + "\n".join(f"  {path}" for path in paths),
            hint="Choose another directory with cluster.state_dir (--state-dir), or move these away.",
            code="foreign_content",
            details={"paths": paths},
        )


def refuse_data_in_use(cluster: ClusterContext, names: Iterable[str], verb: str) -> None:
    """Refuse to touch the data of nodes of which no process can be seen, while one uses it.

    Args:
        cluster: The cluster.
        names: Programs without a process.
        verb: What is to be done to the cluster, as ``destroy``.

    Raises:
        RefusedError: Naming the directories.
    """
    directories = [cluster.layout.data(name) for name in names]
    deadline_s = cluster.clock.monotonic_s() + _RELEASED_WITHIN_S
    while used := [str(path) for path in directories if cluster.doors.is_locked(path / _KAFKA_LOCK)]:
        if cluster.clock.monotonic_s() > deadline_s:
            raise RefusedError(
                f"cannot {verb} the cluster {cluster.plan.cluster}: a process that cannot be seen from here uses "
                + ", ".join(used),
                hint="It runs in another container or sandbox, or on another machine, which shares the directory: "
                "run the command there.",
                code="data_in_use",
                details={"paths": used},
            )
        cluster.clock.sleep(_POLL_S)


def contents_of(layout: Layout, owned: Ownership) -> Contents:
    """Return the files of a state directory, without following symbolic links.

    Raises:
        FileAccessError: A directory cannot be read.
    """
    own: list[Path] = []
    records: list[Path] = []
    others: list[Path] = []
    for entry in _entries(layout.state_dir):
        if entry.name in DIRECTORIES and _is_real_directory(entry):
            for child in _entries(entry):
                is_own = owned.covers(entry.name, child.name) and not child.is_symlink()
                (own if is_own else others).append(child)
        elif owned.covers_record(entry.name) and not _is_real_directory(entry):
            records.append(entry)
        elif entry != layout.lock:
            others.append(entry)
    order = {name: place for place, name in enumerate(RECORDS)}
    records.sort(key=lambda path: order.get(path.name, -1))
    return Contents(tuple(own), tuple(records), tuple(others))


def was_locked(layout: Layout) -> bool:
    """Return whether a command of kraftd holds the lock of this state directory, or held it."""
    return _is_left_behind(layout.lock)


def _recorded(layout: Layout) -> Ownership | None:
    text = read_text(layout.ownership)
    if text is None:
        return None
    try:
        return parse_ownership(text, layout.ownership)
    except IdentityMismatchError as error:
        if error.code == TOO_NEW:
            raise
        return None


def _readable(read: Callable[[], _Record]) -> _Record | None:
    """Return a record; None where it is damaged: the other records can still prove ownership."""
    try:
        return read()
    except FileAccessError:
        raise
    except KraftdError:
        return None


def _foreign_names(layout: Layout) -> Iterator[Path]:
    """Yield foreign paths under kraftd's names in a directory without a cluster, except what only kraftd can write."""
    for directory in (layout.state_dir / name for name in DIRECTORIES):
        if os.path.lexists(directory) and not _holds_only_known(directory):
            yield directory
    for path in (*(layout.state_dir / name for name in RECORDS), layout.lock):
        if os.path.lexists(path) and not _is_left_behind(path):
            yield path


def _foreign_programs(layout: Layout, owned: Ownership, programs: Iterable[str]) -> Iterator[Path]:
    for program in programs:
        for directory in PROGRAM_DIRECTORIES:
            path = layout.state_dir / directory / program
            if not owned.covers(directory, program) and _holds_files(path):
                yield path


def _holds_only_known(directory: Path) -> bool:
    if not directory.is_dir():
        return False
    known = Ownership()
    return not any(_holds_files(child) for child in _entries(directory) if not known.covers(directory.name, child.name))


def _holds_files(path: Path) -> bool:
    """Return whether a path holds anything but empty directories."""
    if not path.is_dir():
        return os.path.lexists(path)
    return any(files for _, _, files in os.walk(path))


def _is_left_behind(path: Path) -> bool:
    """Return whether a file is one that a stop, or a daemon whose directory was removed, leaves without a cluster."""
    keys = {"lock": {"pid", "command"}, "desired.json": {"programs"}, "restarts.json": {"programs"}}
    try:
        text = path.read_text(encoding="utf-8")
        if path.name == "generation":
            return text.strip().isdecimal()
        # The lock is empty until its holder has signed it.
        return path.name in keys and ((path.name == "lock" and not text) or keys[path.name] <= set(json.loads(text)))
    except (OSError, ValueError, TypeError):
        return False


def _is_real_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _entries(directory: Path) -> list[Path]:
    with os_errors_named("read", directory):
        return sorted(directory.iterdir())
