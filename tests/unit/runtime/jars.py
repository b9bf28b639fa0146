"""Jars, a source of them and a listener, for tests."""

import hashlib

from kraftd.errors import RuntimeMissingError
from kraftd.runtime.jars import Jar, JarSet

CONTENTS = {"alpha": b"alpha" * 100, "beta": b"beta" * 1000, "gamma": b"gamma"}


def jar(name: str, content: bytes | None = None) -> Jar:
    content = CONTENTS[name] if content is None else content
    digest = hashlib.sha256(content).hexdigest()
    return Jar("org.example", name, "1.0", digest, len(content), (JarSet.BROKER, JarSet.TOOLS))


JARS = tuple(jar(name) for name in CONTENTS)


class Source:
    """Hands out what it is given, in the order asked, and remembers what was asked."""

    def __init__(self, contents=None, *, fails_after: int | None = None) -> None:
        self.contents = CONTENTS if contents is None else contents
        self.fails_after = fails_after
        self.asked: list[str] = []

    def fetch(self, jars, into, progress):
        for number, each in enumerate(jars):
            if number == self.fails_after:
                raise RuntimeMissingError("cannot fetch the rest: no connection")
            self.asked.append(each.artifact)
            path = into / each.file_name
            path.write_bytes(self.contents[each.artifact])
            progress.advance(each.size_bytes)
            yield each, path


class Heard:
    """What a progress was told."""

    def __init__(self) -> None:
        self.total_bytes: int | None = None
        self.seen_bytes = 0
        self.notes: list[str] = []

    def begin(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes

    def advance(self, byte_count: int) -> None:
        self.seen_bytes += byte_count

    def note(self, text: str) -> None:
        self.notes.append(text)
