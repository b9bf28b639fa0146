"""Draws the dashboards: ``python -m tools.dashboard_pictures --prometheus URL [--cluster NAME] [--out DIRECTORY]``."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tools.dashboard_pictures.charts import DRAWN, marked
from tools.dashboard_pictures.evaluation import (
    Json,
    Prometheus,
    PrometheusApi,
    QueryError,
    Window,
    evaluated,
    expression,
    variables,
)
from tools.dashboard_pictures.svg import FAINT, PANEL, Box, document, fitted, rectangle, text

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = ROOT / "monitoring" / "grafana" / "dashboards"
PICTURES = ROOT / "docs" / "images"
WIDTH, MARGIN, CELL, GAP, HEAD = 1400, 12, 38, 8, 44


def picture(dashboard: Json, prometheus: Prometheus, cluster: str, window: Window, *, unfolded: bool = False) -> str:
    """Return a dashboard as SVG, its rows folded unless asked otherwise.

    Raises:
        QueryError: Prometheus refused a query.
    """
    values = variables(dashboard, cluster)
    parts = [
        text(MARGIN, 28, dashboard["title"], size=18),
        text(WIDTH - MARGIN, 28, f"Cluster {cluster}", size=13, fill=FAINT, anchor="end"),
    ]
    events = _events(dashboard, prometheus, values, window)
    depth = 0
    for panel, top in _placed(dashboard, unfolded=unfolded):
        grid = panel["gridPos"]
        column = (WIDTH - 2 * MARGIN) / 24
        box = Box(MARGIN + grid["x"] * column, HEAD + top * CELL, grid["w"] * column - GAP, grid["h"] * CELL - GAP)
        depth = max(depth, top + grid["h"])
        if panel["type"] == "row":
            parts.append(text(box.x, box.y + 20, f"{'v' if unfolded else '>'}  {panel['title']}", size=14))
            continue
        series = evaluated(panel, prometheus, values, window)
        parts += [
            rectangle(box, PANEL),
            text(box.x + 8, box.y + 18, fitted(panel["title"], box.width - 16, 13), size=13),
        ]
        inner = box.inside(8, 26, 8, 8)
        parts += DRAWN[panel["type"]](panel, series, window, inner)
        if panel["type"] == "timeseries":
            parts += marked(events, window, inner)
    return document(WIDTH, HEAD + depth * CELL + MARGIN, parts, dashboard["title"])


def _events(
    dashboard: Json, prometheus: Prometheus, values: Mapping[str, str], window: Window
) -> list[tuple[float, str]]:
    """Return the time of each annotation that is switched on, and its colour."""
    events = []
    for annotation in dashboard["annotations"]["list"]:
        if annotation["enable"]:
            expr = expression(annotation["expr"], values, window)
            stepped = replace(window, step_s=float(annotation["step"].removesuffix("s")))
            found = prometheus.over(expr, stepped)
            events += [(float(row["values"][0][0]), annotation["iconColor"]) for row in found]
    return events


def _placed(dashboard: Json, *, unfolded: bool) -> Iterator[tuple[Json, int]]:
    shift = 0
    for panel in dashboard["panels"]:
        yield panel, panel["gridPos"]["y"] + shift
        if panel["type"] == "row" and unfolded:
            bottoms = []
            for inner in panel["panels"]:
                yield inner, inner["gridPos"]["y"] + shift
                bottoms.append(inner["gridPos"]["y"] + inner["gridPos"]["h"])
            shift += max(bottoms) - panel["gridPos"]["y"] - 1


def _cluster(prometheus: Prometheus, at_s: float) -> str:
    found = prometheus.at("count by (kafka_cluster) (kraftd_build_info)", at_s)
    names = [row["metric"].get("kafka_cluster", "") for row in found]
    if len(names) != 1:
        raise QueryError(f"there are {len(names)} clusters in this Prometheus: choose one by --cluster")
    return str(names[0])


def main(arguments: Sequence[str]) -> int:
    """Draw what the arguments ask for; 1 where Prometheus does not answer what it must."""
    parser = argparse.ArgumentParser(description="Draws the dashboards from the data of a Prometheus.")
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", metavar="URL")
    parser.add_argument("--cluster", help="its name; not needed where there is one")
    parser.add_argument("--out", type=Path, default=PICTURES)
    parser.add_argument("--minutes", type=float, default=30, help="how long before the end")
    parser.add_argument("--end", type=float, help="in seconds since the Unix epoch; now, if not given")
    parser.add_argument("--scrape-interval", type=float, default=15, metavar="SECONDS")
    parser.add_argument("--only", nargs="*", help="names of dashboards: overview, brokers, ...")
    parser.add_argument("--unfolded", action="store_true", help="with the panels of the rows")
    options = parser.parse_args(arguments)
    prometheus = PrometheusApi(options.prometheus.rstrip("/"))
    end_s = options.end or time.time()  # noqa: TID251 the end of a picture is the time of this machine
    window = Window(end_s - 60 * options.minutes, end_s, max(options.minutes / 2, 1), options.scrape_interval)
    try:
        cluster = options.cluster or _cluster(prometheus, end_s)
        for path in sorted(DASHBOARDS.glob("*.json")):
            if options.only and path.stem not in options.only:
                continue
            dashboard = json.loads(path.read_text(encoding="utf-8"))
            drawn = picture(dashboard, prometheus, cluster, window, unfolded=options.unfolded)
            target = options.out / f"dashboard-{path.stem}.svg"
            target.write_text(drawn, encoding="utf-8")
            print(target)
    except (QueryError, OSError) as error:
        print(f"cannot draw the dashboards: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
