"""The producer as several processes behind one port."""

import os
import signal
import time

import psutil
import pytest

from tests.harness import eventually
from tests.kafka.app_processes import Apps, own_topic
from tests.kafka.writers import PostingWriters, read_log

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]


@pytest.fixture
def apps(cluster, tmp_path):
    own = Apps(tmp_path, cluster.bootstrap_servers, own_topic(cluster.bootstrap_servers))
    yield own
    own.kill()


def workers(app):
    return psutil.Process(app.process.pid).children()


def requests_by_worker(app):
    found = {}
    for line in app.request("/metrics")[1].decode().splitlines():
        if line.startswith("http_requests_total") and 'route="/send"' in line:
            worker = line.partition('worker="')[2][0]
            found[worker] = found.get(worker, 0) + float(line.split()[1])
    return found


@pytest.mark.perf
def test_every_200_is_in_the_log_when_a_worker_is_killed_and_when_all_are_stopped_under_load(apps, cluster):
    producer = apps.start_ready("producer", APP_WORKERS="2")
    writers = PostingWriters(producer)
    writers.start()
    eventually(lambda: len(writers.acknowledged) > 200)
    eventually(lambda: len(requests_by_worker(producer)) == 2)

    killed = workers(producer)[0]
    killed.kill()
    eventually(lambda: killed not in workers(producer) and len(workers(producer)) == 2)
    before = len(writers.acknowledged)
    eventually(lambda: len(writers.acknowledged) > before + 200)

    pids = [worker.pid for worker in workers(producer)]
    status, took_s = producer.stop()
    writers.stop()
    assert (status, took_s < 3.0) == (0, True)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert writers.acknowledged
    writers.check(read_log(cluster.bootstrap_servers, apps.topic))


def test_the_workers_end_with_their_parent_however_that_ends(apps):
    producer = apps.start_ready("producer", APP_WORKERS="2")
    children = workers(producer)
    os.kill(producer.process.pid, signal.SIGKILL)
    producer.process.wait(10)
    gone, left = psutil.wait_procs(children, timeout=10)
    assert (len(gone), left) == (2, [])
    again = apps.start("producer", APP_WORKERS="2", APP_PORT=str(producer.port))
    eventually(again.is_ready)


@pytest.mark.perf
def test_a_port_that_is_taken_and_settings_that_cannot_work_end_the_parent_at_once(apps):
    first = apps.start_ready("producer", APP_WORKERS="2")
    second = apps.start("producer", APP_WORKERS="2", APP_PORT=str(first.port))
    wrong = apps.start("producer", APP_WORKERS="2", KAFKA_CLIENT_CONFIG='{"no.such": 1}')
    begun_s = time.monotonic()
    assert (second.process.wait(10), wrong.process.wait(10)) == (1, 2)
    assert time.monotonic() - begun_s < 5
    assert f"cannot listen on 127.0.0.1 port {first.port}" in second.log.read_text()
