"""The outermost layer: who may talk to an app, the headers of every answer, and how answers are counted."""

import base64
import hmac
import logging
import time
from urllib.parse import urlsplit

from kraftd_apps.web.asgi import App, Receive, Scope, Send
from kraftd_apps.web.body import ClientGone
from kraftd_apps.web.problems import Refused, problem
from kraftd_apps.web.reply import Reply
from kraftd_apps.web.settings import HttpSettings
from kraftd_apps.web.telemetry import HttpMetrics

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_WITHOUT_TOKEN = frozenset({"/healthz", "/readyz"})
_MOST_ADMITTED = 64
"""Spellings of allowed names that are remembered, so that each is taken apart once."""

logger = logging.getLogger(__name__)


class Guard:
    """Wraps an app: refuses strangers, turns `Refused` into its problem, adds security headers, counts."""

    def __init__(self, app: App, settings: HttpSettings, metrics: HttpMetrics) -> None:
        self._app = app
        self._hosts = settings.allowed_hosts
        self._token = settings.api_token.encode()
        self._metrics = metrics
        self._admitted: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        started_s = time.perf_counter()
        reply = Reply(scope, send)
        status = None
        try:
            self._admit(scope)
            await self._app(scope, receive, reply)
        except Refused as refused:
            await reply.answer(refused.problem.answer())
        except ClientGone:
            status = 499  # nginx's number for a client that closed the connection
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            if reply.status:
                raise
            await reply.answer(problem("internal", "the app failed; its log says why").answer())
        finally:
            self._metrics.count(scope, status or reply.status, time.perf_counter() - started_s)

    def _admit(self, scope: Scope) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        host = headers.get(b"host", b"")
        if host not in self._admitted:
            self._admit_host(host)
        if scope["method"] not in _SAFE_METHODS and is_cross_site(headers, host):
            detail = "a page of another origin asked for this; open this app's own page"
            raise Refused(problem("cross_site", detail))
        if self._token and scope["path"] not in _WITHOUT_TOKEN:
            given = token_in(headers.get(b"authorization", b""))
            if not hmac.compare_digest(given, self._token):
                detail = "send the token of APP_API_TOKEN as a bearer token, or as the password of any user name"
                raise Refused(problem("unauthorized", detail))

    def _admit_host(self, host: bytes) -> None:
        name = host.decode("latin-1")
        if "*" not in self._hosts and host_name(name) not in self._hosts:
            detail = f"this app does not serve {name!r}; add the name to APP_ALLOWED_HOSTS"
            raise Refused(problem("bad_host", detail))
        if len(self._admitted) < _MOST_ADMITTED:
            self._admitted.add(host)


def token_in(authorization: bytes) -> bytes:
    """Return the token in an `Authorization` header; empty where there is none.

    Browsers can only ask for a name and a password: the password is the token. That they send it for pages of other
    origins too does no harm, because such a page may neither write nor read an answer.
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
    """Return whether a browser sends this request for a page of another origin.

    Browsers name the relation in `Sec-Fetch-Site` and, on writes, the page in `Origin`; curl sends neither. Another
    port of the same host is the same site to a browser and another origin here.
    """
    if headers.get(b"sec-fetch-site", b"none") not in {b"none", b"same-origin"}:
        return True
    origin = headers.get(b"origin")
    return origin is not None and urlsplit(origin.decode("latin-1")).netloc.lower() != host.decode("latin-1").lower()
