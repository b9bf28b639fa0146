"""Every command of the command line in every odd surrounding: commands x surroundings, and their faults.

The commands come from the command line itself, so that a new one is covered without a change here.
"""

import contextlib
import fcntl
import functools
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path

import pytest

from kraftd.errors import ConfigurationError
from tests import forked
from tests.commands import commands, needed_arguments
from tests.harness import Cluster
from tests.integration.formatted import format_cluster, write_logs
from tests.integration.refusals import OFFLINE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

DOCUMENTED = {0, 1, 2, 3, 4, 5, 6, 7, 8, 124, 126, 127, 130, 141}
HANG_S = 60.0
AT_ONCE = 4

ARGUMENTS = {
    "wait": ["--timeout", "100ms"],
    "why": ["broker-1"],
    "explain lag": ["g\x1b[31m"],
    "exec": ["--", "true"],
    "kafka": ["nosuchtool"],
    "scale": ["--brokers", "3", "--dry-run"],
    "upgrade": ["--to", "4.3", "--dry-run"],
    "lag": ["-g", "g\x1b[31m"],
    "backup create": ["x\x1b[31m"],
    "backup prune": ["x\x1b[31m", "--keep", "1"],
}
"""What a command is given; others are given an argument where they need one. Nothing is started, removed or fetched."""

EXACT = ("logs",)
"""Lines that are exact where another program reads them; escaped on a terminal (test_terminals.py)."""

SURROUNDINGS: dict[str, dict[str, str | None]] = {
    "no HOME": {"HOME": None},
    "empty HOME": {"HOME": "", "XDG_CACHE_HOME": ""},
    "HOME that is not a directory": {"HOME": "/dev/null/x"},
    "read-only HOME": {"HOME": "/proc"},
    "relative HOME": {"HOME": "relative/dir", "XDG_STATE_HOME": "relative"},
    "removed working directory": {"_": "mkdir gone; cd gone; rmdir ../gone;"},
    "odd time zone": {"TZ": ":../../dev/null"},
    "far time zone": {"TZ": "<-1130>11:30"},
    "LANG=C": {"LANG": "C", "LC_ALL": "C"},
    "unknown locale": {"LANG": "tr_TR.ISO-8859-9", "LC_ALL": "x\udcff"},
    "ASCII": {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "POSIX"},
    "TERM=dumb": {"TERM": "dumb"},
    "unknown TERM": {"TERM": "../x", "TERMINFO": "/dev/null"},
    "no columns": {"COLUMNS": "0", "LINES": "0"},
    "odd columns": {"COLUMNS": "-5", "LINES": "many"},
    "colours": {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "GITHUB_ACTIONS": "1"},
    "both colours and none": {"FORCE_COLOR": "", "NO_COLOR": "1", "TTY_COMPATIBLE": "1"},
    "no PATH": {"PATH": None},
    "variables of other programs": {
        **dict.fromkeys(("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "KAFKA_OPTS", "KAFKA_HEAP_OPTS"), "-Xnone"),
        **dict.fromkeys(("http_proxy", "HTTPS_PROXY", "all_proxy"), "http://127.0.0.1:1"),
        **dict.fromkeys(("PYTHONPATH", "PYTHONSTARTUP", "CLASSPATH", "LD_LIBRARY_PATH"), "/dev/null/x"),
        **dict.fromkeys(("XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"), "relative"),
    },
    "odd parent": {"_": "umask 0; trap '' CHLD HUP INT PIPE; ulimit -f 100; ulimit -s 512;", "LD_PRELOAD": "/none.so"},
    "unknown user": {"HOME": None, "XDG_CACHE_HOME": None, "XDG_STATE_HOME": None},
}
OF_A_PROCESS = {"removed working directory", "LANG=C", "unknown locale", "ASCII", "odd parent", "unknown user"}
"""Surroundings that only a process of its own can have: its interpreter starts with them."""
UNKNOWN_USER = ("unshare", "-U", "--map-user=12345")
STREAMS = {
    "pipes": "",
    "closed stdout": ">&-",
    "full stdout": ">/dev/full",
    "reader that is gone": "",
    "closed stdin and stderr": "<&- 2>&-",
    "all closed": "<&- >&- 2>&-",
}
UNWRITABLE = ("closed stdout", "full stdout")
LATE, UNBLOCKING, LEAVING = "full pipe, late reader", "full pipe that does not block", "full pipe, reader that leaves"
SLOW = (LATE, UNBLOCKING, LEAVING)
PIPE_BYTES = 4096
LATE_S = 0.5
PLACES = (
    "plain",
    "spa ce",
    "quo'te",
    'quo"te',
    "100%s %(here)s",
    "$HOME;`id`",
    "\xfcml\xe4ut\u4e2d",
    "-dash",
    "esc\x1b[31m",
)

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
COLOUR = re.compile(r"\x1b\[[\d;]*m")


@dataclass(frozen=True)
class Case:
    """One command in one surrounding."""

    command: str
    surrounding: str
    stream: str
    place: str
    as_json: bool


def cases() -> list[Case]:
    """Return the cases: each command with streams, and pairs of all else over the commands."""
    surroundings = list(SURROUNDINGS)
    others = [each for each in STREAMS if each not in UNWRITABLE]

    def streams(number: int) -> tuple[str, ...]:
        further = () if number % 4 else (others[number // 4 % len(others)],)
        return (*UNWRITABLE, SLOW[number % len(SLOW)], *further)

    return [
        Case(
            command,
            surroundings[(turn * 7 + number * 5) % len(surroundings)],
            stream,
            PLACES[(turn * 3 + number // 2) % len(PLACES)],
            as_json=(turn // 2 + number) % 2 == 0,
        )
        for number, command in enumerate(commands())
        for turn, stream in rotated(list(enumerate(streams(number))), number)
    ]


def rotated(items: list[tuple[int, str]], places: int) -> list[tuple[int, str]]:
    first = places % len(items)
    return [*items[first:], *items[:first]]


def processes(every: list[Case]) -> set[Case]:
    """Return the cases that are processes of their own; the others are forked (tests/forked.py).

    They meet every command, surrounding and stream, and one command after the other another stream first.
    """
    chosen, met = set(), set[str]()
    for case in sorted(every, key=lambda each: each.surrounding not in OF_A_PROCESS):
        parts = {case.command, case.surrounding, case.stream}
        if case.surrounding in OF_A_PROCESS or not parts <= met:
            chosen.add(case)
            met |= parts
    return chosen


@functools.cache
def unknown_user() -> tuple[str, ...]:
    """Return what runs a command as a user whom the system does not know; empty where it cannot."""
    return (
        UNKNOWN_USER
        if subprocess.run([*UNKNOWN_USER, "true"], check=False, capture_output=True).returncode == 0
        else ()
    )


def fill(writer: FileIO, *, blocks: bool) -> int:
    """Fill a pipe; returns how many bytes that took."""
    filled = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    assert writer.write(b"." * filled) == filled
    os.set_blocking(writer.fileno(), blocks)
    return filled


@contextlib.contextmanager
def begun(
    case: Case, cluster: Cluster, directory: Path, output: int, complaint: int, *, is_forked: bool
) -> Iterator[Callable[[float], int]]:
    """Begin a command whose output and complaints go to two descriptors; yields what waits for its status."""
    variables = {**os.environ, **OFFLINE, "PYTHONSAFEPATH": "1", **SURROUNDINGS[case.surrounding]}
    shell = variables.pop("_", "") if "_" in SURROUNDINGS[case.surrounding] else ""
    environ = {name: value for name, value in variables.items() if value is not None}
    command = [*case.command.split(), *(ARGUMENTS.get(case.command) or needed_arguments(case.command))]
    arguments = cluster.arguments(*(["--json"] if case.as_json else []), *command)
    redirection = STREAMS.get(case.stream, "")
    if is_forked:
        with Path(os.devnull).open() as nothing, Path("/dev/full").open("w") as full:
            words = redirection.split()
            stdout = full.fileno() if ">/dev/full" in words else output
            streams = [
                None if closed in words else stream
                for closed, stream in (("<&-", nothing.fileno()), (">&-", stdout), ("2>&-", complaint))
            ]
            with forked.forked(arguments, cwd=directory, environ=environ, streams=streams) as running:
                yield running.wait
        return
    prefix = unknown_user() if case.surrounding == "unknown user" else ()
    with subprocess.Popen(
        ["/bin/sh", "-c", f"{shell} exec {shlex.join([*prefix, *arguments])} {redirection}"],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=complaint,
        cwd=directory,
        env=environ,
    ) as process:
        try:
            yield process.wait
        finally:
            process.kill()


def run(cluster: Cluster, case: Case, directory: Path, *, is_forked: bool) -> tuple[int, str, str]:
    """Return the status, stdout and stderr of a case; the command never gets further than to what it lacks."""
    directory.mkdir()
    with forked.pipe() as (output, output_end), forked.pipe() as (complaint, complaint_end):
        filled = fill(output_end, blocks=case.stream != UNBLOCKING) if case.stream in SLOW else 0
        ends = (output_end.fileno(), complaint_end.fileno())
        with begun(case, cluster, directory, *ends, is_forked=is_forked) as wait:
            output_end.close()
            complaint_end.close()
            if case.stream in SLOW:
                time.sleep(LATE_S)
            if case.stream in ("reader that is gone", LEAVING):
                output.close()
            readers = [each.fileno() for each in (output, complaint) if not each.closed]
            try:
                *read, told = forked.read_to_end(*readers, within_s=HANG_S)
                status = wait(HANG_S)
            except (TimeoutError, subprocess.TimeoutExpired):
                return 999, "", f"hangs for {HANG_S:g} s"
    return status, b"".join(read)[filled:].decode(errors="replace"), told.decode(errors="replace")


def faults_of(case: Case, status: int, output: str, complaint: str) -> Iterator[str]:
    """Yield what is wrong with how a command ended."""
    if status not in DOCUMENTED:
        yield f"status {status}: {complaint[-300:]}"
    if "Traceback" in output + complaint or "Exception ignored" in complaint:
        yield f"a traceback: {complaint[-600:]}"
    for text in () if case.command in EXACT else (output, complaint):
        if found := CONTROL.search(COLOUR.sub("", text) if case.surrounding == "colours" else text):
            yield f"a control character: {text[max(0, found.start() - 60) : found.end() + 60]!r}"
    is_read = case.stream in ("pipes", LATE, UNBLOCKING)
    if status and not output + complaint and is_read:
        yield f"status {status} without a word"
    if case.as_json and case.command not in ("exec", "kafka", "--help", "--version") and is_read:
        try:
            documents = [json.loads(output)]
        except ValueError:
            with contextlib.suppress(ValueError):
                documents = [json.loads(line) for line in output.splitlines()]
                return
            yield f"no JSON document: {output[:300]!r}"
            return
        if status not in (0, 1, 3) and documents[0].get("ok") is not False:
            yield f"status {status}, and the document says otherwise: {output[:200]}"


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Return a formatted cluster, which never ran, in each of the odd places."""
    root, found = tmp_path_factory.mktemp("p"), {}
    plain = Cluster(root / PLACES[0], settings={"java.home": "/nowhere"})
    for place in PLACES:
        found[place] = replace(plain, state_dir=root / place)
        # Java takes no place with a double quote; that is said.
        with contextlib.suppress(ConfigurationError):
            write_logs(format_cluster(replace(found[place], settings={})))
    return found


def test_every_command_ends_as_documented_in_every_surrounding(places, tmp_path, capsys):
    def faults(numbered: tuple[int, Case]) -> list[str]:
        number, case = numbered
        ended = run(places[case.place], case, tmp_path / str(number), is_forked=case not in started)
        return [f"{case}: {each}" for each in faults_of(case, *ended)]

    every = cases()
    started = processes(every)
    began_s = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = [fault for each in pool.map(faults, enumerate(every)) for fault in each]
    took_s = time.monotonic() - began_s

    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(commands())} commands, {len(every)} surroundings, {len(started)} of them processes, "
            f"{len(found)} faults, {took_s:.1f} s\n"
        )
    assert not found, "\n".join(found)
    assert {case.command for case in started} == set(commands())
    met = {(case.command, case.stream) for case in every}
    assert met >= {(name, each) for name in commands() for each in UNWRITABLE}
    assert {case.command for case in every if case.stream in SLOW} == set(commands())
    for each in (every, started):
        assert {case.stream for case in each} == {*STREAMS, *SLOW}
        assert {case.surrounding for case in each} == set(SURROUNDINGS)
    assert all(cluster.processes() == [] for cluster in places.values())
