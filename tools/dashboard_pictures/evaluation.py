"""The values of a dashboard's panels: each of its queries evaluated by Prometheus."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

Json = dict[str, Any]


class QueryError(Exception):
    """Prometheus refused a query; the text is its reason."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time of a picture, in seconds since the Unix epoch."""

    start_s: float
    end_s: float
    step_s: float
    scrape_interval_s: float = 15

    @property
    def rate_interval_s(self) -> float:
        """Grafana's ``$__rate_interval``."""
        return max(self.step_s + self.scrape_interval_s, 4 * self.scrape_interval_s)


@dataclass(frozen=True, slots=True)
class Series:
    """A line: its name in the legend, and its points.

    Attributes:
        ref: The query that it comes from.
        points: Time in seconds and value, which is never NaN.
    """

    name: str
    ref: str
    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class Prometheus(Protocol):
    """What evaluates queries."""

    def over(self, expr: str, window: Window) -> list[Json]:
        """Return the result of a range query.

        Raises:
            QueryError: Prometheus refused it.
        """

    def at(self, expr: str, time_s: float) -> list[Json]:
        """Return the result of an instant query.

        Raises:
            QueryError: Prometheus refused it.
        """


@dataclass(frozen=True, slots=True)
class PrometheusApi:
    """The HTTP API of a Prometheus.

    Attributes:
        url: Without a slash at its end.
    """

    url: str
    timeout_s: float = 30

    def over(self, expr: str, window: Window) -> list[Json]:
        """Return the result of a range query.

        Raises:
            QueryError: Prometheus refused it.
        """
        times = {"start": window.start_s, "end": window.end_s, "step": window.step_s}
        return self._result("query_range", {"query": expr, **times})

    def at(self, expr: str, time_s: float) -> list[Json]:
        """Return the result of an instant query.

        Raises:
            QueryError: Prometheus refused it.
        """
        return self._result("query", {"query": expr, "time": time_s})

    def _result(self, endpoint: str, parameters: Mapping[str, Any]) -> list[Json]:
        if not self.url.startswith(("http://", "https://")):
            raise QueryError(f"{self.url} is not an address of HTTP")
        body = urlencode(parameters).encode()
        try:
            with urlopen(f"{self.url}/api/v1/{endpoint}", body, timeout=self.timeout_s) as answer:  # noqa: S310
                found: list[Json] = json.load(answer)["data"]["result"]
        except HTTPError as error:
            with error:
                raise QueryError(json.loads(error.read() or b"{}").get("error", str(error))) from None
        return found


def variables(dashboard: Json, cluster: str) -> dict[str, str]:
    """Return the value of each variable: the cluster, all of those with a choice, and the first of the others."""
    values = {"cluster": cluster.replace("\\", "\\\\").replace('"', '\\"')}
    for variable in dashboard["templating"]["list"]:
        if variable.get("includeAll"):
            values[variable["name"]] = variable["allValue"]
        elif variable["type"] == "custom":
            values[variable["name"]] = variable["current"]["value"]
    return values


def expression(expr: str, values: Mapping[str, str], window: Window) -> str:
    """Return a query with its variables replaced."""
    known = {**values, "__rate_interval": f"{window.rate_interval_s:.0f}s"}
    return re.sub(r"\$\{?(\w+)\}?", lambda match: known[match[1]], expr)


def panels(dashboard: Json) -> Iterator[Json]:
    """Yield every panel, those in rows that are folded away included."""
    for panel in dashboard["panels"]:
        yield from panel["panels"] if panel["type"] == "row" else [panel]


def evaluated(panel: Json, prometheus: Prometheus, values: Mapping[str, str], window: Window) -> list[Series]:
    """Return the series of a panel; those of a table have one point.

    Raises:
        QueryError: Prometheus refused a query.
    """
    found = []
    for target in panel["targets"]:
        expr = expression(target["expr"], values, window)
        rows = prometheus.at(expr, window.end_s) if target.get("instant") else prometheus.over(expr, window)
        for row in rows:
            points = [row["value"]] if "value" in row else row["values"]
            known = tuple((float(at), float(text)) for at, text in points if not math.isnan(float(text)))
            found.append(Series(_legend(target["legendFormat"], row["metric"]), target["refId"], row["metric"], known))
    return [series for series in found if series.points]


def _legend(template: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), template)
