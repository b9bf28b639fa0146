import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from kraftd.cli.options import (
    Invocation,
    check_places,
    printer_of,
    split_arguments,
)
from kraftd.errors import ConfigurationError


@pytest.mark.parametrize(
    "argv",
    [
        ["--json", "--state-dir", "/s", "status", "broker-1"],
        ["status", "broker-1", "--json", "--state-dir", "/s"],
        ["status", "--json", "--state-dir", "/s", "broker-1"],
    ],
)
def test_a_global_option_may_stand_anywhere(argv):
    assert split_arguments(argv) == (["--json", "--state-dir", "/s"], ["status", "broker-1"])


def test_a_value_may_be_joined_to_its_option():
    assert split_arguments(["start", "--set=cluster.brokers=1", "--timeout=3m"]) == (
        ["--set=cluster.brokers=1", "--timeout=3m"],
        ["start"],
    )


def test_a_value_that_looks_like_an_option_stays_a_value():
    assert split_arguments(["-c", "--json", "status"]) == (["-c", "--json"], ["status"])


@pytest.mark.parametrize("options", [["--state-dir", ""], ["--state-dir="], ["--json", "--config", ""], ["--config="]])
def test_an_empty_place_is_refused_and_not_the_current_directory(options):
    with pytest.raises(ConfigurationError, match="'': it is empty"):
        check_places(options)


def test_a_place_is_as_it_is_and_a_missing_value_is_left_to_the_parser():
    check_places(["--state-dir", ".", "--config=a.toml", "-c", "", "--config"])


@pytest.mark.parametrize("verb", ["kafka", "exec"])
def test_what_follows_a_verb_that_hands_its_arguments_on_is_not_touched(verb):
    argv = ["-q", verb, "topics", "--json", "--", "-c", "x"]

    assert split_arguments(argv) == (["-q"], [verb, "topics", "--json", "--", "-c", "x"])


@pytest.mark.parametrize("words", [["--config", "retention.ms=1"], ["--config=retention.ms=1"]])
def test_a_configuration_of_a_topic_is_not_the_file_of_kraftd(words):
    argv = ["--config", "a=b.toml", "topics", "create", "t", *words, "--json"]

    assert split_arguments(argv) == (["--config", "a=b.toml", "--json"], ["topics", "create", "t", *words])


@pytest.mark.parametrize("words", [["--config", "retention.ms"], ["--config=retention.ms"]])
@pytest.mark.parametrize("verb", ["create", "alter"])
def test_a_configuration_of_a_topic_without_its_value_is_no_file(verb, words):
    assert split_arguments(["topics", verb, "t", *words]) == ([], ["topics", verb, "t", *words])


@pytest.mark.parametrize("words", [["--config", "other.toml"], ["--config=other.toml"], ["--config", "./other"]])
def test_the_file_of_kraftd_may_be_named_behind_a_topic(words):
    assert split_arguments(["topics", "create", "t", *words]) == (words, ["topics", "create", "t"])


def test_what_follows_two_dashes_is_not_touched():
    assert split_arguments(["start", "--", "--json"]) == ([], ["start", "--", "--json"])


@pytest.mark.parametrize(
    ("argv", "asked"),
    [
        (["help"], ["--help"]),
        (["help", "topics", "create"], ["topics", "create", "--help"]),
        (["help", "kafka"], ["kafka", "--help"]),
        (["topics", "create", "help"], ["topics", "create", "help"]),
    ],
)
def test_help_is_a_command_too(argv, asked):
    assert split_arguments(argv) == ([], asked)


def test_an_option_without_its_value_does_not_swallow_the_verb():
    assert split_arguments(["status", "--set"]) == (["--set"], [])


@pytest.fixture
def called_as_kraftd(monkeypatch, tmp_path):
    command = tmp_path / "bin" / "kraftd"
    command.parent.mkdir()
    command.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(command.parent))
    monkeypatch.setattr("sys.argv", [str(command)])


@pytest.mark.usefixtures("called_as_kraftd")
def test_suggested_commands_reach_the_same_cluster():
    invocation = Invocation(cluster="blue", config=Path("a b.toml"), state_dir=Path("/s"))

    assert invocation.command == "kraftd --config 'a b.toml' --cluster blue --state-dir /s"
    assert Invocation(assignments=("cluster.brokers=1",)).command == "kraftd"


def test_suggested_commands_of_a_call_by_the_module_are_such_calls_too(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/site-packages/kraftd/__main__.py"])
    monkeypatch.setattr("sys.executable", "/a b/python")

    assert Invocation(state_dir=Path("/s")).command == "'/a b/python' -m kraftd --state-dir /s"


@pytest.mark.usefixtures("called_as_kraftd")
@pytest.mark.parametrize(
    ("options", "call"),
    [
        (["--state-dir", "/s", "--json"], "kraftd --state-dir /s"),
        (["--json", "--state-dir=/s", "-c", "blue"], "kraftd --cluster blue --state-dir /s"),
        (["--config", "k.toml", "--set", "cluster.brokers=1", "--json"], "kraftd --config k.toml"),
        (["--json", "--timeout", "9s"], "kraftd"),
    ],
)
def test_the_commands_of_a_hint_reach_the_cluster_that_options_chose(options, call, capsys):
    hint = "'kraftd start' starts it, 'kraftd logs a' tells more; 'kraftd --help' helps, 'kraftd list' too."
    error = ConfigurationError("cannot ask 'kraftd'", hint=hint)

    printer_of(options).print_error(error)
    printer_of([each for each in options if each != "--json"]).print_error(error)

    captured = capsys.readouterr()
    told = f"'{call} start' starts it, '{call} logs a' tells more; 'kraftd --help' helps, 'kraftd list' too."
    assert json.loads(captured.out)["error"]["hint"] == told
    assert told in captured.err


@dataclass(frozen=True)
class Inner:
    path: Path
    names: tuple[str, ...]


def test_a_document_is_json_whatever_it_is_made_of(capsys):
    Invocation().print_document({"inner": Inner(Path("/x"), ("é",)), "none": None, "number": 1.5})

    out = capsys.readouterr().out
    assert json.loads(out) == {"inner": {"path": "/x", "names": ["é"]}, "none": None, "number": 1.5}
    assert "é" in out


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8", "UTF8", "utf-16"])
def test_a_document_is_json_in_every_encoding_of_stdout(monkeypatch, encoding):
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace"))
    name = "caf\xe9 \u4e2d \U0001f600 \\x"

    Invocation().print_document({"name": name})
    sys.stdout.flush()

    assert json.loads(raw.getvalue().decode(encoding)) == {"name": name}


def test_the_commands_that_notes_of_a_document_name_reach_its_cluster(capsys):
    Invocation(state_dir=Path("/s")).print_result({"notes": ("'kraftd doctor' tells more.",), "names": ["'kraftd x'"]})

    document = json.loads(capsys.readouterr().out)
    assert document["notes"][0].endswith(" --state-dir /s doctor' tells more.")
    assert document["names"] == ["'kraftd x'"]


ERROR = ConfigurationError("cannot use [x]: bad", hint="Fix [x].", details={"problems": ["one"]})


@pytest.mark.parametrize("result", [Inner(Path("/x"), ("é",)), {"path": Path("/x"), "names": ["é"]}])
def test_a_result_is_in_the_envelope_of_every_command(result, capsys):
    Invocation(json=True).print_result(result)

    expected = '{"ok": true, "schema_version": 1, "path": "/x", "names": ["é"]}'
    assert json.loads(capsys.readouterr().out) == json.loads(expected)


def test_an_error_for_people_is_on_stderr_with_its_hint(capsys):
    Invocation(no_color=True).print_error(ERROR)

    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "kraftd: cannot use [x]: bad\nFix [x].\n")


def test_with_verbose_an_error_says_where_it_came_from(capsys):
    def fail():
        raise ERROR from ValueError("the cause")

    with pytest.raises(ConfigurationError) as caught:
        fail()
    Invocation(verbose=True, no_color=True).print_error(caught.value)

    err = capsys.readouterr().err
    assert "in fail" in err
    assert "ValueError: the cause" in err
    assert err.endswith("kraftd: cannot use [x]: bad\nFix [x].\n")


def test_an_error_for_scripts_is_one_document_on_stdout(capsys):
    Invocation(json=True).print_error(ERROR)

    captured = capsys.readouterr()
    assert json.loads(captured.out) == {
        "ok": False,
        "error": {
            "code": "invalid_configuration",
            "message": "cannot use [x]: bad",
            "hint": "Fix [x].",
            "details": {"problems": ["one"]},
        },
    }
    assert captured.err == ""


@pytest.mark.parametrize(("command", "lines"), [("tail", 1), ("events", 1), ("topics", 9)])
def test_an_error_among_documents_of_a_line_each_is_on_a_line(command, lines, capsys):
    printer_of(["--json"], [command, "t"]).print_error(ConfigurationError("cannot use it", hint="Do not."))

    assert len(capsys.readouterr().out.splitlines()) == lines


def test_what_is_no_terminal_is_wide_enough_for_whole_values(capsys):
    Invocation().console().print("x" * 300)

    assert capsys.readouterr().out == "x" * 300 + "\n"


class Stdout(io.StringIO):
    def __init__(self, is_terminal):
        super().__init__()
        self.isatty = lambda: is_terminal


@pytest.mark.parametrize(
    ("is_terminal", "written"), [(True, "    at A\\B\\x1b[2J\n\\u202eb\n"), (False, "    at A\\B\x1b[2J\n\u202eb\n")]
)
def test_lines_of_a_log_are_exact_for_programs_and_escaped_for_people(monkeypatch, is_terminal, written):
    stdout = Stdout(is_terminal)
    monkeypatch.setattr("sys.stdout", stdout)

    Invocation.print_lines("    at A\\B\x1b[2J\n\u202eb")

    assert stdout.getvalue() == written


def test_a_document_is_exact_and_acts_on_no_terminal(capsys):
    Invocation().print_document({"group": "a\x1b[2J\x9b\u202e"})
    printed = capsys.readouterr().out

    assert json.loads(printed) == {"group": "a\x1b[2J\x9b\u202e"}
    assert printed.replace("\n", "").isprintable()


def test_an_error_shows_its_list_in_lines_and_text_from_outside_escaped(capsys):
    Invocation(no_color=True).print_error(
        ConfigurationError("cannot use it:\n  a\x1b[2J", hint="There are: two\nlines.")
    )

    assert capsys.readouterr().err == "kraftd: cannot use it:\n  a\\x1b[2J\nThere are: two\\nlines.\n"
