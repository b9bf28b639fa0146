"""Server-rendered pages and the few files they need: no build step, nothing from elsewhere, nothing inline."""

import hashlib
import mimetypes
from collections.abc import Iterator
from importlib.resources import files

from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup

from kraftd_apps.web.asgi import Answer, Receive, Scope, Send
from kraftd_apps.web.problems import Refused, problem
from kraftd_apps.web.reply import send_answer

_SHARED = "kraftd_apps.web"
_FOREVER = (b"cache-control", b"public, max-age=31536000, immutable")


class StaticFiles:
    """Serves the files of some packages' `static` folders, from memory.

    Pages name a file by an address that holds its hash and may be kept for ever; scripts import each other by plain
    names, which are never kept.
    """

    def __init__(self, packages: tuple[str, ...]) -> None:
        self._answers: dict[str, Answer] = {}
        self._addresses: dict[str, str] = {}
        for package in packages:
            for name, content in _static_files(package):
                self._add(name, content)

    def address(self, name: str) -> str:
        """Return where a file is served; it changes when the file does."""
        return self._addresses[name]

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Serve one file."""
        name = scope["path"].rpartition("/")[2]
        answer = self._answers.get(name)
        if answer is None or scope["method"] not in {"GET", "HEAD"}:
            raise Refused(problem("not_found", "no such file"))
        await send_answer(send, answer)

    def _add(self, name: str, content: bytes) -> None:
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        charset = "; charset=utf-8" if kind.startswith("text/") else ""
        stem, _, suffix = name.rpartition(".")
        hashed = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{suffix}"
        content_type = f"{kind}{charset}".encode()
        self._answers[name] = Answer(200, content, content_type)
        self._answers[hashed] = Answer(200, content, content_type, (_FOREVER,))
        self._addresses[name] = f"/static/{hashed}"


class Pages:
    """Renders one app's templates over the shared ones; everything a template inserts is escaped."""

    def __init__(self, package: str) -> None:
        self.static = StaticFiles((_SHARED, package))
        self._environment = Environment(
            loader=PrefixLoader({"web": PackageLoader(_SHARED), "app": PackageLoader(package)}),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals["static"] = self.static.address
        self._environment.filters["marked"] = marked

    def render(self, template: str, **values: object) -> str:
        """Return a page of the app."""
        return self._environment.get_template(f"app/{template}").render(**values)

    def render_shared(self, template: str, **values: object) -> str:
        """Return a page that both apps have."""
        return self._environment.get_template(f"web/{template}").render(**values)


def marked(text: str) -> Markup:
    """Return a text with its parts between backticks as code, and everything escaped."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else part for number, part in enumerate(parts)
    )


def _static_files(package: str) -> Iterator[tuple[str, bytes]]:
    folder = files(package) / "static"
    for found in folder.iterdir():
        if found.is_file():
            yield found.name, found.read_bytes()
