import json
import re
from itertools import chain, combinations
from pathlib import Path

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from kraftd.health.lag.status import LagStatus
from kraftd.health.programs.state import ServiceState
from kraftd.serve.metrics.exposition import families
from kraftd.serve.metrics.family import MetricKind
from tools.dashboards import shared, thresholds
from tools.dashboards.__main__ import DASHBOARDS, documents

ROOT = Path(__file__).resolve().parents[3]
MOST_OPEN_PANELS = 14
WITHOUT_CLUSTER = {"label_values(kraftd_build_info, kafka_cluster)"}
FUNCTIONS = {
    "rate",
    "deriv",
    "changes",
    "increase",
    "sum",
    "max",
    "min",
    "count",
    "avg",
    "max_over_time",
    "topk",
    "by",
    "or",
    "vector",
    "clamp",
    "clamp_min",
    "clamp_max",
    "histogram_quantile",
    "bool",
    "and",
    "unless",
    "on",
    "ignoring",
    "group_left",
    "count_values",
    "label_replace",
    "time",
    "abs",
    "floor",
}
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}")
STRING = re.compile(r'"[^"]*"')

FILES = {path.name: path.read_text(encoding="utf-8") for path in sorted(DASHBOARDS.glob("*.json"))}
WHOLE = {name: json.loads(text) for name, text in FILES.items()}


def panels_of(dashboard):
    """Return the panels with rows and what is folded into them."""
    return [each for panel in dashboard["panels"] for each in (panel, *panel.get("panels", ()))]


def shown(dashboard):
    return [panel for panel in panels_of(dashboard) if panel["type"] != "row"]


def cases():
    return [pytest.param(panel, id=f"{name}-{panel['id']}") for name, whole in WHOLE.items() for panel in shown(whole)]


def expressions(dashboard):
    yield from (target["expr"] for panel in shown(dashboard) for target in panel["targets"])
    yield from (annotation["expr"] for annotation in dashboard["annotations"]["list"])
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query" and variable["query"]["query"] not in WITHOUT_CLUSTER:
            yield re.fullmatch(r"label_values\((.*), \w+\)", variable["query"]["query"]).group(1)


EXPRESSIONS = sorted({expr for whole in WHOLE.values() for expr in expressions(whole)})
each_file = pytest.mark.parametrize("whole", WHOLE.values(), ids=list(WHOLE))
each_panel = pytest.mark.parametrize("panel", cases())
each_expression = pytest.mark.parametrize("expr", EXPRESSIONS)


def served_names():
    names = {"up", "scrape_duration_seconds", "scrape_samples_scraped", "ALERTS"}
    for family in families():
        parts = ("_bucket", "_sum", "_count") if family.kind is MetricKind.HISTOGRAM else ("",)
        names |= {family.name + part for part in parts}
    agent = (ROOT / "tests" / "alerts" / "agent_metrics.txt").read_text(encoding="utf-8")
    return names | set(agent.split()) | apps_names()


def apps_names():
    sources = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "apps").rglob("metrics.py"))
    found = re.findall(r"\b((?:http|kafka)_\w+)\b", sources)
    return {name + part for name in found for part in ("", "_total", "_bucket", "_sum", "_count")}


def test_the_committed_dashboards_are_those_of_their_source():
    assert documents() == FILES, "make dashboards writes them anew"


@each_file
def test_grafanas_model_reads_a_dashboard_and_loses_nothing(whole):
    register_default_plugins()
    again = json.loads(json.dumps(Dashboard.from_json(whole), cls=JSONEncoder))

    for annotation, read in zip(whole["annotations"]["list"], again["annotations"]["list"], strict=True):
        # Fields of Prometheus' annotations, which the model does not have.
        read.update({key: annotation[key] for key in ("step", "titleFormat", "textFormat", "useValueForTime")})
    assert again == whole


def provisioned(kind):
    (path,) = (DASHBOARDS.parent / "provisioning" / kind).glob("*.yml")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_a_grafana_of_ones_own_is_provisioned_with_a_data_source_and_a_folder():
    (source,) = provisioned("datasources")["datasources"]
    (provider,) = provisioned("dashboards")["providers"]

    assert (source["type"], source["url"]) == ("prometheus", "http://127.0.0.1:9090")
    # Variables that begin with KRAFTD_ are settings: a shell that exports another one can run no command of kraftd.
    assert provider["options"] == {"path": "$GRAFANA_DASHBOARDS"}


def test_each_dashboard_has_a_stable_address_of_its_own():
    addresses = {name: whole["uid"] for name, whole in WHOLE.items()}

    assert addresses == {name: f"kraftd-{name.removesuffix('.json')}" for name in FILES}
    assert len({whole["title"] for whole in WHOLE.values()}) == len(FILES)


@each_file
def test_a_dashboard_has_what_every_dashboard_has(whole):
    assert whole["tags"] == ["kraftd"]
    assert whole["editable"] is False
    assert whole["timezone"] == "browser"
    assert whole["refresh"]
    assert whole["description"]
    assert "id" not in whole
    assert {"Restarts", "Elections"} <= {each["name"] for each in whole["annotations"]["list"]}
    assert {link["type"] for link in whole["links"]} == {"dashboards", "link"}


@each_file
def test_the_data_source_is_chosen_and_never_written_down(whole):
    first, second = whole["templating"]["list"][:2]

    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
    assert (second["name"], second["query"]["query"]) == ("cluster", "label_values(kraftd_build_info, kafka_cluster)")
    targets = list(chain.from_iterable(panel["targets"] for panel in shown(whole)))
    queries = [each for each in whole["templating"]["list"] if each["type"] == "query"]
    for each in (*shown(whole), *targets, *queries, *whole["annotations"]["list"]):
        assert each["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@each_file
def test_a_variable_matches_everything_where_nothing_of_its_kind_exists_yet(whole):
    variables = {each["name"]: each for each in whole["templating"]["list"] if each["type"] == "query"}

    for name in variables.keys() - {"cluster", "daemon"}:
        assert variables[name]["includeAll"], name
        assert variables[name]["allValue"] == ".*"
        assert variables[name]["current"]["value"] == "$__all"
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(whole["panels"]) + json.dumps(whole["links"])))
    assert variables.keys() <= used | {"daemon"}, "a variable that nothing uses"
    assert used <= {each["name"] for each in whole["templating"]["list"]} | {"__rate_interval"}


@each_file
def test_no_panels_overlap_and_few_are_open(whole):
    for group in (whole["panels"], *(panel["panels"] for panel in whole["panels"] if panel["type"] == "row")):
        places = [panel["gridPos"] for panel in group]
        assert all(place["x"] + place["w"] <= 24 for place in places)
        for one, other in combinations(places, 2):
            beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    assert len([panel for panel in whole["panels"] if panel["type"] != "row"]) <= MOST_OPEN_PANELS
    assert all(panel["collapsed"] for panel in whole["panels"] if panel["type"] == "row")
    numbers = [panel["id"] for panel in panels_of(whole)]
    assert len(set(numbers)) == len(numbers)


@each_panel
def test_a_panel_says_what_it_shows_what_is_normal_and_what_to_do(panel):
    assert panel["title"]
    assert re.fullmatch(r".+\n\nNormal: .+\n\nOtherwise: .+", panel["description"], re.DOTALL)
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    assert all(target["legendFormat"] for target in panel["targets"])


def test_a_title_names_one_panel_of_a_dashboard():
    for whole in WHOLE.values():
        titles = [panel["title"] for panel in panels_of(whole)]
        assert sorted(set(titles)) == sorted(titles)


@each_expression
def test_every_selector_has_its_job_and_its_cluster(expr):
    for name, matchers in SELECTOR.findall(expr):
        assert 'kafka_cluster="$cluster"' in matchers, name
        assert name == "ALERTS" or re.search(r'\bjob=(~?)"(kraftd|kafka|kraftd-apps)(\|\S+)?"', matchers), name
    bare = re.findall(r"(?<![\w$])([a-z_]\w+)(?![\w{])", STRING.sub("", SELECTOR.sub("", expr)))
    labels = set(chain.from_iterable(re.findall(r"\w+", names) for names in re.findall(r"(?:by|on) \(([^)]*)\)", expr)))
    assert {word for word in bare if not re.fullmatch(r"\d\w*", word)} <= FUNCTIONS | labels | {"m"}


@each_expression
def test_the_range_of_a_rate_follows_the_scrape_interval(expr):
    ranges = re.findall(r"\b(?:rate|irate|increase)\([^[]*\[([^]]*)\]", expr)

    assert set(ranges) <= {"$__rate_interval"}


RULES = {
    rule["alert"]: rule["expr"]
    for path in (ROOT / "monitoring" / "rules").glob("*.yml")
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
THRESHOLDS = {name: each for name, each in vars(thresholds).items() if isinstance(each, thresholds.Threshold)}


@pytest.mark.parametrize("threshold", [each for each in THRESHOLDS.values() if each.alert], ids=lambda each: each.alert)
def test_a_panel_changes_its_colour_where_its_alert_fires(threshold):
    expr = RULES[threshold.alert]
    compared = {float(number) for number in re.findall(r"(?:[<>]=?|[!=]=) *(\d+(?:\.\d+)?)", expr)}
    compared |= {float(one) * float(other) for one, other in re.findall(r"(\d+) \* (\d+)", expr)}
    bound = threshold.warning if threshold.critical is None else threshold.critical

    # Of whole numbers, more than 2 is from 3 on.
    assert {bound, bound - 1} & compared or threshold in (thresholds.VOTERS_TO_SPARE, thresholds.TRANSACTION_AGE_S)


@pytest.mark.parametrize(
    ("states", "mapping"),
    [(ServiceState, shared.BROKER_STATES), (LagStatus, shared.GROUP_STATUSES)],
    ids=["broker", "group"],
)
def test_every_state_that_kraftd_tells_has_a_colour(states, mapping):
    assert {name for name, _ in mapping} == {state.value.lower() for state in states}


def test_every_runbook_that_a_panel_names_is_there():
    sections = re.findall(r"^#+ (\w+)$", (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8"), re.MULTILINE)
    named = set(re.findall(r"docs/runbooks\.md#(\w+)", "".join(FILES.values())))

    assert named
    assert named <= {section.lower() for section in sections}


@each_expression
def test_a_count_of_what_is_not_there_is_zero_and_not_nothing(expr):
    counted = re.findall(r"\bcount(?: by \([^)]*\))? ?\(([^()]*)\)", SELECTOR.sub("series", expr))

    assert not [each for each in counted if re.search(r"[<>]|[=!]=", each)]


@each_expression
def test_what_every_controller_reports_is_not_added_up(expr):
    sums = re.findall(r"\bsum(?: by \([^)]*\))?\((kafka_controller_\w+)\{", expr)

    assert set(sums) <= {"kafka_controller_kafkacontroller_activecontrollercount"}


@each_expression
def test_something_serves_every_metric(expr):
    assert {name for name, _ in SELECTOR.findall(expr)} <= served_names()
