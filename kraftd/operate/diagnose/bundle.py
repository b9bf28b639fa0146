"""`kraftd bundle`: one archive for a bug report, without secrets, whole or absent."""

import functools
import io
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from kraftd.clock import Clock
from kraftd.errors import ConfigurationError, KraftdError
from kraftd.health.programs.state import ServiceState
from kraftd.health.report.documents import HealthDocument, StatusDocument
from kraftd.host.events import read_events
from kraftd.host.files import hint_names_setting, os_errors_named, read_text
from kraftd.host.jvm import diagnostic_command
from kraftd.host.logs import log_files, tail
from kraftd.host.processes import Process
from kraftd.operate.context import ClusterContext
from kraftd.operate.diagnose.doctor import diagnose
from kraftd.operate.diagnose.findings import Diagnosis
from kraftd.operate.observation import observed
from kraftd.operate.selection import ChosenCluster
from kraftd.operate.status import health, status
from kraftd.plan.layout import TOOLS
from kraftd.plan.plan import Plan
from kraftd.plan.plan_json import plan_json
from kraftd.plan.secrets import Scrubber, masked_text, masked_value, secret_values, without_secrets
from kraftd.units import timestamp

_LOG_LINES = 2000
_LOG_BYTES = 1_048_576
_THREAD_DUMP = "Thread.print -l"


def _diagnosis(cluster: ClusterContext, chosen: ChosenCluster) -> Diagnosis:
    return diagnose(lambda: chosen, cluster.command_context)


def _status(cluster: ClusterContext) -> StatusDocument:
    return status(cluster, observed).document


@dataclass(frozen=True, slots=True)
class BundleDoors:
    """The functions through which a bundle looks outside; tests give others.

    Attributes:
        diagnosis: What ``kraftd doctor`` finds.
        status: The status of a cluster.
        health: The daemon's health document; raises where it does not answer.
        run_in_jvm: Runs a diagnostic command in a JVM that serves, and returns its output.
    """

    diagnosis: Callable[[ClusterContext, ChosenCluster], Diagnosis] = _diagnosis
    status: Callable[[ClusterContext], StatusDocument] = _status
    health: Callable[[Plan], HealthDocument] = health
    run_in_jvm: Callable[[Process, str, Clock], str] = diagnostic_command


def default_name(cluster: str, now_s: float) -> str:
    """Return the name of a bundle that was made now."""
    return f"kraftd-{cluster}-{re.sub(r'[^0-9]', '', timestamp(now_s)[:19])}.tar.gz"


def write_bundle(
    cluster: ClusterContext,
    chosen: ChosenCluster,
    path: Path,
    *,
    thread_dumps: bool,
    doors: BundleDoors | None = None,
) -> tuple[str, ...]:
    """Write a bundle, and return the names of what it holds.

    What cannot be read is in it as the reason. Values whose names mark them as secret are masked wherever they occur.

    Args:
        cluster: The cluster, which may run or not.
        chosen: Its configuration.
        path: The new file.
        thread_dumps: Whether to ask each node that serves for a dump of its threads.
        doors: The ways to look outside; None for the real ones.

    Raises:
        ConfigurationError: The file exists.
        FileAccessError: It cannot be written; nothing is left then.
    """
    if os.path.lexists(path):
        raise ConfigurationError(
            f"cannot write {path}: it exists", hint="Name another file, or remove that one.", code="file_exists"
        )
    # A name of its own, so that what is killed or fails leaves no half of a bundle under the name.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    members = _members(cluster, chosen, doors or BundleDoors(), thread_dumps=thread_dumps)
    with hint_names_setting(path.parent, "FILE"), os_errors_named("write", path):
        try:
            temporary.unlink(missing_ok=True)
            names = _write(temporary, path.name.removesuffix(".tar.gz"), members, _scrubber(cluster, chosen), cluster)
            temporary.rename(path)
        finally:
            temporary.unlink(missing_ok=True)
    return tuple(names)


def _write(
    path: Path, directory: str, members: Iterable[tuple[str, str]], scrubber: Scrubber, cluster: ClusterContext
) -> list[str]:
    """Write an archive, and return the names of its members, which are in one directory."""
    names = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, text in members:
                names.append(name)
                _add(archive, f"{directory}/{name}", scrubber.scrubbed(text), cluster)
        file.flush()
        os.fsync(file.fileno())
    return names


def _add(archive: tarfile.TarFile, name: str, text: str, cluster: ClusterContext) -> None:
    content = text.encode(errors="replace")
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), 0o600, int(cluster.clock.now_s())
    archive.addfile(member, io.BytesIO(content))


def _scrubber(cluster: ClusterContext, chosen: ChosenCluster) -> Scrubber:
    files = [(path.name, text) for path, text in _rendered(cluster)]
    settings = {key: value for key, value, _ in chosen.configuration.rows()}
    return Scrubber(secret_values(cluster.plan, settings, files))


def _members(
    cluster: ClusterContext, chosen: ChosenCluster, doors: BundleDoors, *, thread_dumps: bool
) -> Iterator[tuple[str, str]]:
    """Yield the files of a bundle; a part that fails is its error."""
    plan, layout = cluster.plan, cluster.layout
    documents: dict[str, Callable[[], str]] = {
        "doctor.json": lambda: _json(asdict(doors.diagnosis(cluster, chosen))),
        "settings.json": lambda: _json(_settings(chosen)),
        "plan.json": lambda: plan_json(without_secrets(plan)),
        "status.json": lambda: _json(msgspec.to_builtins(doors.status(cluster))),
        "health.json": lambda: _json(msgspec.to_builtins(doors.health(plan))),
        "events.jsonl": lambda: "".join(f"{json.dumps(asdict(event))}\n" for event in read_events(layout.events)),
    }
    for record in (layout.manifest, layout.desired, layout.restarts, layout.generation, layout.ownership):
        documents[record.name] = functools.partial(_text, record)
    for name, make in documents.items():
        yield name, _guarded(make)
    for path, text in _rendered(cluster):
        yield f"rendered/{path.relative_to(layout.state_dir)}", masked_text(path.name, text)
    for path in _logs(cluster):
        name = str(path.relative_to(layout.state_dir))
        yield name, _guarded(functools.partial(_last_lines, path))
    if thread_dumps:
        for name, make in _thread_dumps(cluster, doors).items():
            yield f"threads/{name}.txt", _guarded(make)


def _settings(chosen: ChosenCluster) -> list[Mapping[str, object]]:
    return [
        {"key": key, "value": masked_value(key, value), "origin": origin}
        for key, value, origin in chosen.configuration.rows()
    ]


def _rendered(cluster: ClusterContext) -> Iterator[tuple[Path, str]]:
    """Yield the rendered files on disk, those of the plan's programs only, with their secrets."""
    layout = cluster.layout
    directories = (layout.config(name) for name in (*cluster.plan.names, TOOLS))
    inside = (path for directory in directories for path in sorted(directory.glob("**/*")))
    for path in (layout.supervisord_conf, *inside):
        # A link may lead anywhere, and the temporary directory of a node holds libraries.
        if path.is_file() and not path.is_symlink() and "tmp" not in path.relative_to(layout.state_dir).parts:
            yield path, _guarded(functools.partial(_text, path))


def _logs(cluster: ClusterContext) -> Iterable[Path]:
    layout = cluster.layout
    logs = (layout.supervisord_log, *(path for each in cluster.plan.programs for path in layout.log_files(each)))
    # The last lines may be in a rotated file alone.
    return (path for path in dict.fromkeys(logs) if log_files(path) and not path.is_symlink())


def _thread_dumps(cluster: ClusterContext, doors: BundleDoors) -> dict[str, Callable[[], str]]:
    """Return how to get the dump of each node that serves: before it has booted, the request would end a JVM."""
    processes = cluster.find_processes().processes
    serving = {each.name for each in doors.status(cluster).nodes if each.service_state is ServiceState.READY}
    return {
        node.name: functools.partial(doors.run_in_jvm, processes[node.name], _THREAD_DUMP, cluster.clock)
        for node in cluster.plan.nodes
        if node.name in processes and node.name in serving
    }


def _text(path: Path) -> str:
    return read_text(path) or ""


def _last_lines(path: Path) -> str:
    return "\n".join(tail(path, _LOG_LINES, most_bytes=_LOG_BYTES)) + "\n"


def _guarded(make: Callable[[], str]) -> str:
    try:
        return make()
    except (KraftdError, OSError) as error:
        return f"{error}\n"


def _json(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
