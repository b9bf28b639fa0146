import pytest
from rich.text import Text

from kraftd.cli.commands.kafka import lag_or_reason, lines
from kraftd.errors import NeedsRunningClusterError, UnknownNameError
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


def test_the_document_is_for_scripts():
    document = Explanation("lag of readers", "daemon", FACTS[:1]).document

    assert document == {
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


@pytest.mark.parametrize("kind", [NeedsRunningClusterError, UnknownNameError])
def test_who_watches_a_lag_sees_why_it_is_not_known_now(kind):
    def ask():
        raise kind("cannot show the lag of groups: no broker answers")

    found = lag_or_reason(ask, with_partitions=True)

    assert isinstance(found, Text)
    assert found.plain == "cannot show the lag of groups: no broker answers"
