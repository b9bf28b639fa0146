"""Both apps under a fuzzer that reads their own descriptions."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kafka.app_processes import Apps, own_topic

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def apps(cluster, tmp_path_factory):
    own = Apps(tmp_path_factory.mktemp("apps"), cluster.bootstrap_servers, own_topic(cluster.bootstrap_servers))
    try:
        own.start_ready("producer")
        own.start_ready("consumer", APP_PRODUCER_URL=own.running[0].url)
        yield own
    finally:
        own.kill()


@pytest.mark.parametrize("number", [0, 1], ids=["producer", "consumer"])
def test_every_request_of_the_description_or_against_it_is_answered_as_described(apps, number):
    app = apps.running[number]
    for value in range(20):
        assert apps.running[0].request("/send?partition=0", b"%d" % value)[0] == 200
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            *("run", f"{app.url}/openapi.json", "--max-examples=100", "--seed=1", "--no-color"),
            "--phases=examples,coverage,fuzzing",
            # Its answer never ends.
            "--exclude-path=/events",
            # A partition that the schema allows and the topic lacks is rightly refused.
            *("--checks=all", "--exclude-checks=positive_data_acceptance"),
        ],
        cwd=apps.directory,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert app.is_alive()
    assert "failed" not in app.log.read_text()
