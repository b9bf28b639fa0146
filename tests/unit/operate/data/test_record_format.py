import json
import re

import pytest

from kraftd.errors import ConfigurationError
from kraftd.operate.data.record_format import WITH_HEADERS, Filter, Form, renderer, visible
from tests.unit.operate.data.fake_message import FakeMessage

ODD = FakeMessage(b"a\xff\n\x1b[2J", b"k\xfe", at=5, index=1, time_ms=1500, own_headers=[("h", b"\x00"), ("n", None)])


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (Form(), b"a\xff\n\x1b[2J\n"),
        (Form(for_people=True), b"a\\xff\\n\\x1b[2J\n"),
        (Form(as_hex=True), b"61 ff 0a 1b 5b 32 4a\n"),
        (Form("{partition}:{offset} {timestamp} {time}"), b"1:5 1500 1970-01-01T00:00:01.500Z\n"),
        (Form(r"{key}\t{topic}\\n"), b"k\xfe\tt\\n\n"),
        (Form(WITH_HEADERS, for_people=True), b"h=\\x00, n=\ta\\xff\\n\\x1b[2J\n"),
        (Form("{}x", for_people=True), None),
        (Form("{values}"), None),
    ],
)
def test_a_record_is_exact_in_a_pipe_and_one_line_for_people(form, expected):
    if expected is None:
        with pytest.raises(ConfigurationError):
            renderer(form)
    else:
        assert renderer(form)([ODD]) == expected


@pytest.mark.parametrize("as_hex", [False, True])
def test_json_loses_nothing(as_hex):
    lines = renderer(Form(as_json=True, as_hex=as_hex))([ODD, FakeMessage(None)])
    first, second = map(json.loads, lines.splitlines())

    assert first["value_encoding"] == ("hex" if as_hex else "base64")
    assert first["headers"][1] == {"name": "n", "value": None, "value_encoding": None}
    assert (first["partition"], first["offset"], first["timestamp_ms"]) == (1, 5, 1500)
    assert (second["value"], second["key"]) == (None, None)


def test_a_record_that_was_written_without_a_time_has_none():
    untimed = FakeMessage(b"v", time_ms=-1)
    document = json.loads(renderer(Form(as_json=True))([untimed]))
    assert (document["timestamp_ms"], document["timestamp"]) == (None, None)
    assert renderer(Form("{timestamp} {time}"))([untimed]) == b"-1 -\n"


def test_json_has_no_character_that_acts_on_a_terminal():
    assert b"\x9b" not in renderer(Form(as_json=True))([FakeMessage("\x9b\u202e".encode())])
    assert renderer(Form(as_json=True))([]) == b""


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"plain", "plain"), (b"\xff", "\\xff"), (b"\xc3\xa4\xc3", "\xe4\\xc3"), (b"a\\b", "a\\\\b"), (b"", "")],
)
def test_bytes_that_are_not_utf_8_are_shown_each(content, text):
    assert visible(content) == text


@pytest.mark.parametrize(
    ("chosen", "values"),
    [
        (Filter(), [b"one", b"two", None]),
        (Filter(key=b"k"), [b"two"]),
        (Filter(pattern=re.compile(b"^o")), [b"one"]),
        (Filter(key=b"k", pattern=re.compile(b"^o")), []),
        (Filter(pattern=re.compile(b"(?i)T.O")), [b"two"]),
    ],
)
def test_a_filter_looks_at_key_and_value(chosen, values):
    messages = [FakeMessage(b"one"), FakeMessage(b"two", b"k"), FakeMessage(None)]

    assert [message.value() for message in chosen.chosen(messages)] == values
