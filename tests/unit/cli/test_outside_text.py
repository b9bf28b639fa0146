"""Every text of a full observation, replaced by a hostile one, in every output: texts x outputs."""

import re
from dataclasses import dataclass, fields, is_dataclass, replace
from io import StringIO

import pytest
from markupsafe import escape
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus
from rich.console import Group

from kraftd.cli.commands.diagnose import lines
from kraftd.cli.commands.inspect import _lag_view
from kraftd.cli.output import status_view
from kraftd.cli.terminal import Console
from kraftd.cli.top import top_view
from kraftd.health.lag.view import KafkaView
from kraftd.health.programs.verdict import judge
from kraftd.health.report.documents import LagDocument
from kraftd.health.report.health import health_document
from kraftd.health.report.history import History
from kraftd.health.report.why import ProgramEvent, StateRecords, why
from kraftd.health.report.why_lag import explain_lag
from kraftd.host.events import Event
from kraftd.operate.diagnose.explain import Explanation
from kraftd.plan.desired import NOTHING_DESIRED
from kraftd.serve.metrics.exposition import Exposition
from kraftd.serve.page import Page
from tests.commands import NO_COMMANDS, SHOWING, WITHOUT_OUTSIDE_TEXT, commands
from tests.plans import plan_of
from tests.unit.health.views import full_snapshot
from tests.unit.hostile import CONTROL, TEXTS

NOW_S = 1001.0
DATE = re.compile(r"\d{4}-\d\d-\d\dT")


def hostile(value, text):
    """Return a value with a text behind each of its texts; dates stay, and words that kraftd itself chose."""
    if type(value) is str:
        return value if DATE.match(value) else value + text
    if is_dataclass(value):
        changed = {each.name: hostile(getattr(value, each.name), text) for each in fields(value) if each.init}
        return replace(value, **changed)
    if isinstance(value, dict):
        return {hostile(name, text): hostile(each, text) for name, each in value.items()}
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(hostile(each, text) for each in value)
    return frozenset(hostile(each, text) for each in value) if isinstance(value, frozenset) else value


@dataclass(frozen=True)
class Seen:
    """What each output is made from, with a text behind every text."""

    text: str

    @property
    def snapshot(self):
        plain = full_snapshot()
        programs = tuple(
            replace(each, reason=self.text, notes=(self.text,), last_exit=hostile(each.last_exit, self.text))
            for each in plain.programs
        )
        return replace(plain, programs=programs, kafka=self.view, alerts=hostile(plain.alerts, self.text))

    @property
    def view(self) -> KafkaView:
        return hostile(full_snapshot().kafka, self.text)

    @property
    def document(self):
        plain = full_snapshot()
        return hostile(health_document(plan_of(), plain, judge(plain), NOW_S), self.text)

    @property
    def records(self):
        event = ProgramEvent("2026-01-01T00:00:00.000Z", self.text, self.text)
        return StateRecords(NOTHING_DESIRED, events={f"broker-2{self.text}": (event,)})


def lag_table(seen):
    document = seen.document
    return _lag_view(LagDocument(ok=True, schema_version=1, age_s=1.0, groups=document.groups), with_partitions=True)


def explained(facts):
    return Group(*lines(Explanation("", "", tuple(facts))))


TERMINAL = {
    "status": lambda seen: status_view(seen.document, 200),
    "narrow status": lambda seen: status_view(seen.document, 60),
    "top": lambda seen: top_view(seen.document, keys=True),
    "lag": lag_table,
    "why": lambda seen: explained(why(seen.document, f"broker-2{seen.text}", seen.records, NOW_S)),
    "explain lag": lambda seen: explained(explain_lag(seen.document, f"readers{seen.text}", seen.records, NOW_S)),
    "explain lag of a group that is not there": lambda seen: explained(
        explain_lag(seen.document, seen.text, seen.records, NOW_S)
    ),
}


@pytest.mark.parametrize("output", TERMINAL)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_text_from_outside_acts_on_a_terminal(output, text):
    seen, console = Seen(text), Console(file=StringIO(), width=400, color_system=None, highlight=False)
    console.print(TERMINAL[output](seen))
    plain = Console(file=StringIO(), width=400, color_system=None, highlight=False)
    plain.print(TERMINAL[output](Seen("-harmless")))

    written = console.file.getvalue()
    assert not CONTROL.search(written), written
    assert written.encode()
    if output != "narrow status":
        assert written.count("\n") == plain.file.getvalue().count("\n")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_text_from_outside_acts_on_a_page(text):
    html, plain = (
        Page(plan_of()).whole(
            Seen(each).snapshot, History(), [Event("2026-01-01T00:00:00.000Z", each, each, each, each)], NOW_S
        )
        for each in (text, "-harmless")
    )

    assert not CONTROL.search(html)
    assert html.encode()
    assert re.findall(r"</?\w+", html) == re.findall(r"</?\w+", plain)
    assert str(escape("<script>")) in html or "<script>" not in text


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize(("accept", "parse"), [("", prometheus), ("application/openmetrics-text", open_metrics)])
def test_every_text_from_outside_is_exact_in_the_metrics(text, accept, parse):
    exposition, seen = Exposition(), Seen(text)
    exposition.show_programs(seen.snapshot)
    exposition.show_kafka(seen.view)
    body, _ = exposition.body(accept)

    labels = {label for family in parse(body.decode()) for each in family.samples for label in each.labels.values()}
    assert {f"readers{text}", f"orders{text}"} <= labels


def test_every_command_is_asked_for_text_from_outside_or_shows_none():
    known = SHOWING.keys() | WITHOUT_OUTSIDE_TEXT.keys()
    assert not set(commands()) - known - set(NO_COMMANDS), "tests/commands.py says what each is given"
    assert not SHOWING.keys() & WITHOUT_OUTSIDE_TEXT.keys()
