"""The kinds of panels, each with its title, unit, description and bounds; the same colours mean the same everywhere."""

from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as prometheus_models

from tools.dashboards.queries import Query
from tools.dashboards.thresholds import Threshold

DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
RUNBOOKS = "docs/runbooks.md"

GOOD, WAITING, WARNING, BAD, WORSE, OFF = "green", "blue", "yellow", "red", "dark-red", "#8e8e8e"
IN, OUT, INTERNAL = "blue", "purple", "orange"

ANY = Threshold()
States = tuple[tuple[str, str], ...]
Panel = Builder[models.Panel]
_Kind = TypeVar("_Kind", timeseries.Panel, stat.Panel, statetimeline.Panel, bargauge.Panel, table.Panel)


@dataclass(frozen=True, slots=True)
class About:
    """What the reader of a panel must know.

    Attributes:
        what: What it shows.
        normal: What is normal.
        otherwise: What to do when it is not.
    """

    what: str
    normal: str
    otherwise: str


def lines(
    title: str,
    about: About,
    unit: str,
    *queries: Query,
    limit: Threshold = ANY,
    width: int = 12,
    height: int = 8,
    stacked: bool = False,
    minimum: float | None = 0,
    maximum: float | None = None,
    colours: dict[str, str] | None = None,
) -> Panel:
    """Return values over time, the bounds as dashed lines; a series has a colour by its legend, or else by its name."""
    panel = timeseries.Panel().unit(unit).fill_opacity(35 if stacked else 8).line_width(1)
    panel.show_points(common_models.VisibilityMode.NEVER)
    panel.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    panel.tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
    panel.legend(_legend_below())
    if stacked:
        panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    if minimum is not None:
        panel.min(minimum)
    if maximum is not None:
        panel.max(maximum)
    panel.thresholds(_steps(limit))
    if limit != ANY:
        dashed = common_models.GraphThresholdsStyleMode.DASHED
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(dashed))
    for name, colour in (colours or {}).items():
        panel.override_by_name(name, [models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})])
    return _finished(panel, title, about, limit, queries, width, height)


def number(
    title: str,
    about: About,
    unit: str,
    *queries: Query,
    limit: Threshold = ANY,
    width: int = 4,
    height: int = 4,
    decimals: float | None = None,
) -> Panel:
    """Return the newest value, large, coloured by its bounds."""
    panel = stat.Panel().unit(unit).color_mode(common_models.BigValueColorMode.BACKGROUND)
    if limit == ANY:
        panel.color_mode(common_models.BigValueColorMode.VALUE)
    panel.graph_mode(common_models.BigValueGraphMode.NONE if limit == ANY else common_models.BigValueGraphMode.AREA)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
    panel.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    panel.thresholds(_steps(limit, good="text" if limit == ANY else GOOD))
    if decimals is not None:
        panel.decimals(decimals)
    return _finished(panel, title, about, limit, queries, width, height)


def states(
    title: str, about: About, mapping: States, *queries: Query, limit: Threshold = ANY, width: int = 12, height: int = 8
) -> Panel:
    """Return a bar for each series over time, its codes 1, 2, ... with the names and colours of the mapping."""
    panel = statetimeline.Panel().unit("none").merge_values(True).row_height(0.85).fill_opacity(85).line_width(0)
    panel.show_value(common_models.VisibilityMode.NEVER)
    panel.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    panel.thresholds(_steps(ANY))
    panel.mappings([_mapping(mapping)])
    panel.legend(_legend_below())
    return _finished(panel, title, about, limit, queries, width, height)


def bars(
    title: str,
    about: About,
    unit: str,
    *queries: Query,
    limit: Threshold = ANY,
    width: int = 8,
    height: int = 8,
    maximum: float | None = None,
) -> Panel:
    """Return the newest value of each series as a horizontal bar."""
    panel = bargauge.Panel().unit(unit).min(0).display_mode(common_models.BarGaugeDisplayMode.BASIC)
    panel.orientation(common_models.VizOrientation.HORIZONTAL)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
    panel.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    panel.thresholds(_steps(limit, good=WAITING if limit == ANY else GOOD))
    if maximum is not None:
        panel.max(maximum)
    return _finished(panel, title, about, limit, queries, width, height)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        expr: Its values by the labels of the rows.
        limit: The bounds that colour its cells.
        mapping: The names of the codes 1, 2, ... with their colours, where the values are states.
    """

    title: str
    expr: str
    unit: str = "short"
    limit: Threshold = ANY
    mapping: States = ()


def rows(
    title: str,
    about: About,
    labels: dict[str, str],
    *columns: Column,
    limit: Threshold = ANY,
    width: int = 12,
    height: int = 8,
) -> Panel:
    """Return a table of the newest values: a row for each combination of the labels, which have titles of their own."""
    panel = table.Panel().unit("short").show_header(True).inspect(False).thresholds(_steps(ANY))
    panel.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    renamed = {f"Value #{_ref_id(place)}": column.title for place, column in enumerate(columns)}
    if len(columns) == 1:
        renamed = {"Value": columns[0].title}
    panel.transformations(
        [
            models.DataTransformerConfig(id_val="merge", options={}),
            models.DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": {"Time": True},
                    "indexByName": {name: place for place, name in enumerate([*labels, *renamed])},
                    "renameByName": {**labels, **renamed},
                },
            ),
        ]
    )
    for column in columns:
        panel.override_by_name(column.title, _cell(column))
    queries = tuple(Query(column.expr, column.title) for column in columns)
    return _finished(panel, title, about, limit, queries, width, height)


def _cell(column: Column) -> list[models.DynamicConfigValue]:
    properties = [models.DynamicConfigValue("unit", column.unit)]
    if column.mapping:
        properties.append(models.DynamicConfigValue("mappings", [_mapping(column.mapping)]))
    if column.limit != ANY:
        properties.append(models.DynamicConfigValue("thresholds", _steps(column.limit).build()))
    if column.mapping or column.limit != ANY:
        properties.append(models.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
    return properties


def _legend_below() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(common_models.LegendDisplayMode.LIST)
        .placement(common_models.LegendPlacement.BOTTOM)
        .show_legend(True)
    )


def _finished(
    panel: _Kind, title: str, about: About, limit: Threshold, queries: tuple[Query, ...], width: int, height: int
) -> _Kind:
    panel.title(title).description(_description(about, limit)).datasource(DATASOURCE).span(width).height(height)
    newest = isinstance(panel, table.Panel)
    for place, query in enumerate(queries):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(_ref_id(place))
        target.datasource(DATASOURCE)
        if newest:
            target.instant().format(prometheus_models.PromQueryFormat.TABLE)
        else:
            target.range().format(prometheus_models.PromQueryFormat.TIME_SERIES)
        panel.with_target(target)
    return panel


def _description(about: About, limit: Threshold) -> str:
    parts = [about.what, f"Normal: {about.normal}", f"Otherwise: {about.otherwise}"]
    if limit.alert:
        parts.append(f"Alert: {limit.alert}, explained in {RUNBOOKS}#{limit.alert.lower()}.")
    return "\n\n".join(parts)


def _steps(limit: Threshold, good: str = GOOD) -> dashboard.ThresholdsConfig:
    bounds = [(limit.warning, WARNING), (limit.critical, BAD)]
    known = sorted((value / limit.in_seconds, colour) for value, colour in bounds if value is not None)
    if limit.low:
        # A step's colour holds from its value upwards: each bound starts what is better than it.
        better = [colour for _, colour in known[1:]] + [good]
        steps = [(None, known[0][1]), *((value, colour) for (value, _), colour in zip(known, better, strict=True))]
    else:
        steps = [(None, good), *known]
    config = dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE)
    return config.steps([models.Threshold(value=value, color=colour) for value, colour in steps])


def _mapping(mapping: States) -> models.ValueMap:
    return models.ValueMap(
        options={
            str(place): models.ValueMappingResult(text=text, color=colour, index=place - 1)
            for place, (text, colour) in enumerate(mapping, start=1)
        }
    )


def _ref_id(place: int) -> str:
    return chr(ord("A") + place)
