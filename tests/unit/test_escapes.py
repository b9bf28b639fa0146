import json
import re

import pytest
import yaml

from kraftd.escapes import escaped, escaped_json, escaped_lines, named, typed, unescaped, yaml_string

HOSTILE = {
    "esc\x1b[31mred": r"esc\x1b[31mred",
    "\x1b]0;pwned\x07": r"\x1b]0;pwned\x07",
    "nul\0": r"nul\x00",
    "a\tb": r"a\tb",
    "two\nlines": r"two\nlines",
    "cr\rX": r"cr\rX",
    "c1\x9b31m": r"c1\x9b31m",
    "rtl\u202eevil": r"rtl\u202eevil",
    "iso\u2066late": r"iso\u2066late",
    "lone\udc80": r"lone\udc80",
    "back\\x1b": r"back\\x1b",
    "no\xa0break": r"no\xa0break",
    "tag\U000e0041": r"tag\U000e0041",
    "plain <b>[red]ünï {{7*7}}": "plain <b>[red]ünï {{7*7}}",
}


@pytest.mark.parametrize(("text", "shown"), HOSTILE.items(), ids=HOSTILE.values())
def test_what_is_not_printable_is_escaped_and_can_be_typed_back(text, shown):
    assert escaped(text) == shown
    assert escaped(text).isprintable()
    assert unescaped(shown) == text


def test_two_names_never_look_the_same():
    names = [*HOSTILE, *HOSTILE.values(), "", "''", " ", "  ", " a", "a ", "a", r"\x27'", r"\x20a"]

    assert len({named(name) for name in names}) == len(set(names))
    assert all(unescaped(named(name)) == name for name in names if name)
    assert named("") == "''"


def test_a_typed_name_is_read_as_escaped_and_else_meant_as_it_is():
    assert typed(r"esc\x1b", {"esc\x1b", r"esc\x1b"}) == "esc\x1b"
    assert typed(r"esc\\x1b", {"esc\x1b", r"esc\x1b"}) == r"esc\x1b"
    assert typed(r"esc\x1b", {r"esc\x1b"}) == r"esc\x1b"
    assert typed(r"\q", set()) == r"\q"


def test_lines_stay_lines_and_are_not_escaped_for_typing_back():
    assert escaped_lines("\tat Foo\\Bar\n\x1b[2Jcleared\n") == "        at Foo\\Bar\n\\x1b[2Jcleared\n"


def test_json_keeps_its_meaning_without_characters_that_act_on_a_terminal():
    value = dict.fromkeys(HOSTILE, "x\u202ey\x9bz\udc80")
    text = escaped_json(json.dumps(value, indent=1, ensure_ascii=False))

    assert json.loads(text) == value
    assert re.findall("[\0-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff]", text) == []


@pytest.mark.parametrize("text", ["/srv/é漢😀", 'a "b" \\c', "\x00\x7f\x85\x9f\u2028\ufeff", "#: {x}", ""])
def test_a_string_of_yaml_is_read_as_it_was_meant(text):
    written = yaml_string(text)

    assert written.isascii()
    assert yaml.safe_load(f"key: {written}") == {"key": text}
