"""The outermost layer: who is served, and the headers of every answer."""

from collections.abc import Iterable

from kraftd.serve.asgi import Application, Message, Receive, Scope, Send, send_answer
from kraftd.serve.problems import problem
from kraftd.spec.program import LOOPBACK

_NO_STORE = (b"cache-control", b"no-store")
_SECURITY_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """Wraps an app: serves this machine by its own names only, and adds the security headers."""

    def __init__(self, app: Application, host: str = LOOPBACK) -> None:
        """Store the app, and the address that it is served on."""
        self._app = app
        self._names = frozenset({host, "localhost", "::1"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = with_security_headers(message["headers"])
            await send(message)

        host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
        # A page of another origin could rebind its name to this machine and read everything.
        if host_name(host) not in self._names:
            names = ", ".join(sorted(self._names))
            await send_answer(guarded_send, problem(421, f"the daemon does not serve {host!r}; it serves {names}"))
            return
        await self._app(scope, receive, guarded_send)


def with_security_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers and those that every answer has; ``no-store`` where it says nothing of caching."""
    found = list(headers)
    if all(name.lower() != b"cache-control" for name, _ in found):
        found.append(_NO_STORE)
    return [*found, *_SECURITY_HEADERS]


def host_name(host: str) -> str:
    """Return the name in a ``Host`` header: lower case, without port, brackets or closing dot."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].rstrip(".").lower()
