"""The command line as a whole."""

import json
import re
import sys

import pytest
import typer
from typer.main import get_command

from kraftd.cli import main
from kraftd.cli.main import SECTIONS, app
from kraftd.cli.options import program_names
from tests.commands import NO_COMMANDS, commands


def test_every_command_is_in_one_section_of_the_help():
    in_sections = [name for names in SECTIONS.values() for name in names]
    registered = [each.name for each in (*app.registered_commands, *app.registered_groups)]

    assert sorted(in_sections) == sorted(registered)
    assert list(get_command(app).commands) == in_sections


def helps():
    """Yield each command's words and its help."""
    root = get_command(app)
    for words in {*commands()} - {*NO_COMMANDS, "kafka", "exec"}:
        command, context = root, typer.Context(root, info_name="kraftd")
        for word in words.split():
            command = command.commands[word]
            context = typer.Context(command, info_name=word, parent=context)
        yield words, command.get_help(context)


def test_a_help_has_words_for_arguments_and_no_types():
    for words, shown in helps():
        usage, rest = shown.split("\n", 1)
        assert re.fullmatch(rf"Usage: kraftd {words} \[OPTIONS\]( [A-Z]+(\.\.\.)?| \[[A-Z]+\](\.\.\.)?)*", usage), usage
        assert re.findall(r"<[a-z].*?>", rest) == [], words
        assert "'kraftd --help'" in rest, words


@pytest.mark.parametrize(
    ("options", "word", "completed"),
    [
        ([], "broker", ["broker-1", "broker-2"]),
        (["--set", "cluster.brokers=3"], "broker", ["broker-1", "broker-2", "broker-3"]),
        (["-c", "Not a name"], "broker", []),
    ],
)
def test_a_shell_completes_the_names_of_programs(options, word, completed, tmp_path):
    argv = ["--state-dir", str(tmp_path), *options, "why", word]

    assert program_names(get_command(app).make_context("kraftd", argv), word) == completed


@pytest.mark.parametrize(
    ("argv", "called"),
    [
        (["strat"], "kraftd --help"),
        (["backup"], "kraftd backup --help"),
        (["topics", "lst"], "kraftd topics --help"),
        (["topics", "create"], "kraftd topics create --help"),
        (["why", "--nosuch"], "kraftd why --help"),
    ],
)
def test_a_wrong_call_names_the_help_to_read(argv, called, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["kraftd", "--json", *argv])
    for stream in ("stdin", "stdout", "stderr"):
        # The command line puts its own in their places.
        monkeypatch.setattr(sys, stream, getattr(sys, stream))

    with pytest.raises(SystemExit) as ended:
        main.main()

    error = json.loads(capfd.readouterr().out)["error"]
    assert (ended.value.code, error["code"]) == (2, "usage")
    assert f"'{called}'" in error["hint"]
    assert "\n" not in error["message"]
