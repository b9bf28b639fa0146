from pathlib import Path

import pytest

from kraftd.errors import IdentityMismatchError
from kraftd.spec.ownership import Ownership, parse_ownership

PATH = Path("/s/ownership.json")
OWNED = Ownership(("broker-1", "kraftd"))


def test_an_ownership_reads_back_as_it_was_written():
    assert parse_ownership(OWNED.to_json(), PATH) == OWNED


def test_programs_that_are_no_longer_planned_stay_in_the_record():
    assert OWNED.extended(["producer", "broker-1"]).programs == ("broker-1", "kraftd", "producer")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc", "A", "a b", "a-", "a\n", "é"])
def test_a_name_that_no_program_has_is_never_taken_into_the_record(name):
    assert OWNED.extended([name]) == OWNED
    assert parse_ownership(Ownership((name,)).to_json(), PATH) == Ownership()


@pytest.mark.parametrize("directory", ["config", "data", "logs"])
def test_the_directories_of_recorded_programs_are_covered(directory):
    assert OWNED.covers(directory, "broker-1")
    assert OWNED.covers(directory, "supervisord")
    assert not OWNED.covers(directory, "broker-2")
    assert not OWNED.covers(directory, "broker-1 ")


def test_a_program_has_nothing_in_the_other_directories():
    assert not OWNED.covers("run", "broker-1")
    assert not OWNED.covers("events", "broker-1")
    assert not OWNED.covers("src", "broker-1")


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("logs", "supervisord.log"),
        ("logs", "supervisord.log.3"),
        ("run", "supervisord.pid"),
        ("run", "supervisor.sock"),
        ("run", "supervisor.sock.4711"),
        ("events", "daemon.jsonl"),
        ("events", "commands.jsonl.1"),
    ],
)
def test_files_that_belong_to_no_program_are_covered_by_name(directory, name):
    assert OWNED.covers(directory, name)
    assert not OWNED.covers(directory, f"{name}.orig")
    assert not OWNED.covers("data", name)


def test_records_and_what_an_interrupted_write_leaves_of_them_are_covered():
    assert OWNED.covers_record("plan.json")
    assert OWNED.covers_record(".plan.json.4711")
    assert not OWNED.covers_record("plan.json.bak")
    assert not OWNED.covers_record(".env.4711")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "ownership_damaged"),
        ("[]", "ownership_damaged"),
        ('{"schema_version": 1}', "ownership_damaged"),
        ('{"schema_version": 2, "programs": []}', "ownership_too_new"),
    ],
)
def test_a_record_that_cannot_be_read_is_refused(text, code):
    with pytest.raises(IdentityMismatchError, match=str(PATH)) as caught:
        parse_ownership(text, PATH)

    assert caught.value.code == code
