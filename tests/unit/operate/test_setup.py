from pathlib import Path

import pytest

from kraftd.operate.setup import temporary_notes
from tests.plans import plan_of

STATE, SYSTEM = Path("/srv/state"), Path("/tmp")
CHOSEN = '[java]\noptions = ["-Djava.io.tmpdir=/elsewhere"]'


def notes_of(toml, executable):
    return temporary_notes(plan_of(toml, state_dir=STATE), SYSTEM, lambda directory: directory in executable)


def test_brokers_that_can_load_no_library_are_noted_with_the_option_that_helps():
    notes = notes_of("", ())

    assert [("noexec" in note, "-Djava.io.tmpdir=" in note) for note in notes] == [(True, True)]


@pytest.mark.parametrize(("toml", "executable"), [("", (STATE,)), ("", (SYSTEM,)), (CHOSEN, ())])
def test_one_directory_that_allows_execution_is_enough(toml, executable):
    assert notes_of(toml, executable) == ()
