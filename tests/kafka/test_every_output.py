"""Text of other clients in every output of a real cluster: commands and routes.

Records, groups, clients and commits have texts that act on what shows them. The commands come from the command line and
the routes from the servers' own descriptions: a new one is covered, or fails `tests/unit/cli/test_outside_text.py`.
"""

import contextlib
import json
import os
import pty
import re
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from kraftd.escapes import named
from tests import forked
from tests.commands import SHOWING, commands
from tests.harness import Cluster, eventually
from tests.kafka.app_processes import own_topic
from tests.kafka.routes import LIVE, routes_of
from tests.unit.hostile import CONTROL, TEXTS

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

HOSTILE = "".join(TEXTS.values())
UNKNOWN = "no\x1b[2J\x07\n\x9b\u202e[red]such"
"""As HOSTILE, but without NUL, which no argument can hold."""
SHOWN = named(HOSTILE.replace("\0", ""))[:20]
NAMING = ("explain lag", "groups describe", "groups list", "groups reset", "lag", "tail")
"""Commands that show the hostile texts, so that the scene is known to reach them."""
COLUMNS = 4000
SLOWEST_S = 60.0
AT_ONCE = 3
ACTING = {"text/html": CONTROL, "application/json": re.compile("[\x00-\x1f]")}
"""What must not be in an answer: in JSON, what is not in the way of a parser is data; Prometheus' format is exact."""
AS_IT_IS = ("application/octet-stream",)
"""Downloads: the bytes of a record."""


@dataclass(frozen=True)
class Scene:
    """A topic of hostile records, which a group with a hostile name and a live member reads."""

    topic: str
    group: str
    directory: Path

    def arguments(self, words: tuple[str, ...]) -> list[str]:
        values = {
            "topic": self.topic,
            "group": named(self.group),
            "text": UNKNOWN,
            "unknown": UNKNOWN,
            "target": str(self.directory / "backups"),
            "export": str(self.directory / "export.json"),
        }
        return [word.format(**values) for word in words]


def write(cluster, topic):
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, "client.id": HOSTILE.replace("\0", "")})
    # A header name ends at a NUL.
    headers = [(HOSTILE.replace("\0", ""), HOSTILE.encode()), ("none", None), ("", b"")]
    for key, value in ((HOSTILE, HOSTILE), (None, None), ("\0", "\x1b[2J")):
        producer.produce(topic, value, key, partition=0, headers=headers)
    assert producer.flush(20) == 0


@contextlib.contextmanager
def member(cluster, topic, group):
    """Keep a member of a group that has committed, and reads no further."""
    client = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "group.id": group,
            "client.id": group,
            "enable.auto.commit": False,
        }
    )
    place = TopicPartition(topic, 0, 1, metadata=HOSTILE.replace("\0", ""))
    client.commit(offsets=[place], asynchronous=False)
    ended, assigned = threading.Event(), threading.Event()
    client.subscribe([topic], on_assign=lambda *_: assigned.set())

    def poll():
        # On one thread: asked for anything by another one meanwhile, the client may hang.
        while not ended.is_set():
            client.poll(0.2)
        client.close()

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        assert assigned.wait(40)
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture(scope="module")
def scene(cluster, tmp_path_factory):
    topic, group = own_topic(cluster.bootstrap_servers), f"{uuid.uuid4()}{HOSTILE}".replace("\0", "")
    write(cluster, topic)
    write(cluster, "test-topic")
    with member(cluster, topic, group):
        found = Scene(topic, group, tmp_path_factory.mktemp("outputs"))
        eventually(lambda: group in group_names(cluster), within_s=40)
        exported = cluster.run("groups", "export", named(group), check=True)
        (found.directory / "export.json").write_text(exported.stdout.replace(group[:8], "imported"))
        cluster.run("backup", "create", str(found.directory / "backups"), "--topic", topic, check=True)
        yield found
    # One that is closed within a rebalance does not leave: Kafka ends its session.
    eventually(lambda: cluster.run("groups", "delete", named(group), "--yes").status == 0, within_s=90)
    cluster.run("topics", "delete", topic, "--yes", check=True)


def group_names(cluster):
    return {each["group"] for each in cluster.run("health", "--json").document["groups"] or ()}


def on_a_terminal(cluster: Cluster, words: list[str]) -> tuple[int, str]:
    """Return the exit status of a command, and what it shows on a terminal that moves no cursor."""
    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "dumb", "NO_COLOR": "1", "COLUMNS": str(COLUMNS), "LINES": "999"}
    with (
        FileIO(controller) as reader,
        FileIO(terminal, "r+") as writer,
        Path(os.devnull).open() as nothing,
        forked.forked(
            cluster.arguments(*words),
            cwd=cluster.state_dir.parent,
            environ={**environment, **cluster.environ},
            streams=(nothing.fileno(), terminal, terminal),
        ) as command,
    ):
        writer.close()
        try:
            (shown,) = forked.read_to_end(reader.fileno(), within_s=SLOWEST_S)
            status = command.wait(SLOWEST_S)
        except TimeoutError:
            return -signal.SIGKILL, f"hangs for {SLOWEST_S:g} s"
    return status, shown.decode(errors="replace").replace("\r\n", "\n")


def test_no_text_of_other_clients_acts_on_a_terminal(cluster, scene, capsys):
    cases = [(command, words) for command in commands() for words in SHOWING.get(command, ())]

    def fault(case):
        command, words = case
        status, shown = on_a_terminal(cluster, [*command.split(), *scene.arguments(words)])
        if found := CONTROL.search(shown.replace("\n", "")):
            return f"{command} {words}: {found[0]!r} in {shown[-600:]!r}"
        # That of the command: before one in a log that it shows, there stands which program wrote it.
        if traceback := re.search("^Traceback", shown, re.MULTILINE):
            at = traceback.start()
            return f"{command} {words}: {shown[max(0, at - 600) : at + 3000]}"
        if status < 0 or not shown:
            return f"{command} {words}: status {status}: {shown[-600:]!r}"
        if command in NAMING and not {"{unknown}", "--hex"} & {*words} and SHOWN not in shown:
            return f"{command} {words}: does not show what it was to show: {shown[-600:]!r}"
        return None

    began_s = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = [each for each in pool.map(fault, cases) if each]
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(cases)} commands with text from outside, {len(found)} faults, {time.monotonic() - began_s:.1f} s\n"
        )
    assert not found, "\n".join(found)


def body_of(url):
    """Return the content type and the body of an answer; of a stream, what comes first."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            kind = answer.headers["Content-Type"] or ""
            return kind, (answer.read1(1 << 20) if kind.startswith("text/event-stream") else answer.read())
    except urllib.error.HTTPError as error:
        return error.headers["Content-Type"] or "", error.read()


@pytest.mark.parametrize("server", LIVE)
def test_no_text_of_other_clients_acts_on_what_reads_a_route(cluster, scene, server):
    faults, kinds = [], set()
    for route in routes_of(cluster, server):
        if route.method != "GET":
            continue
        kind, body = body_of(cluster.url(server, route.path))
        kinds.add(kind.split(";")[0])
        if kind in AS_IT_IS:
            continue
        text = body.decode()
        if (acts := ACTING.get(kind.split(";")[0])) and (found := acts.search(re.sub("[\n\t]", "", text))):
            faults.append(f"{route.path}: {found[0]!r} at {text[max(0, found.start() - 80) : found.end() + 80]!r}")
        if kind.startswith("text/html") and TEXTS["markup of a page"][:16] in text:
            faults.append(f"{route.path}: markup of a record")
        if "json" in kind:
            json.loads(text)
    assert not faults, "\n".join(faults)
    assert {"application/json", "text/html"} <= kinds
