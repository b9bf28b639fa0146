"""What every dashboard has: its variables, annotations, links, and the places of its panels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from tools.dashboards.panels import BAD, DATASOURCE, WAITING, WARNING, Panel
from tools.dashboards.queries import alerts, daemon

_COLUMNS = 24
TAG = "kraftd"


@dataclass(frozen=True, slots=True)
class Row:
    """Panels that are folded away until someone wants to know more."""

    title: str
    panels: Sequence[Panel]


class _SeriesAnnotation(models.AnnotationQuery):
    """An annotation from a series; the SDK's model lacks the fields of Prometheus' annotations."""

    def __init__(self, *, title: str, text: str, **fields: Any) -> None:
        super().__init__(datasource=DATASOURCE, **fields)
        self._fields = {"step": "60s", "titleFormat": title, "textFormat": text, "useValueForTime": False}

    def to_json(self) -> dict[str, object]:
        return super().to_json() | self._fields

    def build(self) -> models.AnnotationQuery:
        return self


def built(
    uid: str,
    title: str,
    question: str,
    panels: Sequence[Panel],
    *folded: Row,
    variables: Sequence[dashboard.QueryVariable | dashboard.CustomVariable] = (),
) -> models.Dashboard:
    """Return a dashboard that answers the question, its open panels placed from the top left, the rows below them.

    Its variables are those of every dashboard and, in addition, ``variables``.
    """
    builder = dashboard.Dashboard(title).uid(uid).description(question).tags([TAG]).readonly()
    builder.timezone("browser").refresh("15s").time("now-30m", "now").version(1)
    builder.tooltip(models.DashboardCursorSync.CROSSHAIR)
    builder.variables([*_common_variables(), *variables])
    builder.annotations(list(_annotations()))
    builder.links(list(_links()))
    whole = builder.build()
    bottom, placed = _arranged([panel.build() for panel in panels], 0)
    whole.panels = list(placed)
    for row in folded:
        place = models.GridPos(x=0, y=bottom, w=_COLUMNS, h=1)
        _, inner = _arranged([panel.build() for panel in row.panels], bottom + 1)
        whole.panels.append(models.RowPanel(title=row.title, collapsed=True, grid_pos=place, panels=inner))
        bottom += 1
    _number(whole)
    return whole


def choice(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """Return a variable of which any number of values can be chosen; all of them match even where none exists yet."""
    variable = _query_variable(name, label, query).multi(True).include_all(True).all_value(".*")
    return variable.current(models.VariableOption(selected=True, text="All", value="$__all"))


def _common_variables() -> tuple[Any, ...]:
    return (
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus").multi(False),
        _query_variable("cluster", "Cluster", "label_values(kraftd_build_info, kafka_cluster)").multi(False),
        _query_variable("daemon", "kraftd", f"label_values({daemon('kraftd_build_info')}, instance)")
        .multi(False)
        .hide(models.VariableHide.HIDE_VARIABLE),
    )


def _query_variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    variable = dashboard.QueryVariable(name).label(label).datasource(DATASOURCE)
    variable.query({"query": query, "refId": "StandardVariableQuery"})
    return variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.NATURAL_ASC)


def _annotations() -> tuple[Any, ...]:
    # Somewhat more than the step, so that no change falls between two windows.
    return (
        _SeriesAnnotation(
            name="Restarts",
            icon_color=WARNING,
            expr=f"changes({daemon('kraftd_process_restarts_total')}[75s]) > 0",
            title="{{name}} restarted",
            text="kraftd started it again; kraftd why {{name}} tells the cause",
        ),
        _SeriesAnnotation(
            name="Elections",
            icon_color=WAITING,
            expr=f"changes({daemon('kraftd_quorum_leader_epoch')}[75s]) > 0",
            title="new active controller",
            text="the quorum's leader epoch rose",
        ),
        _SeriesAnnotation(
            name="Alerts",
            icon_color=BAD,
            expr=alerts(),
            title="{{alertname}}",
            text="{{severity}}",
            enable=False,
        ),
    )


def _links() -> tuple[Any, ...]:
    others = dashboard.DashboardLink("Dashboards").type(models.DashboardLinkType.DASHBOARDS).tags([TAG])
    others.as_dropdown(True).include_vars(True).keep_time(True).target_blank(False)
    status = dashboard.DashboardLink("Status page").type(models.DashboardLinkType.LINK).url("http://${daemon}/")
    status.tooltip("What kraftd itself says of the cluster").target_blank(True).icon("external link")
    return others, status


def _arranged(panels: Sequence[models.Panel], top: int) -> tuple[int, list[models.Panel]]:
    """Put each panel where it lies highest, leftmost of these, and return the height with the panels."""
    depths = [top] * _COLUMNS
    for panel in panels:
        assert panel.grid_pos is not None  # noqa: S101 the SDK's model allows None
        width, height = panel.grid_pos.w, panel.grid_pos.h
        heights = [max(depths[left : left + width]) for left in range(_COLUMNS - width + 1)]
        left = heights.index(min(heights))
        panel.grid_pos = models.GridPos(x=left, y=heights[left], w=width, h=height)
        depths[left : left + width] = [heights[left] + height] * width
    return max(depths), list(panels)


def _number(whole: models.Dashboard) -> None:
    number = 0
    for panel in whole.panels or []:
        for each in (panel, *(panel.panels if isinstance(panel, models.RowPanel) else ())):
            number += 1
            each.id_val = number
