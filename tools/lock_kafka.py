"""Writes ``kraftd/runtime/locks/kafka-VERSION.toml``: ``python tools/lock_kafka.py VERSION...``.

A lock is made once per Kafka version and committed. The same versions give the same text.
"""

import argparse
import hashlib
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jgo.maven import Dependency, MavenContext

from kraftd.runtime.jars import Jar, JarSet, Lock

LOCKS = Path(__file__).resolve().parent.parent / "kraftd" / "runtime" / "locks"

LOGGING_BACKENDS = {
    "3": (("org.slf4j", "slf4j-reload4j", "1.7.36"), ("ch.qos.reload4j", "reload4j", "1.2.25")),
    "4": tuple(
        ("org.apache.logging.log4j", artifact, "2.25.5") for artifact in ("log4j-api", "log4j-core", "log4j-slf4j-impl")
    ),
}
"""What kafka_2.13 leaves out of its POM, by Kafka's major version: without it a node has no logs at all."""

Coordinate = tuple[str, str, str]


def main() -> None:
    """Write a lock for each version given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("versions", nargs="+", metavar="VERSION", help="an exact Kafka version, such as 3.9.2")
    for version in parser.parse_args().versions:
        with tempfile.TemporaryDirectory() as repository:
            lock = resolve(version, MavenContext(repo_cache=Path(repository)))
        path = LOCKS / f"kafka-{version}.toml"
        path.write_text(lock_text(lock), encoding="utf-8")
        of_a_node = lock.jars_of(JarSet.BROKER)
        megabytes = sum(jar.size_bytes for jar in of_a_node) / 1e6
        print(f"{path}: {len(of_a_node)} jars of a node ({megabytes:.1f} MB), {len(lock.jars)} in all")


def resolve(kafka_version: str, context: MavenContext) -> Lock:
    """Resolve both sets and read every jar.

    A set is resolved as a whole; where the two take different versions of a jar, each keeps its own.
    """
    broker_roots = [("org.apache.kafka", "kafka_2.13", kafka_version), *LOGGING_BACKENDS[kafka_version[0]]]
    tools_roots = [*broker_roots, ("org.apache.kafka", "kafka-tools", kafka_version)]
    artifacts: dict[Coordinate, Any] = {}
    sets: dict[Coordinate, list[JarSet]] = {}
    for jar_set, roots in ((JarSet.BROKER, broker_roots), (JarSet.TOOLS, tools_roots)):
        for artifact in resolved_artifacts(context, roots):
            coordinate = (artifact.groupId, artifact.artifactId, artifact.version)
            artifacts[coordinate] = artifact
            sets.setdefault(coordinate, []).append(jar_set)
    with ThreadPoolExecutor(8) as executor:
        paths = dict(zip(artifacts, executor.map(lambda artifact: artifact.resolve(), artifacts.values()), strict=True))
    jars = [locked_jar(coordinate, paths[coordinate], sets[coordinate]) for coordinate in artifacts]
    lock = Lock(kafka_version, tuple(sorted(jars, key=lambda jar: (jar.file_name, jar.group))))
    check(lock)
    return lock


def resolved_artifacts(context: MavenContext, roots: Iterable[Coordinate]) -> list[Any]:
    """Return the artifacts that Maven would put on the classpath of the roots.

    ``raw``: jgo otherwise takes each root for a bill of materials too, and that of log4j-core
    puts kafka-clients 3.9.1 under Kafka 4.3.1.
    """
    dependencies = [
        Dependency(context.project(group, artifact).at_version(version).artifact(), raw=True)
        for group, artifact, version in roots
    ]
    inputs, transitive = context.resolver.resolve(dependencies)
    return [dependency.artifact for dependency in (*inputs, *transitive)]


def locked_jar(coordinate: Coordinate, path: Path, sets: Iterable[JarSet]) -> Jar:
    """Return the entry of a jar, after its checksums inside were checked."""
    with zipfile.ZipFile(path) as archive:
        if (damaged := archive.testzip()) is not None:
            sys.exit(f"cannot lock {path.name}: {damaged} in it is damaged")
    content = path.read_bytes()
    return Jar(*coordinate, hashlib.sha256(content).hexdigest(), len(content), tuple(sets))


def check(lock: Lock) -> None:
    """End with a message where the resolver mixed Kafka versions, or one set holds a jar twice."""
    kafka_jars = [jar for jar in lock.jars if jar.group == "org.apache.kafka"]
    strays = [jar.file_name for jar in kafka_jars if jar.version != lock.kafka_version]
    if strays:
        sys.exit(f"cannot lock Kafka {lock.kafka_version}: the resolver chose {', '.join(strays)}")
    for jar_set in JarSet:
        names = [(jar.group, jar.artifact) for jar in lock.jars_of(jar_set)]
        if len(names) != len(set(names)):
            sys.exit(f"cannot lock Kafka {lock.kafka_version}: two versions of a jar in the {jar_set} set")


def lock_text(lock: Lock) -> str:
    """Return the text of a lock file."""
    lines = [
        "# Written by tools/lock_kafka.py. In the order of the classpath.",
        f'kafka_version = "{lock.kafka_version}"',
        "jars = [",
        *(f"  {{ {_fields(jar)} }}," for jar in lock.jars),
        "]",
    ]
    return "\n".join([*lines, ""])


def _fields(jar: Jar) -> str:
    sets = ", ".join(f'"{jar_set}"' for jar_set in jar.sets)
    texts = {"group": jar.group, "artifact": jar.artifact, "version": jar.version, "sha256": jar.sha256}
    quoted = [f'{key} = "{text}"' for key, text in texts.items()]
    return ", ".join([*quoted, f"size_bytes = {jar.size_bytes}", f"sets = [{sets}]"])


if __name__ == "__main__":
    main()
