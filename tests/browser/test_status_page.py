"""The daemon's status page as people see it, in each state of a real cluster."""

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.needs("chromium", "chromedriver"), pytest.mark.timeout(180)]

VERDICT = "return document.getElementById('content').dataset.status === arguments[0]"
REASON = "return document.querySelector('.reasons')?.textContent.includes(arguments[0])"
IS_LIVE = (
    "return document.getElementById('age').textContent.startsWith('live') && document.getElementById('old').hidden"
)
OLD = "const old = document.getElementById('old'); return !old.hidden && new RegExp(arguments[0]).test(old.textContent)"


def open_live(browser, cluster):
    browser.open(cluster.url("kraftd", "/"))
    browser.until(IS_LIVE, timeout_s=30)


def test_the_page_shows_the_whole_cluster(browser, cluster):
    open_live(browser, cluster)
    browser.until(VERDICT, "ok", timeout_s=30)
    browser.until("return document.querySelectorAll('#topics tbody tr').length >= 2", timeout_s=30)
    browser.until("return document.getElementById('groups').textContent.includes('test-group')", timeout_s=30)

    assert "broker-1" in browser.text("#brokers")
    assert "Leader" in browser.text("#quorum")
    assert browser.run("return document.querySelectorAll('#programs tbody tr').length") == 6
    assert browser.run("return document.querySelectorAll('.charts path').length") == 3
    links = browser.run("return [...document.querySelectorAll('nav a')].map(link => link.href)")
    assert {cluster.url("producer", "/"), cluster.url("consumer", "/")} <= set(links)


def test_the_page_follows_the_cluster_without_losing_the_focus(browser, cluster):
    open_live(browser, cluster)
    browser.run("document.querySelector('nav a').focus()")
    before = browser.text("#programs tbody tr [data-label=Uptime]")

    browser.until("return document.querySelector('#programs [data-label=Uptime]').textContent !== arguments[0]", before)

    assert browser.run("return document.activeElement === document.querySelector('nav a')")


def test_a_frozen_broker_shows_with_the_reason(browser, cluster):
    open_live(browser, cluster)
    with cluster.frozen("broker-2"):
        browser.until(VERDICT, "degraded", timeout_s=30)
        # On a busy machine something else may be degraded first.
        browser.until(REASON, "broker-2 is")
        browser.until(REASON, "no answer within 2 s")
    browser.until(VERDICT, "ok", timeout_s=30)


def test_frozen_brokers_alone_are_a_cluster_that_is_down(browser, cluster):
    open_live(browser, cluster)
    with cluster.frozen("broker-1", "broker-2"):
        browser.until(VERDICT, "down", timeout_s=30)
    browser.until(VERDICT, "ok", timeout_s=30)


def test_a_frozen_daemon_makes_the_page_old_with_its_age(browser, cluster):
    open_live(browser, cluster)
    with cluster.frozen("kraftd"):
        browser.until(OLD, r"last seen \d+ s ago", timeout_s=30)
        assert browser.run("return document.body.classList.contains('is-old')")
        assert browser.run("return document.title").startswith("old, ")
    browser.until(IS_LIVE, timeout_s=30)


def test_a_killed_daemon_breaks_the_stream_and_the_page_says_so_and_comes_back(browser, cluster):
    open_live(browser, cluster)
    cluster.kill("kraftd")
    browser.until(OLD, "No connection to the daemon: last seen", timeout_s=30)
    browser.until(IS_LIVE, timeout_s=30)
    browser.console()  # of the refused connections a browser complains


def test_a_hostile_group_name_is_only_text(browser, cluster):
    name = "<img src=x onerror=window.hacked=1>"
    commit(cluster, name)
    open_live(browser, cluster)

    browser.until("return document.getElementById('groups').textContent.includes(arguments[0])", name, timeout_s=30)

    assert browser.run("return window.hacked ?? null") is None
    assert browser.run("return document.querySelectorAll('img').length") == 0


def commit(cluster, group):
    """Commit an offset as a group with any name."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": cluster.bootstrap_servers, "group.id": group})
    try:
        consumer.commit(offsets=[TopicPartition(cluster.topic, 0, 0)], asynchronous=False)
    finally:
        consumer.close()


def test_without_javascript_the_page_is_whole_and_loads_itself_again(browser, cluster):
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(cluster.url("kraftd", "/"))

    assert browser.text("#content .verdict") == "ok"
    assert "seen" in browser.text("#age")
    browser.until(
        "return performance.timeOrigin > arguments[0]", browser.run("return performance.timeOrigin"), timeout_s=30
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_the_page_fits_and_needs_nothing_from_elsewhere(browser, cluster, width, scheme):
    browser.resize(width, 900)
    browser.prefer(scheme)
    open_live(browser, cluster)

    assert browser.run("return document.documentElement.scrollWidth") <= width
    loaded = browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert loaded
    assert all(name.startswith(cluster.url("kraftd", "/")) for name in loaded)
