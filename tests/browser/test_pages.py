"""The two pages as people use them."""

import json
import urllib.request
import uuid

import pytest

from tests.harness import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.needs("chromium", "chromedriver"), pytest.mark.timeout(180)]

HOSTILE = [
    "<script>window.hacked = 1</script>",
    "</pre></textarea></script><script>window.hacked = 1</script>",
    '"><img src=x onerror="window.hacked = 1">',
    "' onmouseover='window.hacked = 1",
    "\u2028javascript:window.hacked = 1",
]

FIRST = ".record"

PLACEHOLDER_CONTRAST = """
const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const luminance = (color) => {
  const [red, green, blue] = color.match(/\\d+/g).map(Number).map(channel);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const filter = document.getElementById("filter");
const [dark, light] = [getComputedStyle(filter, "::placeholder").color, getComputedStyle(filter).backgroundColor]
  .map(luminance).sort((a, b) => a - b);
return (light + 0.05) / (dark + 0.05);
"""
"""The contrast ratio of WCAG 2.2, which wants at least 4.5 of text."""


def open_live(browser, consumer):
    browser.open(consumer.url)
    browser.until("return document.getElementById('live').textContent.includes('live')")


def first_value(browser):
    return browser.text(f"{FIRST} .value")


def wait_for_first(browser, text):
    browser.until("return document.querySelector('.record .value')?.textContent.includes(arguments[0])", text)


def test_what_the_form_publishes_stands_on_an_open_page_at_once(browser, producer, consumer):
    word = uuid.uuid4().hex
    browser.open(producer.url)
    browser.run("document.getElementById('value').value = arguments[0]", json.dumps({"word": word}))
    browser.type("#key", "a key")
    browser.click("button[type=submit]")
    browser.until("return document.getElementById('verdict').textContent === 'Written'")
    open_live(browser, consumer)
    wait_for_first(browser, word)
    assert browser.text(f"{FIRST} .key") == "a key"

    later = uuid.uuid4().hex
    producer.request("/send", json.dumps(later).encode())
    wait_for_first(browser, later)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("way", ["live", "rendered"])
def test_hostile_text_is_only_text(browser, producer, consumer, text, way):
    word = uuid.uuid4().hex
    if way == "live":
        open_live(browser, consumer)
    envelope = {"value": [word, text], "key": text, "headers": {text: text}}
    assert producer.request("/send/batch?envelope=1", json.dumps(envelope).encode())[0] == 200
    if way == "rendered":
        eventually(lambda: word in consumer.request("/")[1].decode())
        browser.open(consumer.url)
    wait_for_first(browser, word)
    assert browser.text(f"{FIRST} .key") == text.strip()
    assert browser.run("return window.hacked ?? null") is None
    assert browser.run("return document.querySelectorAll('.record img, .record script').length") == 0


def test_a_paused_page_keeps_counting_and_shows_it_all_afterwards(browser, producer, consumer):
    open_live(browser, consumer)
    browser.click("#pause")
    before = first_value(browser)
    words = [uuid.uuid4().hex for _ in range(3)]
    for word in words:
        producer.request("/send", json.dumps(word).encode())
    browser.until("return document.getElementById('pause').textContent === 'Resume (3 new)'")
    assert first_value(browser) == before
    browser.click("#pause")
    wait_for_first(browser, words[-1])


def test_a_filter_hides_what_does_not_hold_its_text(browser, producer, consumer):
    open_live(browser, consumer)
    word = uuid.uuid4().hex
    producer.request(f"/send?key={word.upper()}", b'"wanted"')
    producer.request("/send", b'"other"')
    wait_for_first(browser, "other")
    browser.type("#filter", word)
    visible = "[...document.querySelectorAll('.record:not([hidden]) .value')]"
    assert browser.run(f"return {visible}.map(value => value.textContent)") == ['"wanted"']
    assert word in browser.run("return document.getElementById('export').href")


def test_pretty_indents_and_changes_no_character_of_a_number(browser, producer, consumer):
    open_live(browser, consumer)
    text = '{"n":23958446825181076828,"n":1.10,"empty":{},"list":[1e3,"a,b:{"],"escaped":"\\"\\u00e9"}'
    producer.request("/send", text.encode())
    wait_for_first(browser, "23958446825181076828")
    browser.click("#pretty")
    shown = browser.text(f"{FIRST} .value")
    assert shown.splitlines() == [
        "{",
        '  "n": 23958446825181076828,',
        '  "n": 1.10,',
        '  "empty": {},',
        '  "list": [',
        "    1e3,",
        '    "a,b:{"',
        "  ],",
        '  "escaped": "\\"\\u00e9"',
        "}",
    ]
    browser.click("#pretty")
    assert first_value(browser) == text


def test_a_record_can_be_sent_again_and_copied(browser, producer, consumer):
    open_live(browser, consumer)
    word = uuid.uuid4().hex
    producer.request(f"/send?key={word}", json.dumps(word).encode())
    wait_for_first(browser, word)
    place = browser.text(f"{FIRST} .place")
    browser.command("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    browser.click(f"{FIRST} [data-action=copy]")
    browser.until("return document.querySelector('.record [data-slot=note]').textContent === 'Copied'")
    browser.click(f"{FIRST} [data-action=resend]")
    browser.until("return document.querySelector('.record .place').textContent !== arguments[0]", place)
    assert first_value(browser) == json.dumps(word)
    assert browser.text(f"{FIRST} .key") == word


def test_a_tombstone_has_nothing_to_copy(browser, producer, consumer):
    open_live(browser, consumer)
    assert producer.request("/send/batch?envelope=1", b'{"key": "k", "value": null}')[0] == 200
    wait_for_first(browser, "tombstone")
    browser.click(f"{FIRST} [data-action=copy]")
    browser.until("return document.querySelector('.record [data-slot=note]').textContent !== ''")
    assert browser.text(f"{FIRST} [data-slot=note]") == "A tombstone has no value"


def test_where_a_browser_forbids_copying_the_page_says_what_it_needs(browser, producer, consumer):
    open_live(browser, consumer)
    word = uuid.uuid4().hex
    producer.request("/send", json.dumps(word).encode())
    wait_for_first(browser, word)
    # As a browser has it over plain HTTP by the name of a host.
    browser.run("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    browser.click(f"{FIRST} [data-action=copy]")
    browser.until("return document.querySelector('.record [data-slot=note]').textContent !== ''")
    assert browser.text(f"{FIRST} [data-slot=note]") == "Copying needs https, or the address localhost"


def test_without_javascript_the_newest_records_are_shown_and_the_form_publishes(browser, producer, consumer):
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    word = uuid.uuid4().hex
    browser.open(producer.url)
    browser.type("#key", word)
    browser.click("button[type=submit]")
    browser.until("return document.getElementById('answer')?.textContent")
    assert browser.text("#verdict") == "Written"
    browser.open(consumer.url)
    assert browser.text(f"{FIRST} .key") == word
    assert browser.run("return document.querySelectorAll('.record').length") == 10


def test_a_page_goes_on_by_itself_when_the_app_is_started_again(browser, stack, producer):
    first = stack.start_ready("consumer", KAFKA_GROUP_ID=f"{stack.group}-restarted")
    open_live(browser, first)
    first.stop()
    browser.until("return document.getElementById('live').textContent.includes('reconnecting')")
    again = stack.start_ready("consumer", KAFKA_GROUP_ID=f"{stack.group}-restarted", APP_PORT=str(first.port))
    browser.until("return document.getElementById('live').textContent.endsWith('live')")
    word = uuid.uuid4().hex
    producer.request("/send", json.dumps(word).encode())
    wait_for_first(browser, word)
    again.stop()
    browser.console()


def test_a_page_goes_on_after_an_answer_that_is_no_stream(browser, stack, producer):
    app = stack.start_ready("consumer", KAFKA_GROUP_ID=f"{stack.group}-full", APP_SSE_MAX_CLIENTS="1")
    with urllib.request.urlopen(f"{app.url}/events"):
        browser.open(app.url)
        browser.until("return document.getElementById('live').textContent.includes('reconnecting')")
        word = uuid.uuid4().hex
        producer.request("/send", json.dumps(word).encode())
        eventually(lambda: word in app.request("/api/messages?limit=1")[1].decode())
    wait_for_first(browser, word)
    app.stop()
    browser.open("about:blank")
    browser.console()


def test_with_a_token_the_browser_asks_for_a_password_and_the_pages_work(browser, stack):
    token = {"APP_API_TOKEN": "let-me-in"}
    producer = stack.start_ready("producer", **token)
    consumer = stack.start_ready(
        "consumer", KAFKA_GROUP_ID=f"{stack.group}-token", APP_PRODUCER_URL=producer.url, **token
    )
    for app in (producer, consumer):
        assert app.request("/")[0] == 401
        # What a person types into the browser's own dialogue.
        browser.open(app.url.replace("http://", "http://anybody:let-me-in@"))
    browser.open(producer.url)
    word = uuid.uuid4().hex
    browser.type("#key", word)
    browser.click("button[type=submit]")
    browser.until("return document.getElementById('verdict').textContent === 'Written'")
    open_live(browser, consumer)
    browser.until("return document.querySelector('.record .key')?.textContent === arguments[0]", word)
    place = browser.text(f"{FIRST} .place")
    browser.click(f"{FIRST} [data-action=resend]")
    browser.until("return document.querySelector('.record .place').textContent !== arguments[0]", place)
    for app in (producer, consumer):
        app.stop()
    browser.open("about:blank")
    browser.console()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/docs"])
def test_no_page_is_wider_than_a_phone_or_needs_anything_from_elsewhere(browser, producer, consumer, path, scheme):
    browser.resize(360, 800)
    browser.prefer(scheme)
    for app in (producer, consumer):
        browser.open(app.url + path)
        assert browser.run("return document.documentElement.scrollWidth") <= 360
        loaded = browser.run("return performance.getEntriesByType('resource').map(e => e.name)")
        assert all(name.startswith(app.url) for name in loaded)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_hint_in_the_filter_can_be_read(browser, consumer, scheme):
    browser.prefer(scheme)
    browser.open(consumer.url)
    assert browser.run(PLACEHOLDER_CONTRAST) >= 4.5
