import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from kraftd.cli.invocation import Invocation
from kraftd.errors import KraftdError, RefusedError


@dataclass(frozen=True)
class Fact:
    path: Path
    number: int | None


def test_a_document_is_plain_json_in_the_order_it_was_given(capsys):
    Invocation().print_document({"zulu": (Fact(Path("/s"), None),), "alpha": "é", 1: True})

    output = capsys.readouterr().out
    assert json.loads(output) == {"zulu": [{"path": "/s", "number": None}], "alpha": "é", "1": True}
    assert output.index("zulu") < output.index("alpha")
    assert "é" in output


def test_an_error_is_a_document_on_stdout_where_json_is_asked_for(capsys):
    Invocation(json=True).print_error(RefusedError("cannot stop", hint="Wait.", details={"at": Path("/s")}))

    output = capsys.readouterr()
    assert json.loads(output.out) == {
        "ok": False,
        "error": {"code": "refused", "message": "cannot stop", "hint": "Wait.", "details": {"at": "/s"}},
    }
    assert output.err == ""


def test_an_error_is_two_lines_on_stderr_for_people(capsys):
    Invocation().print_error(KraftdError("cannot read [cluster]: it is damaged", hint="Remove [it]."))

    output = capsys.readouterr()
    assert output.err == "kraftd: cannot read [cluster]: it is damaged\nRemove [it].\n"
    assert output.out == ""


def test_what_is_no_terminal_is_wide_enough_for_whole_values(capsys):
    Invocation().console().print("x" * 300)

    assert capsys.readouterr().out == "x" * 300 + "\n"


@pytest.mark.parametrize(
    ("invocation", "options"),
    [
        (Invocation(), []),
        (Invocation(cluster="two"), ["--cluster", "two"]),
        (
            Invocation(config=Path("a b.toml"), state_dir=Path("/s"), assignments=("cluster.brokers=1",)),
            ["--config", "'a b.toml'", "--state-dir", "/s"],
        ),
    ],
)
def test_a_suggested_command_reaches_the_same_cluster(invocation, options):
    assert invocation.command.endswith(" ".join(options))
    assert "cluster.brokers" not in invocation.command
