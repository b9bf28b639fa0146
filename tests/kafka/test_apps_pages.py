"""Open pages and several members, at the level of processes and connections."""

import json
import socket
from pathlib import Path

import pytest

from tests.harness import eventually
from tests.kafka.app_processes import Apps, own_topic
from tests.kafka.members import all_owned, own_partitions, standing_by

pytestmark = pytest.mark.kafka


@pytest.fixture
def apps(cluster, tmp_path):
    """Apps on a topic of the test's own: what another test wrote would arrive first."""
    own = Apps(tmp_path, cluster.bootstrap_servers, own_topic(cluster.bootstrap_servers))
    yield own
    own.kill()


class Page:
    """An open event stream, closed at the end of a block."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __init__(self, app, last_event_id=""):
        self._connection = socket.create_connection(("127.0.0.1", app.port), timeout=30)
        reconnect = f"Last-Event-ID: {last_event_id}\r\n" if last_event_id else ""
        self._connection.sendall(f"GET /events HTTP/1.1\r\nHost: localhost\r\n{reconnect}\r\n".encode())
        self._lines = self._connection.makefile("rb")
        self.last_event_id = last_event_id

    def next(self, wanted: str) -> dict:
        """Return the data of the next event of a kind."""
        name = ""
        while line := self._lines.readline():
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if field == "event":
                name = value
            elif field == "id":
                self.last_event_id = value
            elif field == "data" and name == wanted:
                return json.loads(value)
        raise AssertionError(f"the stream ended before {wanted}")

    def close(self):
        self._lines.close()
        self._connection.close()


def offsets(data):
    return [(message["partition"], message["offset"]) for message in data["messages"]]


def place(sent):
    return (sent["partition"], sent["offset"])


def test_a_page_that_comes_back_misses_nothing_and_sees_nothing_twice(apps):
    producer, consumer = apps.start_ready("producer"), apps.start_ready("consumer")
    page = Page(consumer)
    first = producer.json("/send", b"1")
    while place(first) not in offsets(page.next("messages")):
        pass
    page.close()
    # In one partition: across partitions records have no order.
    missed = [place(producer.json("/send?partition=0", b"2")) for _ in range(3)]
    eventually(lambda: missed[-1] in {place(m) for m in consumer.json("/api/messages")["messages"]})
    again = Page(consumer, page.last_event_id)
    assert offsets(again.next("messages")) == missed
    again.close()


@pytest.mark.perf
def test_the_app_ends_within_a_second_with_pages_open_and_says_goodbye(apps):
    consumer = apps.start_ready("consumer")
    pages = [Page(consumer) for _ in range(5)]
    status, took_s = consumer.stop()
    assert (status, took_s < 1.0) == (0, True)
    for page in pages:
        assert page.next("bye") == {}
        page.close()


def test_a_page_that_never_reads_slows_no_other_and_costs_bounded_memory(apps):
    producer, consumer = apps.start_ready("producer"), apps.start_ready("consumer")
    stuck, reading = Page(consumer), Page(consumer)
    batch = b"\n".join([b'"%s"' % (b"x" * 8000)] * 100)
    for _ in range(20):
        assert producer.request("/send/batch", batch)[0] == 200
    # A frame has the newest 50 records only. The record that arrives last is never left out, and ends a partition.
    marks = {place(producer.json(f"/send?partition={number}", b'"mark"')) for number in range(4)}
    while not marks & set(offsets(reading.next("messages"))):
        pass
    resident_kb = int(next(line.split()[1] for line in status_of(consumer) if line.startswith("VmRSS")))
    assert resident_kb < 250_000
    status, took_s = consumer.stop()
    assert (status, took_s < 10) == (0, True)
    stuck.close()
    reading.close()


def status_of(app):
    return Path(f"/proc/{app.process.pid}/status").read_text().splitlines()


def test_members_share_the_partitions_and_a_spare_one_stands_by_and_takes_over(apps):
    members = [apps.start_ready("consumer") for _ in range(2)]

    eventually(lambda: all_owned(members) and not standing_by(members))
    members += [apps.start("consumer") for _ in range(3)]
    eventually(lambda: all(member.is_ready() for member in members))
    eventually(lambda: all_owned(members) and len(standing_by(members)) == 1)
    assert "On standby" in standing_by(members)[0].request("/")[1].decode()
    busy = next(member for member in members if own_partitions(member))
    busy.stop()
    members.remove(busy)
    eventually(lambda: all_owned(members) and not standing_by(members))


def test_two_apps_on_one_port_is_a_clear_error(apps):
    first = apps.start_ready("consumer")
    second = apps.start("consumer", APP_PORT=str(first.port))
    assert second.process.wait(20) == 1
    assert f"cannot listen on 127.0.0.1 port {first.port}" in second.log.read_text()


@pytest.mark.parametrize("module", ["producer", "consumer"])
def test_a_client_property_that_does_not_exist_ends_the_app_at_once(apps, module):
    wrong = apps.start(module, KAFKA_CLIENT_CONFIG='{"no.such": 1}')
    assert wrong.process.wait(20) == 2
    assert "KAFKA_CLIENT_CONFIG" in wrong.log.read_text()


def test_every_metric_of_lag_falls_to_nothing_when_all_is_read(apps):
    producer, consumer = apps.start_ready("producer"), apps.start_ready("consumer")
    for partition in range(4):
        producer.request(f"/send?partition={partition}", b"1")

    def lag():
        text = consumer.request("/metrics")[1].decode()
        lines = [line for line in text.splitlines() if line.startswith("kafka_consumer_lag_records{")]
        return sum(float(line.split()[-1]) for line in lines) if len(lines) == 4 else None

    eventually(lambda: lag() == 0, within_s=30)
