import itertools
import json
import re
from xml.etree import ElementTree

import pytest

from tools.dashboard_pictures import charts
from tools.dashboard_pictures.__main__ import DASHBOARDS, picture
from tools.dashboard_pictures.evaluation import Window, expression, variables
from tools.dashboard_pictures.formats import number, step_colour, ticks
from tools.dashboard_pictures.svg import Box
from tools.dashboards.__main__ import as_json
from tools.dashboards.panels import About, Column, bars, lines, rows, states
from tools.dashboards.panels import number as number_panel
from tools.dashboards.queries import Query
from tools.dashboards.thresholds import Threshold

WINDOW = Window(1000, 1060, 15)
ABOUT = About("what", "normal.", "otherwise.")
SVG = "{http://www.w3.org/2000/svg}"
LABELS = {"program": "<broker-1>", "topic": "t", "consumergroup": "g", "broker_id": "1", "name": "producer"}


class FakePrometheus:
    """Answers every query with the same series, or with the texts of its values."""

    def __init__(self, *values):
        self.values = values or ("1",)
        self.asked = []

    def over(self, expr, window):
        self.asked.append(expr)
        return [{"metric": LABELS, "values": [[window.start_s + 15 * i, v] for i, v in enumerate(self.values)]}]

    def at(self, expr, time_s):
        self.asked.append(expr)
        return [{"metric": LABELS, "value": [time_s, self.values[-1]]}]


def panel_of(built):
    return json.loads(as_json(built.build()))


def texts(svg):
    return [each.text for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def dashboard_of(*built):
    panels = [panel_of(each) | {"gridPos": {"x": 0, "y": 8 * i, "w": 12, "h": 8}} for i, each in enumerate(built)]
    return {"title": "A & B", "panels": panels, "templating": {"list": []}, "annotations": {"list": []}}


@pytest.mark.parametrize("path", sorted(DASHBOARDS.glob("*.json")), ids=lambda path: path.stem)
@pytest.mark.parametrize("unfolded", [False, True])
def test_every_dashboard_can_be_drawn_with_each_panel_and_no_variable_left(path, unfolded):
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    prometheus = FakePrometheus("1", "NaN", "3")

    svg = picture(dashboard, prometheus, 'my "cluster"', WINDOW, unfolded=unfolded)

    shown = " ".join(filter(None, texts(svg)))
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert all(panel["title"][:12] in shown for panel in panels)
    assert not [expr for expr in prometheus.asked if "$" in expr]
    assert all('kafka_cluster="my \\"cluster\\""' in expr for expr in prometheus.asked)


def test_the_lines_of_a_panel_have_their_names_their_bound_and_their_units():
    built = lines("Time", ABOUT, "s", Query("up", "{{program}} p99"), limit=Threshold(warning=60))

    svg = picture(dashboard_of(built), FakePrometheus("30", "120"), "c", WINDOW)

    assert {"A & B", "Time", "<broker-1> p99", "2 min"} <= set(texts(svg))
    dashed = [each for each in ElementTree.fromstring(svg).iter(f"{SVG}polyline") if each.get("stroke-dasharray")]
    assert [each.get("stroke") for each in dashed] == ["#fade2a"]


def test_states_bars_numbers_and_tables_show_what_grafana_would():
    mapping = (("ready", "green"), ("down", "red"))
    columns = (Column("State", "up", mapping=mapping), Column("Bytes", "up", "bytes"))
    dashboard = dashboard_of(
        states("Brokers", ABOUT, mapping, Query("up", "{{broker_id}}")),
        bars("Size", ABOUT, "bytes", Query("up", "{{topic}}")),
        number_panel("Down", ABOUT, "short", Query("up", "down"), limit=Threshold(critical=1)),
        rows("Groups", ABOUT, {"consumergroup": "Group"}, *columns),
    )

    svg = picture(dashboard, FakePrometheus("1", "2"), "c", WINDOW)

    assert {"ready", "down", "2 B", "2", "Group", "State", "Bytes", "g"} <= set(texts(svg))
    assert {"#73bf69", "#f2495c"} <= {each.get("fill") for each in ElementTree.fromstring(svg).iter(f"{SVG}rect")}


def test_a_panel_without_series_says_so():
    built = lines("Time", ABOUT, "s", Query("up", "x"))

    assert "No data" in texts(picture(dashboard_of(built), FakePrometheus("NaN"), "c", WINDOW))


def test_a_variable_is_all_of_its_kind_or_its_first_value():
    dashboard = json.loads((DASHBOARDS / "brokers.json").read_text(encoding="utf-8"))

    values = variables(dashboard, "c\\d")

    assert values == {"cluster": "c\\\\d", "node": ".*", "request": "Produce"}
    assert expression('rate(x{a="$node"}[$__rate_interval])', values, WINDOW) == 'rate(x{a=".*"}[60s])'


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0, "s", "0 s"),
        (0.0123, "s", "12.3 ms"),
        (90, "s", "1.5 min"),
        (2592000, "s", "30 days"),
        (1536, "bytes", "1.5 KiB"),
        (2500000, "Bps", "2.5 MB/s"),
        (0.125, "percentunit", "12.5%"),
        (1234, "short", "1.23 K"),
        (12, "recps", "12 rec/s"),
        (101, "none", "101"),
    ],
)
def test_a_value_is_shown_with_its_unit(value, unit, shown):
    assert number(value, unit) == shown


@pytest.mark.parametrize(
    ("low", "high", "unit", "marks"),
    [
        (0, 100, "short", [0, 25, 50, 75, 100]),
        (0, 150, "s", [0, 60, 120, 180]),
        (0, 4000, "bytes", [0, 1024, 2048, 3072, 4096]),
        (-9, 9, "recps", [-10, -5, 0, 5, 10]),
    ],
)
def test_the_marks_of_an_axis_are_round(low, high, unit, marks):
    assert ticks(low, high, unit) == marks


def test_a_value_has_the_colour_of_the_step_that_it_reaches():
    steps = {"steps": [{"value": None, "color": "red"}, {"value": 0.3, "color": "green"}]}

    assert [step_colour(value, steps) for value in (0.1, 0.3)] == ["#f2495c", "#73bf69"]


def test_series_of_one_panel_have_colours_of_their_own():
    panel = {"fieldConfig": {"overrides": []}}
    names = [f"group-{number}" for number in range(12)]

    found = charts._colours(panel, names)

    assert len(set(found.values())) == len(names)
    assert charts._colours(panel, names[:1]) == {names[0]: found[names[0]]}


def test_names_of_capitals_lie_beside_each_other_in_a_legend():
    entries = [(f"COORDINATOR_NOT_AVAILABLE (Find_{number})", "#fff") for number in range(9)]

    drawn = "".join(charts._legend(entries, Box(0, 0, 600, 200)))
    placed = [(float(x), float(y), name) for x, y, name in re.findall(r'<text x="(.+?)" y="(.+?)".*?>(.+?)<', drawn)]

    assert placed[-1][2] == "and 6 more"
    for (x, y, name), (next_x, next_y, _) in itertools.pairwise(placed):
        assert next_y > y or x + len(name) * 11 * 0.6 < next_x
