import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from kraftd.cli.invocation import Invocation
from kraftd.errors import ConfigurationError


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


def test_a_document_is_json_whatever_it_is_made_of(capsys):
    @dataclass(frozen=True)
    class Inner:
        path: Path
        names: tuple[str, ...]

    Invocation().print_document({"inner": Inner(Path("/x"), ("é",)), "none": None, "number": 1.5})

    out = capsys.readouterr().out
    assert json.loads(out) == {"inner": {"path": "/x", "names": ["é"]}, "none": None, "number": 1.5}
    assert "é" in out


ERROR = ConfigurationError("cannot use [x]: bad", hint="Mend [x].", details={"problems": ["one"]})


def test_an_error_for_people_is_on_stderr_with_its_hint(capsys):
    Invocation(no_color=True).print_error(ERROR)

    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "kraftd: cannot use [x]: bad\nMend [x].\n")


def test_with_verbose_an_error_says_where_it_came_from(capsys):
    def fail():
        raise ERROR from ValueError("the cause")

    with pytest.raises(ConfigurationError) as caught:
        fail()
    Invocation(verbose=True, no_color=True).print_error(caught.value)

    err = capsys.readouterr().err
    assert "in fail" in err
    assert "ValueError: the cause" in err
    assert err.endswith("kraftd: cannot use [x]: bad\nMend [x].\n")


def test_an_error_for_scripts_is_one_document_on_stdout(capsys):
    Invocation(json=True).print_error(ERROR)

    captured = capsys.readouterr()
    assert json.loads(captured.out) == {
        "ok": False,
        "error": {
            "code": "invalid_configuration",
            "message": "cannot use [x]: bad",
            "hint": "Mend [x].",
            "details": {"problems": ["one"]},
        },
    }
    assert captured.err == ""


def test_what_is_no_terminal_is_wide_enough_for_whole_values(capsys):
    Invocation().console().print("x" * 300)

    assert capsys.readouterr().out == "x" * 300 + "\n"
