"""Rendering of tools: each by the module that its definition names."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from kraftd.plan.kinds import Tool
from kraftd.plan.plan import Plan

RENDERED = "Rendered by kraftd; changes here are overwritten."


@dataclass(frozen=True, slots=True)
class MonitoringFiles:
    """What ships with kraftd for its tools.

    Attributes:
        rules: Files of alerting and recording rules, for Prometheus.
        dashboards: The directory of the dashboards, for Grafana; None where there are none.
    """

    rules: tuple[Path, ...] = ()
    dashboards: Path | None = None


class ToolRenderer(Protocol):
    """The module that renders a tool."""

    def arguments(self, plan: Plan, tool: Tool) -> tuple[str, ...]:
        """Return the arguments of its executable; they include ``plan.marker``, the path of its configuration."""

    def files(self, plan: Plan, tool: Tool, monitoring: MonitoringFiles) -> dict[Path, str]:
        """Return the texts of its files by path, its configuration included."""


def tool_command(plan: Plan, tool: Tool) -> tuple[str, ...]:
    """Return the argv of a tool."""
    return (str(tool.executable.path), *_renderer(tool).arguments(plan, tool))


def tool_files(plan: Plan, tool: Tool, monitoring: MonitoringFiles) -> dict[Path, str]:
    """Return the texts of a tool's files by path.

    Args:
        plan: The cluster.
        tool: One of its tools.
        monitoring: What ships with kraftd for it.
    """
    return _renderer(tool).files(plan, tool, monitoring)


def configuration_path(plan: Plan, tool: Tool) -> Path:
    """Return the path of a tool's configuration."""
    return plan.layout.config(tool.name) / tool.configuration


def _renderer(tool: Tool) -> ToolRenderer:
    return cast("ToolRenderer", import_module(tool.renderer))
