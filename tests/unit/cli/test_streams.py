import pytest

from kraftd.cli.streams import has_color, open_console
from kraftd.cli.terminal import plain_table


@pytest.mark.parametrize(
    ("environ", "is_terminal", "expected"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "0"}, False, False),
        ({"FORCE_COLOR": ""}, False, False),
        ({"CLICOLOR_FORCE": "1"}, False, True),
        ({"CLICOLOR": "0"}, True, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ({"TTY_COMPATIBLE": "1"}, False, False),
    ],
)
def test_color_follows_the_conventions(environ, is_terminal, expected):
    assert has_color(environ, no_color=False, is_terminal=is_terminal) is expected
    assert not has_color(environ, no_color=True, is_terminal=is_terminal)


@pytest.mark.parametrize("name", ["FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"])
def test_no_variable_makes_a_file_a_terminal_of_some_width(monkeypatch, capsys, name):
    monkeypatch.setenv(name, "1")
    console = open_console({name: "1"}, stderr=False, no_color=False)
    table = plain_table("NAME")
    table.add_row("x" * 300)

    console.print(table)

    assert "x" * 300 in capsys.readouterr().out
    assert not console.is_terminal
    assert not console.is_interactive


def test_forced_color_styles_what_goes_to_a_file(capsys):
    open_console({"FORCE_COLOR": "1"}, stderr=False, no_color=False).print("red", style="red")
    open_console({"FORCE_COLOR": "1"}, stderr=False, no_color=True).print("red", style="red")

    assert capsys.readouterr().out == "\x1b[31mred\x1b[0m\nred\n"


def test_a_table_is_folded_and_never_cut(capsys):
    console = open_console({}, stderr=False, no_color=True)
    console.width = 20
    table = plain_table("KEY", "VALUE")
    table.add_row("daemon.max_group_partitions", "12345")

    console.print(table)

    text = capsys.readouterr().out
    assert "…" not in text
    assert "12345" in text
