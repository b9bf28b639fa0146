import json
from pathlib import Path

import pytest

from kraftd.cli.commands.diagnose import lines, print_diagnosis, print_explanation
from kraftd.cli.options import Invocation
from kraftd.health.report.why import Statement
from kraftd.operate.diagnose.explain import Explanation
from kraftd.operate.diagnose.findings import Diagnosis, Finding, Level

FACTS = (
    Statement(0, "group readers", "its lag is not known", "the daemon, 1.0 s ago"),
    Statement(1, "broker-2", "is DOWN", "supervisord"),
    Statement(2, "broker-2", "ended with [bold]SIGKILL", "supervisord.log"),
)


def test_each_fact_stands_below_the_one_that_it_explains_and_names_its_source():
    shown = [line.plain for line in lines(Explanation("lag of readers", "daemon", FACTS))]

    assert shown == [
        "group readers its lag is not known  (the daemon, 1.0 s ago)",
        "  - broker-2 is DOWN  (supervisord)",
        "    - ended with [bold]SIGKILL  (supervisord.log)",
    ]


def test_the_document_is_for_scripts(capsys):
    Invocation().print_result(Explanation("lag of readers", "daemon", FACTS[:1]))

    assert json.loads(capsys.readouterr().out) == {
        "ok": True,
        "schema_version": 1,
        "question": "lag of readers",
        "source": "daemon",
        "facts": [
            {
                "depth": 0,
                "about": "group readers",
                "text": "its lag is not known",
                "source": "the daemon, 1.0 s ago",
            }
        ],
    }


@pytest.mark.parametrize("json", [True, False])
def test_the_commands_of_an_explanation_reach_the_cluster_that_it_is_about(json, capsys):
    fact = Statement(0, "broker-2", "is stopped: 'kraftd start broker-2' starts it", "desired.json")

    print_explanation(Invocation(state_dir=Path("/s"), json=json), Explanation("broker-2", "daemon", (fact,)))

    assert " --state-dir /s start broker-2' starts it" in capsys.readouterr().out


@pytest.mark.parametrize("json", [True, False])
def test_the_remedies_of_a_diagnosis_reach_the_cluster_that_it_is_about(json, capsys):
    finding = Finding("files", Level.FAILURE, "kraftd.ini is gone", "Run 'kraftd apply'.")

    print_diagnosis(Invocation(state_dir=Path("/s"), json=json), Diagnosis("local", (finding,)))

    assert " --state-dir /s apply'." in capsys.readouterr().out
