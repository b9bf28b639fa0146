"""The commands on topics, groups and records, on real brokers."""

import json
import signal
import subprocess

import pytest

from tests.harness import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]


@pytest.fixture
def topic(cluster):
    """A topic of the test's own, with two partitions."""
    cluster.run("topics", "create", "data-1", "-p", "2", "--retention", "7d", check=True)
    yield "data-1"
    cluster.run("topics", "delete", "data-1", "--yes")
    # The next test makes it again.
    eventually(
        lambda: not any("data-1" in each.topics for each in cluster.metadata()), what="no broker knows the topic"
    )


def test_a_topic_is_created_altered_cleared_and_deleted(cluster, topic):
    again = cluster.run("topics", "create", topic, "-p", "2", "--if-missing", "--json", check=True)
    altered = cluster.run(
        "topics", "alter", topic, "-p", "3", "--config", "segment.bytes=1048576", "--json", check=True
    )
    asked = cluster.run("topics", "alter", topic, "--retention", "1h", "--json")
    unknown = cluster.run("topics", "alter", topic, "--config", "segment.bites=1", "--json")
    cleared = cluster.run("topics", "clear", topic, "--yes", "--json", check=True)
    described = eventually(
        lambda: described_with(cluster, topic, partitions=3), what="every broker knows the partition"
    )
    refused = cluster.run("topics", "delete", topic, "--json")
    deleted = cluster.run("topics", "delete", topic, "--yes", "--json", check=True)
    gone = eventually(lambda: undescribed(cluster, topic), what="every broker knows that it is gone")

    assert again.document["created"]["existed"]
    assert altered.document["altered"]["partitions"] == 3
    assert (asked.status, asked.error["code"]) == (2, "not_confirmed")
    assert (unknown.status, "segment.bytes" in unknown.error["hint"]) == (2, True)
    assert cleared.document["offsets"] == 0
    assert (described["config"]["segment.bytes"], described["config"]["retention.ms"]) == ("1048576", "604800000")
    assert [len(each["in_sync"]) for each in described["partitions"]] == [2, 2, 2]
    assert (refused.status, refused.error["code"]) == (2, "not_confirmed")
    assert deleted.document["deleted"][0]["topic"] == topic
    assert (gone.status, gone.error["details"]["unknown"]) == (4, [topic])


def described_with(cluster, topic, *, partitions):
    """Return a topic whose replicas are all in sync once a broker tells so many partitions; None until then."""
    (described,) = cluster.run("topics", "describe", topic, "--json", check=True).document["topics"]
    in_sync = [len(each["in_sync"]) for each in described["partitions"]]
    return described if in_sync == [2] * partitions else None


def undescribed(cluster, topic):
    """Return the refusal of a describe; None while a broker still knows the topic."""
    done = cluster.run("topics", "describe", topic, "--json")
    return done if done.status else None


def test_declared_topics_are_created_grown_and_deleted_by_the_same_file_only(cluster, topic, tmp_path):
    file, made = tmp_path / "topics.toml", '[[topic]]\nname = "data-2"\n'
    file.write_text(f'{made}partitions = 2\n[[topic]]\nname = "{topic}"\npartitions = 3\n')
    applied = cluster.run("topics", "apply", str(file), "--yes", "--json", check=True).document
    again = cluster.run("topics", "apply", str(file), "--json", check=True).document
    file.write_text(f'[[topic]]\nname = "{topic}"\npartitions = 2\n')
    fewer = cluster.run("topics", "apply", str(file), "--yes", "--json")
    file.write_text(made.replace("data-2", "data-3"))
    asked = cluster.run("topics", "apply", str(file), "--delete-undeclared", "--json")
    file.write_text(f'[[topic]]\nname = "{topic}"\n')
    deleted = cluster.run("topics", "apply", str(file), "--delete-undeclared", "--yes", "--json", check=True).document

    assert ([each["topic"] for each in applied["created"]], again["created"]) == (["data-2"], [])
    assert (applied["altered"][0]["partitions"], again["altered"]) == (3, [])
    assert (fewer.status, fewer.error["code"]) == (8, "cannot_be_changed")
    assert (asked.status, asked.error["code"]) == (2, "not_confirmed")
    assert [each["topic"] for each in deleted["deleted"]] == ["data-2"]


def test_topics_of_kafka_and_kraftd_are_protected_and_listed(cluster):
    listed = cluster.run("topics", "--json", check=True).document["topics"]
    refused = cluster.run("topics", "delete", "__kraftd_probe", "--yes", "--json")

    assert "__kraftd_probe" in {each["topic"] for each in listed}
    assert (refused.status, refused.error["code"]) == (8, "protected_topic")


def test_offsets_of_a_group_are_imported_reset_and_deleted_but_not_of_an_active_one(cluster, topic, tmp_path):
    offsets = [{"topic": topic, "partition": index, "offset": 7} for index in (0, 1)]
    file = tmp_path / "offsets.json"
    file.write_text(json.dumps({"schema_version": 1, "groups": [{"group": "data-group", "offsets": offsets}]}))
    imported = cluster.run("groups", "import", str(file), "--yes", "--json", check=True)
    reset = cluster.run("groups", "reset", "data-group", "--to", "latest", "--json")
    exported = cluster.run("groups", "export", "data-group", check=True).document["groups"]
    active = cluster.run("groups", "reset", "test-group", "--topic", topic, "--to", "earliest", "--yes", "--json")
    deleted = cluster.run("groups", "delete", "data-group", "--yes", "--json", check=True)

    # The topic is empty, so that 7 is outside.
    assert [move["after"] for move in imported.document["groups"][0]["moved"]] == [0, 0]
    assert (reset.status, reset.document["groups"][0]["moved"]) == (0, [])
    assert exported[0]["offsets"] == [{**each, "offset": 0} for each in offsets]
    assert (active.status, active.error["code"]) == (8, "active_group")
    assert deleted.document["deleted"] == [{"group": "data-group", "offsets": 2}]


def test_records_are_sent_followed_and_printed_as_they_are(cluster, topic):
    following = cluster.spawn("tail", topic, "-f", "--json")
    try:
        sent = send(cluster, topic, b"plain\n\xff\x00\n", "--header", "h=1", "--key", "k")
        seen = [json.loads(following.stdout.readline()) for _ in range(2)]
        following.send_signal(signal.SIGINT)
        complaint = following.communicate(timeout=30)[1]
    finally:
        following.kill()
        following.wait()
    copied = send(cluster, topic, "\n".join(map(json.dumps, seen)).encode(), "--from-json")
    printed = subprocess.run(cluster.arguments("tail", topic, "--key", "k"), capture_output=True, check=True).stdout

    assert (sent["acknowledged"], copied["acknowledged"]) == (2, 2)
    assert {(each["value"], each["value_encoding"]) for each in seen} == {("plain", "utf-8"), ("/wA=", "base64")}
    assert [each["headers"] for each in seen] == [[{"name": "h", "value": "1", "value_encoding": "utf-8"}]] * 2
    assert (following.returncode, complaint) == (130, "")
    assert sorted(printed.splitlines()) == [b"plain", b"plain", b"\xff\x00", b"\xff\x00"]


def test_a_record_is_sent_that_is_as_large_as_the_topic_takes(cluster, topic):
    cluster.run("topics", "alter", topic, "--config", "max.message.bytes=4000000", check=True)
    large = b"x" * 3_000_000

    sent = send(cluster, topic, large)
    printed = subprocess.run(cluster.arguments("tail", topic), capture_output=True, check=True).stdout
    too_large = subprocess.run(cluster.arguments("send", topic), input=large * 2, capture_output=True, check=False)

    assert (sent["acknowledged"], printed) == (1, large + b"\n")
    assert (too_large.returncode, b" topics describe'" in too_large.stderr) == (1, True)


def test_a_reader_that_ends_and_wrong_names_are_no_traceback(cluster, topic):
    send(cluster, topic, b"x" * 100 + b"\n")
    piped = cluster.arguments("tail", topic)
    with subprocess.Popen(piped, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tail:
        tail.stdout.close()
        complaint = tail.stderr.read()
    unknown = cluster.run("send", "data-2", "x", "--json")
    partition = cluster.run("tail", topic, "--partition", "7", "--json")

    assert (tail.returncode, complaint) == (141, b"")
    assert (unknown.status, topic in unknown.error["hint"]) == (4, True)
    assert partition.status == 2


def send(cluster, topic, lines, *arguments):
    """Send the lines of stdin; returns the answer."""
    command = cluster.arguments("send", topic, *arguments, "--json")
    return json.loads(subprocess.run(command, input=lines, capture_output=True, check=True, timeout=60).stdout)
