"""What the documents and the hints say: commands and options that exist, and links that lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from kraftd.cli.main import app
from kraftd.cli.options import split_arguments
from kraftd.cli.values import parse_since
from tests.plans import plan_of

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
SOURCES = sorted((ROOT / "kraftd").rglob("*.py"))

_BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`(kraftd [^`]+)`")
_HINT = re.compile(r"'(kraftd [a-z][^'\n]*)'")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_END = re.compile(r" (?:[|;<>]|&&|\d?>)| #")
_PLACEHOLDER = re.compile(r"\{[^{}]*\}|\{.*|\.\.\.")
COMMAND_LINE = get_command(app)
_AFTER = ("kafka", "exec")
"""Commands that hand on what follows them."""


def calls_in(text):
    """Yield each call of kraftd in a document: in code within lines, and after the prompts of blocks."""
    yield from _SPAN.findall(_BLOCK.sub("", text))
    for block in _BLOCK.findall(text):
        prompts = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
        for line in prompts or block.splitlines():
            yield from re.findall(r"^(?:\S*/)?(kraftd (?! ).*)$", line)


def fault_of(call):
    """Return what of a call the command line does not know; None where it knows all of it."""
    words = shlex.split(re.sub(r"[][]", "", _PLACEHOLDER.sub(" x ", _END.split(call)[0])))
    command, given = COMMAND_LINE, split_arguments(words[1:])[1]
    while given and hasattr(command, "commands"):
        if given[0].startswith("-") or given[0].isupper():
            break
        if given[0] not in command.commands:
            return given[0]
        command, given = command.commands[given[0]], given[1:]
    if command.name in _AFTER:
        return None
    known = {"--help", "-h", *(name for parameter in command.params for name in parameter.opts)}
    options = (word.partition("=")[0] for word in given if re.match(r"--?[a-z]", word))
    return next((each for each in options if each not in known), None)


@pytest.mark.parametrize(
    "document", [each for each in DOCUMENTS if each.name != "CHANGELOG.md"], ids=lambda path: path.name
)
def test_every_call_in_a_document_is_one_that_the_command_line_knows(document):
    calls = list(calls_in(document.read_text(encoding="utf-8")))

    assert [(call, fault) for call in calls if (fault := fault_of(call))] == []


def test_every_call_in_a_message_is_one_that_the_command_line_knows():
    calls = [(path.name, call) for path in SOURCES for call in _HINT.findall(path.read_text(encoding="utf-8"))]

    assert len(calls) > 50
    assert [(name, call, fault) for name, call in calls if (fault := fault_of(call))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_of_a_document_leads_somewhere(document):
    links = [each for each in _LINK.findall(document.read_text(encoding="utf-8")) if "://" not in each]

    assert [each for each in links if not leads_somewhere(document, each)] == []


def leads_somewhere(document, link):
    path, _, anchor = link.partition("#")
    target = document.parent / path if path else document
    if not target.exists():
        return False
    return not anchor or anchor in anchors_of(target.read_text(encoding="utf-8"))


def anchors_of(text):
    """Return the anchors of the headings, as GitHub makes them."""
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in _HEADING.findall(_BLOCK.sub("", text))}


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("`kraftd topics lst`", ["lst"]),
        ("`kraftd start --foregroud`", ["--foregroud"]),
        ("```\n$ kraftd scale --broker 3 | cat\nkraftd  ready\n```\n", ["--broker"]),
        ("`kraftd topics create TOPIC [--partitions N]`, `kraftd kafka topics --describe`, `kraftd -c x stop`", []),
    ],
)
def test_a_call_that_is_wrong_is_found(text, faults):
    assert [fault for call in calls_in(text) if (fault := fault_of(call))] == faults


def test_every_duration_of_since_in_a_document_is_one_that_is_read():
    found = [text for each in DOCUMENTS for text in re.findall(r"--since (\d\w*)", each.read_text(encoding="utf-8"))]

    assert len(found) >= 3
    assert all(parse_since(text, now_s=1e9) < 1e9 for text in found)


def test_the_second_cluster_of_the_readme_shares_no_port_with_the_first():
    (block,) = (
        each for each in _BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8")) if "port_offset" in each
    )
    first, larger, second = (
        {port.number for port in plan_of(toml).ports} for toml in ("", "[cluster]\nbrokers = 3", block)
    )

    assert second.isdisjoint(first | larger)
