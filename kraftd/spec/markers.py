"""How the processes of a cluster are known: by arguments that nothing else is started with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class Marker:
    """The proof that a process is a certain program of a certain cluster.

    A path alone proves nothing: an editor, a pager or a backup has the paths of our files in its arguments too.

    Attributes:
        arguments: They follow each other in the command line.
        executable: The name of what runs, or of the script that is run; empty where the arguments prove it.
    """

    arguments: tuple[str, ...]
    executable: str = ""

    def marks(self, command: Sequence[str]) -> bool:
        """Return whether a process with this command line, the executable first, is the program."""
        if self.executable and self.executable not in [PurePath(word).name for word in command[:2]]:
            return False
        count = len(self.arguments)
        return any(tuple(command[at : at + count]) == self.arguments for at in range(1, len(command)))


def java_marker(identity: str) -> Marker:
    """Return the marker of a JVM: a system property that Kafka does not read."""
    return Marker((f"-Dkraftd.program={identity}",), executable="java")


def python_marker(identity: str) -> Marker:
    """Return the marker of a Python program: Python keeps an unknown -X option and ignores it."""
    return Marker(("-X", f"kraftd={identity}"))
