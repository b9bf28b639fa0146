import json

from kraftd.cli.commands.diagnose import lines
from kraftd.cli.options import Invocation
from kraftd.health.report.why import Statement
from kraftd.operate.diagnose.explain import Explanation

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
