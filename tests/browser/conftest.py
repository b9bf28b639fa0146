"""The real stack and a real browser, for the whole session."""

import tempfile
from pathlib import Path

import pytest

from tests.browser.chromium import Chromium
from tests.harness import free_port
from tests.kafka.app_processes import Apps, own_topic


@pytest.fixture(scope="session")
def chromium():
    with tempfile.TemporaryDirectory() as profile:
        browser = Chromium(Path(profile), free_port())
        try:
            browser.start()
            yield browser
        finally:
            browser.stop()


@pytest.fixture(scope="session")
def stack(cluster, tmp_path_factory):
    """Apps on a topic of their own: what other tests wrote would arrive between these tests' records."""
    apps = Apps(tmp_path_factory.mktemp("apps"), cluster.bootstrap_servers, own_topic(cluster.bootstrap_servers))
    yield apps
    apps.kill()


@pytest.fixture(scope="session")
def producer(stack):
    return stack.start_ready("producer")


@pytest.fixture(scope="session")
def consumer(stack, producer):
    return stack.start_ready("consumer", APP_PRODUCER_URL=producer.url)


@pytest.fixture
def browser(chromium):
    """Yield a browser that stands as a new one does; its pages must not have complained."""
    chromium.resize(1280, 900)
    chromium.prefer("light")
    chromium.console()
    yield chromium
    chromium.command("Emulation.setScriptExecutionDisabled", value=False)
    assert chromium.console() == []
