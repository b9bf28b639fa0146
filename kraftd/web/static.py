"""Static files of the pages, served from memory."""

import hashlib
import mimetypes
from collections.abc import Iterator
from importlib.resources import files

from kraftd.web.asgi import Answer

SHARED = "kraftd.web"
"""The package with the files that all pages use: the icon and the colours."""

_FOREVER = (b"cache-control", b"public, max-age=31536000, immutable")


class StaticFiles:
    """The files of some packages' `static` folders, and of the shared one.

    Attributes:
        hashed: Answers by a path with the file's hash, which clients may cache for ever.
        plain: Answers by a path with the file's own name, never cached: for scripts that import each other.
    """

    def __init__(self, *packages: str) -> None:
        self.hashed: dict[str, Answer] = {}
        self.plain: dict[str, Answer] = {}
        self._addresses: dict[str, str] = {}
        for package in (SHARED, *packages):
            for name, content in _files_of(package):
                self._add(name, content)

    def address(self, name: str) -> str:
        """Return the path of a file, which changes with its content.

        Raises:
            KeyError: The file does not exist.
        """
        return self._addresses[name]

    def _add(self, name: str, content: bytes) -> None:
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        charset = "; charset=utf-8" if kind.startswith("text/") else ""
        stem, _, suffix = name.rpartition(".")
        address = f"/static/{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{suffix}"
        answer = Answer(200, content, f"{kind}{charset}".encode())
        self.plain[f"/static/{name}"] = answer
        self.hashed[address] = answer._replace(headers=(_FOREVER,))
        self._addresses[name] = address


def _files_of(package: str) -> Iterator[tuple[str, bytes]]:
    for found in (files(package) / "static").iterdir():
        if found.is_file():
            yield found.name, found.read_bytes()
