"""The ``bootstrap.checkpoint`` of Kafka 4: the features that a new cluster begins with.

Kafka's StorageTool writes it when it formats. It holds no ids, so that one made once serves every later format, which
then needs no JVM. Kafka 3.9 begins with the same features without it.
"""

from collections.abc import Sequence
from pathlib import Path

from kraftd.clock import Clock
from kraftd.host import lock
from kraftd.host.files import make_private_directory
from kraftd.host.identity import random_id
from kraftd.host.java import Java
from kraftd.host.scratch_node import ScratchProcess, scratch_directory, scratch_plan
from kraftd.render.java_command import PROPERTIES
from kraftd.render.server_properties import server_properties

_TIMEOUT_S = 60.0


def needs_checkpoint(kafka_version: str) -> bool:
    """Return whether a format of this Kafka version takes a checkpoint."""
    return not kafka_version.startswith("3.")


def checkpoint_path(cache_dir: Path, kafka_version: str) -> Path:
    """Return where the checkpoint of a Kafka version belongs, present or not."""
    return cache_dir / "bootstrap" / f"kafka-{kafka_version}.checkpoint"


def make_checkpoint(cache_dir: Path, kafka_version: str, java: Java, classpath: Sequence[Path], clock: Clock) -> Path:
    """Return the checkpoint of a Kafka version, made now where it is absent: a JVM of one to two seconds.

    Raises:
        KraftdError: StorageTool failed.
        TimedOutError: Another process makes it and does not come to an end.
    """
    path = checkpoint_path(cache_dir, kafka_version)
    if path.is_file():
        return path
    make_private_directory(path.parent)
    with (
        lock.held(path.parent / "lock", command="setup", clock=clock, timeout_s=_TIMEOUT_S),
        scratch_directory(path.parent) as directory,
    ):
        plan = scratch_plan(directory, kafka_version, ())
        data = plan.layout.data(plan.nodes[0].name)
        properties = directory / PROPERTIES
        properties.write_text(server_properties(plan, plan.nodes[0]), encoding="utf-8")
        command = format_command(java, classpath, properties)
        with ScratchProcess(command, directory, clock) as process:
            if process.wait_for_exit(_TIMEOUT_S) or not (data / "bootstrap.checkpoint").is_file():
                raise process.failure("it wrote no bootstrap.checkpoint")
        (data / "bootstrap.checkpoint").replace(path)
    return path


def format_command(java: Java, classpath: Sequence[Path], properties: Path) -> tuple[str, ...]:
    """Return the argv that formats the directories of a server.properties with a new cluster id."""
    return (
        str(java.executable),
        "-Xmx128m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        ":".join(str(jar) for jar in classpath),
        "kafka.tools.StorageTool",
        "format",
        # In one argument: an id may begin with "-" (KAFKA-15754).
        f"--cluster-id={random_id()}",
        f"--config={properties}",
    )
