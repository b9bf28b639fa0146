"""The command line as a whole."""

from typer.main import get_command

from kraftd.cli.main import SECTIONS, app


def test_every_command_is_in_one_section_of_the_help():
    in_sections = [name for names in SECTIONS.values() for name in names]
    registered = [each.name for each in (*app.registered_commands, *app.registered_groups)]

    assert sorted(in_sections) == sorted(registered)
    assert list(get_command(app).commands) == in_sections
