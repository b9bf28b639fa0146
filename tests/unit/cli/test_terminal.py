import re
from io import StringIO

import pytest
from rich.console import Group

from kraftd.cli.terminal import Console, Table, Text, name_text, plain_table
from kraftd.escapes import named, typed

HOSTILE = "g\x1b]0;pwned\x07\x1b[2J\x9b31m\r\n\t\0\u202e\u2066\udc80[red]:smile:\\x1b"
SHOWN = r"g\x1b]0;pwned\x07\x1b[2J\x9b31m\r\n\t\x00\u202e\u2066\udc80[red]:smile:\\x1b"


def a_table(*cells):
    table = Table("NAME", "NUMBER", box=None)
    table.add_row(*cells)
    return table


@pytest.mark.parametrize(
    "printed",
    [
        named(HOSTILE),
        Text(HOSTILE),
        Text("").append(HOSTILE),
        Text.assemble((HOSTILE, "bold")),
        a_table(HOSTILE),
        a_table(Text(HOSTILE, style="red")),
        a_table(name_text(HOSTILE)),
        Group(a_table(HOSTILE)),
    ],
    ids=["sentence", "text", "appended", "assembled", "cell", "text cell", "name", "group"],
)
@pytest.mark.parametrize("is_terminal", [True, False])
def test_text_from_outside_is_escaped_wherever_it_is_printed(printed, is_terminal):
    console = Console(file=StringIO(), width=200, force_terminal=is_terminal, color_system=None, highlight=False)
    console.print(printed)
    written = console.file.getvalue()

    assert written.split()[-1] == SHOWN
    assert written.replace("\n", "").isprintable()


@pytest.mark.parametrize("name", [HOSTILE, r"\x1b", "a\\", " ", ""])
def test_a_name_in_a_sentence_is_typed_back_as_it_is_shown(name):
    console = Console(file=StringIO(), width=400, color_system=None)
    console.print(f"cannot reset the group {named(name)}: it is active")
    (shown,) = re.findall("group (.*): it", console.file.getvalue())

    assert typed(shown, {name}) == name or (name, shown) == ("", "''")


def test_a_sentence_is_one_line_though_what_is_in_it_is_not_escaped():
    console = Console(file=StringIO(), width=200, color_system=None)
    console.print("cannot\nread \x1b[2J\u202e C:\\new")

    assert console.file.getvalue() == "cannot\\nread \\x1b[2J\\u202e C:\\new\n"


def test_a_name_in_a_row_of_its_own_takes_the_room_that_it_shows():
    console = Console(file=StringIO(), width=200, color_system=None)
    console.print(a_table(name_text("two\nlines"), "7"))

    assert console.file.getvalue().splitlines()[1].split() == [r"two\nlines", "7"]


def test_numbers_end_below_each_other_and_tables_begin_at_the_margin():
    console = Console(file=StringIO(), width=200, color_system=None, highlight=False)
    table = plain_table("TOPIC", "PARTITIONS", "SIZE")
    table.add_row("orders", "6", "1.0 KiB")
    table.add_row("x", "1200", "12.5 GiB")
    console.print(table)

    assert console.file.getvalue().splitlines() == [
        "TOPIC   PARTITIONS      SIZE",
        "orders           6   1.0 KiB",
        "x             1200  12.5 GiB",
    ]


def test_the_commands_of_a_note_are_completed():
    written = StringIO()

    Console(file=written, called=lambda text: text.replace("'kraftd ", "'kraftd --state-dir /s ")).print_notes(
        ["'kraftd apply' does it"]
    )

    assert written.getvalue() == "Note: 'kraftd --state-dir /s apply' does it\n"
