"""Commands of kraftd that are forked from a process which has imported it: the imports are most of what one costs.

Directory, environment, and standard streams, a closed one too, are those of the command. What an interpreter reads when
it starts, such as the locale, is not: what is about that starts one, and so does ``Cluster.start`` and ``spawn``.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import Any

import kraftd
import kraftd.__main__

_NUMBER = struct.Struct("!i")
_DESCRIPTORS = 256
"""More than the process of which commands are forked has open."""

_LOCK = threading.Lock()

_ELSEWHERE = ("kraftd.daemon", "kraftd.serve", "kraftd.supervisord.__main__")
"""What no command imports."""
_LAZY = (
    "confluent_kafka",
    "kafka",
    "psutil",
    "rich.live",
    "rich.table",
    "urllib.request",
    "xmlrpc.client",
    "zstandard",
)
"""What commands import when they need it. Not typer's own use of rich, which reads the environment once."""


class Forked:
    """A command that was forked."""

    def __init__(self, report: socket.socket) -> None:
        self._report = report
        self.pid = _receive_number(report)
        self._status: int | None = None

    def wait(self, timeout_s: float) -> int:
        """Return its exit status, negative for a signal.

        Raises:
            TimeoutError: It has not ended within the time.
        """
        if self._status is None:
            self._report.settimeout(timeout_s)
            self._status = _receive_number(self._report)
        return self._status

    def end(self) -> None:
        """Kill it where it has not ended."""
        try:
            self.wait(0.001)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


@contextlib.contextmanager
def forked(
    arguments: Sequence[str], *, cwd: Path, environ: Mapping[str, str], streams: Sequence[int | None]
) -> Iterator[Forked]:
    """Run a command; it is killed where it has not ended when the context does.

    Args:
        arguments: As for a process: Python, then ``-m kraftd`` or ``-c`` with a script, and their arguments.
        cwd: The directory in which it runs.
        environ: All of its environment.
        streams: The descriptors for stdin, stdout and stderr; None for one that is closed.
    """
    report, theirs = socket.socketpair()
    with report:
        with theirs:
            request = {"arguments": list(arguments), "cwd": str(cwd), "environ": dict(environ)}
            request["open"] = [number for number, stream in enumerate(streams) if stream is not None]
            _origin().send(request, [theirs.fileno(), *(stream for stream in streams if stream is not None)])
        command = Forked(report)
        try:
            yield command
        finally:
            command.end()


def run(
    arguments: Sequence[str], *, cwd: Path, environ: Mapping[str, str], timeout_s: float
) -> tuple[int, bytes, bytes]:
    """Run a command that is given no input; returns its exit status, stdout and stderr.

    Raises:
        TimeoutError: It, or what it left behind with its output, has not ended within the time.
    """
    with pipe() as (output, output_end), pipe() as (complaint, complaint_end), Path(os.devnull).open() as nothing:
        streams = (nothing.fileno(), output_end.fileno(), complaint_end.fileno())
        with forked(arguments, cwd=cwd, environ=environ, streams=streams) as command:
            output_end.close()
            complaint_end.close()
            stdout, stderr = read_to_end(output.fileno(), complaint.fileno(), within_s=timeout_s)
            return command.wait(timeout_s), stdout, stderr


@contextlib.contextmanager
def pipe() -> Iterator[tuple[FileIO, FileIO]]:
    """Yield the reading and the writing end of a pipe, which are closed at the end."""
    reader, writer = os.pipe()
    with FileIO(reader) as reading, FileIO(writer, "w") as writing:
        yield reading, writing


def read_to_end(*readers: int, within_s: float) -> list[bytes]:
    """Return what pipes and terminals bring until nobody can write into them any more.

    Raises:
        TimeoutError: Somebody still can after that time.
    """
    deadline_s = time.monotonic() + within_s
    found = {reader: bytearray() for reader in readers}
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline_s - time.monotonic()))
            if not ready and time.monotonic() >= deadline_s:
                raise TimeoutError
            for key, _ in ready:
                chunk = b""
                # The end of a terminal is an error.
                with contextlib.suppress(OSError):
                    chunk = os.read(key.fd, 1 << 16)
                found[key.fd] += chunk
                if not chunk:
                    selector.unregister(key.fd)
    return [bytes(each) for each in found.values()]


def _receive_number(connection: socket.socket) -> int:
    received = connection.recv(_NUMBER.size, socket.MSG_WAITALL)
    if len(received) < _NUMBER.size:
        raise EOFError
    return int(_NUMBER.unpack(received)[0])


class _Origin:
    """The process of which commands are forked."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                cwd=Path(__file__).parents[1],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # What ends this process (Ctrl-C, timeout) leaves it commands, to stop what it started.
                process_group=0,
            )
        atexit.register(self.close)

    def send(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        body = json.dumps(request).encode()
        with self._lock:
            socket.send_fds(self._socket, [_NUMBER.pack(len(body))], descriptors)
            self._socket.sendall(body)

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


@functools.cache
def _origin_of_this_process() -> _Origin:
    return _Origin()


def _origin() -> _Origin:
    # A cache alone lets two threads make one each.
    with _LOCK:
        return _origin_of_this_process()


def _import_what_commands_need() -> None:
    for module in pkgutil.walk_packages(kraftd.__path__, "kraftd."):
        if not module.name.startswith(_ELSEWHERE):
            importlib.import_module(module.name)
    for name in _LAZY:
        importlib.import_module(name)


def _serve(requests: socket.socket) -> dict[str, Any] | None:
    """Fork for each request; return the request in the process that is to run it, and None at the end of all."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        head, descriptors, *_ = socket.recv_fds(requests, _NUMBER.size, 4)
        if not head:
            return None
        body = requests.recv(_NUMBER.unpack(head)[0], socket.MSG_WAITALL)
        if os.fork() == 0:
            return _fork_and_report(json.loads(body), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _fork_and_report(request: dict[str, Any], report: int, *streams: int) -> dict[str, Any]:
    """Return in the process of the command; its parent reports its pid and its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        return {**request, "streams": dict(zip(request["open"], streams, strict=True))}
    os.write(report, _NUMBER.pack(pid))
    for stream in streams:
        os.close(stream)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    # Whoever asked may have gone.
    with contextlib.suppress(OSError):
        os.write(report, _NUMBER.pack(status))
    os._exit(0)


def _become(request: dict[str, Any]) -> None:
    """Give this process the surroundings of a command that was started by itself."""
    streams = request["streams"]
    for number in range(3):
        if number in streams:
            os.dup2(streams[number], number)
        else:
            os.close(number)
    os.closerange(3, _DESCRIPTORS)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, closefd=False) if number in streams else None  # noqa: SIM115 it is open to the end
        for number, mode in enumerate("rww")
    )
    os.environ.clear()
    os.environ.update(request["environ"])
    time.tzset()
    os.chdir(request["cwd"])


def _run(python: str, option: str, what: str, *arguments: str) -> None:
    sys.executable = python
    if option == "-c":
        sys.argv = [option, *arguments]
        exec(what, {"__name__": "__main__"})
    else:
        sys.argv = [kraftd.__main__.__file__, *arguments]
        sys.modules["__main__"] = kraftd.__main__
        kraftd.__main__.main()


def _main() -> None:
    _import_what_commands_need()
    gc.freeze()
    requests = socket.socket(fileno=int(sys.argv[1]))
    request = _serve(requests)
    requests.detach()
    if request is not None:
        _become(request)
        _run(*request["arguments"])


if __name__ == "__main__":
    _main()
