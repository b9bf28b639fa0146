"""The start-up archive (JDK 25's AOT cache): its path, its dependencies and the check that it fits.

One archive serves brokers and controller-only nodes. Measured on 2 cores, Kafka 3.9.2: a broker opens its port after
1.2-1.5 s and 2.1 s of CPU instead of 2.5 s and 4.1 s. The JVM refuses an archive made by another JDK, with another
class path (order, path, size, time of each jar) or other modules, object headers or pointer compression (ZGC, heaps
from 32 GB). Heap size, G1, parallel or serial collector, JIT, log options and properties do not matter.
"""

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from kraftd.host.files import read_text, write_atomically
from kraftd.render.java_command import JvmLaunch, node_command
from kraftd.runtime.java import Java
from kraftd.runtime.scratch_node import scratch_plan

OLDEST_JAVA = 25
"""The first release that writes an archive in one run (JEP 514)."""

_WITHOUT_EFFECT = ("-D", "-Xms", "-Xmx", "-Xlog", "-XX:ErrorFile=", "-XX:HeapDumpPath=", "-XX:Tier")
_JMX = "-Dcom.sun.management.jmxremote"
_NOWHERE = Path("/scratch")


def archive_for(
    cache_dir: Path, kafka_version: str, java: Java, classpath: Sequence[Path], java_options: Sequence[str]
) -> Path | None:
    """Return the archive to start nodes with; None if none fits or it was changed since it was written.

    Args:
        cache_dir: kraftd's cache.
        kafka_version: The exact version.
        java: The Java that runs the nodes.
        classpath: The nodes' jars, all present.
        java_options: The user's options for nodes.
    """
    if java.major < OLDEST_JAVA:
        return None
    path = archive_path(cache_dir, kafka_version, java, classpath, java_options)
    return path if _is_as_written(path) else None


def archive_path(
    cache_dir: Path, kafka_version: str, java: Java, classpath: Sequence[Path], java_options: Sequence[str]
) -> Path:
    """Return the path of the archive for these arguments, present or not."""
    key = hashlib.sha256()
    runtime_image = java.home / "lib" / "modules"
    for path in (runtime_image, *classpath):
        key.update(f"{path}\0{_stamp(path)}\0".encode())
    for option in decisive_options(kafka_version, java, java_options):
        key.update(f"{option}\0".encode())
    return archives_dir(cache_dir) / f"kafka-{kafka_version}-java-{java.version}-{key.hexdigest()[:16]}.aot"


def archives_dir(cache_dir: Path) -> Path:
    """Return the directory of all archives."""
    return cache_dir / "archives"


def decisive_options(kafka_version: str, java: Java, java_options: Sequence[str]) -> tuple[str, ...]:
    """Return the options of a node on which its archive depends: all except those known not to matter."""
    plan = scratch_plan(_NOWHERE, kafka_version, java_options)
    command = node_command(plan, plan.nodes[0], JvmLaunch(java.executable, java.major, ()), archive_options=())
    options = command[1 : command.index("-cp")]
    return tuple(option for option in options if option == _JMX or not option.startswith(_WITHOUT_EFFECT))


def record(path: Path) -> None:
    """Write the size and time of a complete archive into a file beside it."""
    document = {"stamp": _stamp(path), "sha256": _sha256(path)}
    write_atomically(_record_path(path), json.dumps(document))


def mark_used(path: Path) -> None:
    """Record the time of use of an archive; does nothing if the cache cannot be written."""
    with contextlib.suppress(OSError):
        _record_path(path).touch()


def prune_archives(count: int, cache_dir: Path) -> None:
    """Keep the most recently used archives and remove the others, as far as they can be removed."""
    by_use = sorted(archives_dir(cache_dir).glob("*.aot"), key=lambda path: -_used_s(path))
    for path in by_use[count:]:
        with contextlib.suppress(OSError):
            forget(path)


def forget(path: Path) -> None:
    """Remove an archive; running nodes keep the deleted file open until they end."""
    _record_path(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _used_s(path: Path) -> float:
    try:
        return _record_path(path).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _is_as_written(path: Path) -> bool:
    # The JVM detects a truncated archive, but not a changed byte, and hashing 63 MB at each start takes 60 ms.
    text = read_text(_record_path(path))
    stamp = _stamp(path)
    if text is None or stamp is None:
        return False
    try:
        document = json.loads(text)
        return bool(document["stamp"] == stamp or document["sha256"] == _sha256(path))
    except (ValueError, KeyError, TypeError):
        return False


def _record_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _stamp(path: Path) -> str | None:
    """Return size and modification time, in whole seconds as the JVM compares and archivers keep them."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return f"{status.st_size} {int(status.st_mtime)}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
