"""The guard, the outermost ASGI layer: access control, security headers, and an answer to every failure."""

import base64
import hmac
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from kraftd.web.asgi import (
    App,
    ClientGoneError,
    Headers,
    HttpProblem,
    HttpProblemError,
    MakeProblem,
    Message,
    Receive,
    Scope,
    Send,
    head_only,
    send_answer,
)

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that closed the connection."""

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST_ADMITTED = 64
"""The number of spellings of allowed names to cache, so that each is parsed once."""
_NO_STORE = (b"cache-control", b"no-store")

OnAnswer = Callable[[Scope, int, float], None]
"""Receives a request that has ended, the status of its answer (0: cut off) and its duration in seconds."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AccessRules:
    """The rules of access.

    Attributes:
        server: The name of the server, as the subject of a sentence.
        hosts: Names that a request may use in `Host`; `*` allows every name. Prevents DNS rebinding.
        host_hint: How to allow a refused name.
        token: Required in every request as a bearer token or a password; empty for no token.
        unauthorized_hint: Where to find the token.
        without_token: Paths that need no token.
        has_forms: Whether the server's own pages submit forms.
    """

    server: str
    hosts: frozenset[str]
    host_hint: str
    token: str = field(default="", repr=False)
    unauthorized_hint: str = ""
    without_token: frozenset[str] = frozenset()
    has_forms: bool = False


class Guard:
    """Wraps an app: refuses requests that `Access` does not allow, answers errors, adds the security headers.

    The app sees HEAD as GET; only the head of its answer is sent.
    """

    def __init__(
        self, app: App, access: AccessRules, make_problem: MakeProblem, on_answer: OnAnswer = lambda *_ended: None
    ) -> None:
        self._app = app
        self._access = access
        self._token = access.token.encode()
        self._make_problem = make_problem
        self._on_answer = on_answer
        self._headers = security_headers(has_forms=access.has_forms)
        self._admitted: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        started_s = time.perf_counter()
        is_head = scope["method"] == "HEAD"
        asked = {**scope, "method": "GET"} if is_head else scope
        status = 0

        async def guarded_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = completed(message["headers"], self._headers)
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is None:
                await self._app(asked, receive, head_only(guarded_send) if is_head else guarded_send)
            else:
                await send_answer(guarded_send, refusal.answer())
        except HttpProblemError as error:
            await send_answer(guarded_send, error.problem.answer())
        except ClientGoneError:
            status = CLIENT_CLOSED_REQUEST
        except Exception:
            if status:
                raise  # The server logs it and closes the connection.
            logger.exception("%s %s failed", scope["method"], scope["path"])
            failure = self._make_problem("internal", f"{self._access.server} failed; see its log for the cause")
            await send_answer(guarded_send, failure.answer())
        finally:
            ended = {**asked, "method": "HEAD"} if is_head else scope
            self._on_answer(ended, status, time.perf_counter() - started_s)

    def _refusal(self, scope: Scope) -> HttpProblem | None:
        access = self._access
        headers: dict[bytes, bytes] = dict(scope["headers"])
        host = headers.get(b"host", b"")
        # HTTP/1.0 knows no Host. A browser, which alone can be made to use a foreign name, always sends one.
        is_nameless = b"host" not in headers and scope["http_version"] == "1.0"
        is_repeated = len(headers) < len(scope["headers"]) and [name for name, _ in scope["headers"]].count(b"host") > 1
        if is_repeated or (b"host" not in headers and not is_nameless):
            return self._make_problem("malformed_request", "HTTP/1.1 needs one Host header (RFC 9112, 3.2)")
        if host not in self._admitted and not is_nameless and not self._admits_host(host):
            detail = f"{access.server} does not serve {host.decode('latin-1')!r}; {access.host_hint}"
            return self._make_problem("bad_host", detail)
        if scope["method"] not in _SAFE_METHODS and is_cross_site(headers, host):
            return self._make_problem("cross_site", "a page of another origin sent this; use this server's own page")
        if self._token and scope["path"] not in access.without_token:
            given = token_in(headers.get(b"authorization", b""))
            if not hmac.compare_digest(given, self._token):
                return self._make_problem("unauthorized", access.unauthorized_hint)
        return None

    def _admits_host(self, host: bytes) -> bool:
        hosts = self._access.hosts
        if "*" not in hosts and host_name(host.decode("latin-1")) not in hosts:
            return False
        if len(self._admitted) < _MOST_ADMITTED:
            self._admitted.add(host)
        return True


def security_headers(*, has_forms: bool) -> Headers:
    """Return the security headers: pages load from, send to and are framed by no other origin."""
    form_action = b"'self'" if has_forms else b"'none'"
    return (
        (
            b"content-security-policy",
            b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
            b"base-uri 'none'; form-action %b; frame-ancestors 'none'" % form_action,
        ),
        (b"x-content-type-options", b"nosniff"),
        # With no-referrer, browsers would send "Origin: null" for the server's own forms.
        (b"referrer-policy", b"same-origin" if has_forms else b"no-referrer"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
    )


def completed(headers: Iterable[tuple[bytes, bytes]], security: Headers) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers with the security headers, and `no-store` unless it controls caching."""
    found = list(headers)
    for name, _ in found:
        if name.lower() == b"cache-control":
            break
    else:
        found.append(_NO_STORE)
    found.extend(security)
    return found


def token_in(authorization: bytes) -> bytes:
    """Return the token in an `Authorization` header; empty if there is none.

    Browsers can only ask for a name and a password, so the password is the token. They also send it for pages of other
    origins, which is harmless, because such a page may neither write nor read an answer.
    """
    scheme, _, credentials = authorization.partition(b" ")
    if scheme.lower() == b"bearer":
        return credentials
    if scheme.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except ValueError:
        return b""


def host_name(host: str) -> str:
    """Return the name in a `Host` header: lower case, without port, brackets or closing dot."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].rstrip(".").lower()


def is_cross_site(headers: dict[bytes, bytes], host: bytes) -> bool:
    """Return whether a browser sent this request for a page of another origin.

    Browsers state the relation in `Sec-Fetch-Site` and, for writes, the page in `Origin`; curl sends neither. Another
    port of the same host is the same site for a browser, but counts as another origin.
    """
    if headers.get(b"sec-fetch-site", b"none") not in {b"none", b"same-origin"}:
        return True
    origin = headers.get(b"origin")
    if origin is None:
        return False
    try:
        name = urlsplit(origin.decode("latin-1")).netloc.lower()
    except ValueError:
        return True
    return not name or name != host.decode("latin-1").lower()
