"""Download of jars from Maven Central through jgo, several at a time."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kraftd.errors import RuntimeMissingError
from kraftd.host.files import tree_bytes
from kraftd.runtime.jars import DownloadProgress, Jar, size_bytes
from kraftd.units import human_size

_THREADS = 8
_TRIES = 3
_PAUSE_S = 1.0
_REQUEST_TIMEOUT_S = 10
_SILENCE_S = 14.0
"""After this time without a byte the network counts as absent; a silent name server takes longer to fail."""

_OFFLINE = "Connect this machine to the network and run 'kraftd setup', or set kafka.home to an unpacked Kafka release."
_UNTRUSTED = "Set REQUESTS_CA_BUNDLE to a file with the certificate of who signs here, then run 'kraftd setup'."
_NO_BUNDLE = "Could not find a suitable TLS CA certificate bundle"

Download = Callable[[Jar, Path, Callable[[int], None]], Path]
"""Fetches one jar into a directory, reports the bytes as they arrive, and returns the file."""


class MavenCentral:
    """The public repository.

    Args:
        download: Fetches one jar; raises any exception on failure.
        silence_s: How long to wait for the next byte of any jar.
        pause_s: The pause before another attempt at a jar.
        arrived_bytes: Measures what is in a directory.
    """

    def __init__(
        self,
        download: Download | None = None,
        *,
        silence_s: float = _SILENCE_S,
        pause_s: float = _PAUSE_S,
        arrived_bytes: Callable[[Path], int] = tree_bytes,
    ) -> None:
        self._download = download or download_with_jgo
        self._silence_s = silence_s
        self._pause_s = pause_s
        self._arrived_bytes = arrived_bytes

    def fetch(self, jars: Sequence[Jar], into: Path, progress: DownloadProgress) -> Iterator[tuple[Jar, Path]]:
        """Yield each jar with its file as soon as it is complete.

        Raises:
            RuntimeMissingError: A jar cannot be fetched, or no byte arrives for a while.
        """
        batch = _Batch(jars, into, self._download, self._pause_s)
        batch.start()
        try:
            left, seen_bytes = len(jars), 0
            while left:
                event = batch.next_event(self._silence_s)
                if event is None:
                    # Of a jar whose length the answer does not state, as through some proxies, jgo reports no bytes.
                    before_bytes, seen_bytes = seen_bytes, self._arrived_bytes(into)
                    if seen_bytes != before_bytes:
                        continue
                match event:
                    case int():
                        progress.advance(event)
                    case (Jar() as jar, Path() as path):
                        left -= 1
                        yield jar, path
                    case Exception() | None:
                        raise _cannot_fetch(jars, event) from event
        finally:
            batch.stop()


class _Batch:
    """The threads of one fetch and the queue of what they report: bytes, a finished jar, or a failure.

    The threads are daemons: a thread that hangs in a name look-up must not keep the command from ending.
    """

    def __init__(self, jars: Sequence[Jar], into: Path, download: Download, pause_s: float) -> None:
        self._into = into
        self._download = download
        self._pause_s = pause_s
        self._stopped = threading.Event()
        self._something_came = threading.Event()
        self._events: queue.SimpleQueue[int | tuple[Jar, Path] | Exception] = queue.SimpleQueue()
        self._todo: queue.SimpleQueue[Jar] = queue.SimpleQueue()
        for jar in sorted(jars, key=lambda jar: -jar.size_bytes):
            self._todo.put(jar)

    def start(self) -> None:
        """Start fetching."""
        for _ in range(min(_THREADS, self._todo.qsize())):
            threading.Thread(target=self._work, name="kraftd-fetch", daemon=True).start()

    def next_event(self, timeout_s: float) -> int | tuple[Jar, Path] | Exception | None:
        """Return the next report of a thread; None if none arrives in time."""
        try:
            return self._events.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def stop(self) -> None:
        """Begin no further jars."""
        self._stopped.set()

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                jar = self._todo.get_nowait()
            except queue.Empty:
                return
            try:
                self._events.put((jar, self._fetch(jar)))
            except Exception as error:  # noqa: BLE001 - whatever jgo or requests raise is a failed download
                self._events.put(error)
                return

    def _fetch(self, jar: Jar) -> Path:
        for attempt in range(1, _TRIES):
            try:
                return self._attempt(jar, attempt)
            except Exception:
                # If no jar received a byte, there is no network, and further attempts only make the user wait.
                if not self._something_came.is_set():
                    raise
                self._stopped.wait(self._pause_s)
        return self._attempt(jar, _TRIES)

    def _attempt(self, jar: Jar, attempt: int) -> Path:
        counted = 0

        def count(byte_count: int) -> None:
            nonlocal counted
            counted += byte_count
            self._something_came.set()
            self._events.put(byte_count)

        try:
            path = self._download(jar, self._into / f"{jar.file_name}.{attempt}", count)
        except Exception:
            self._events.put(-counted)
            raise
        self._events.put(jar.size_bytes - counted)
        return path


def download_with_jgo(jar: Jar, into: Path, count: Callable[[int], None]) -> Path:
    """Fetch one jar; jgo and requests are imported late, because most starts fetch nothing."""
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415 - see above

    @contextmanager
    def counting(_file_name: str, _total_bytes: int) -> Iterator[Callable[[int], None]]:
        yield count

    context = MavenContext(
        resolver=PythonResolver(progress_callback=counting), repo_cache=into, timeout=_REQUEST_TIMEOUT_S
    )
    path: Path = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
    return path


def _cannot_fetch(jars: Sequence[Jar], cause: Exception | None) -> RuntimeMissingError:
    missing_bytes = size_bytes(tuple(jars))
    what = jars[0].file_name if len(jars) == 1 else f"{len(jars)} jars"
    reason, hint = _reason_and_hint(cause)
    return RuntimeMissingError(
        f"cannot fetch {what} ({human_size(missing_bytes)}) from Maven Central: {reason}",
        hint=hint,
        code="cannot_fetch",
        details={"missing_bytes": missing_bytes, "jars": [jar.file_name for jar in jars], "cause": str(cause)},
    )


def _reason_and_hint(cause: Exception | None) -> tuple[str, str]:
    from requests.exceptions import ProxyError, SSLError  # noqa: PLC0415 - see above

    reason, hint = "no connection", _OFFLINE
    match cause:
        case None:
            reason = "nothing comes"
        case OSError(strerror=str() as refusal):
            # Errors of requests are OSErrors too, but have no strerror.
            reason, hint = refusal.lower(), "Fix that, then run 'kraftd setup'."
        case SSLError() if "CERTIFICATE" in str(cause):
            reason, hint = "the certificate of the repository, or of a proxy, is not trusted", _UNTRUSTED
        case ProxyError():
            reason, hint = f"the proxy refuses: {_innermost(cause)}", "Check HTTPS_PROXY, then run 'kraftd setup'."
        case OSError() if _NO_BUNDLE in str(cause):
            reason, hint = str(cause).replace("Could", "could", 1), _UNTRUSTED
        case Exception() if not isinstance(cause, OSError):
            reason = "the repository does not serve it"
    return reason, hint


def _innermost(error: Exception) -> str:
    """Return what a proxy says, which urllib3 wraps three times."""
    reason = getattr(error.args[0] if error.args else None, "reason", error)
    return str(getattr(reason, "original_error", reason))
