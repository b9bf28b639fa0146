"""The programs of others that kraftd runs beside a cluster. A new one is an entry here and its module below render."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ToolHome:
    """The files that a tool needs beside its executable.

    Attributes:
        mark: A file by which a home is known.
        packaged: Where the operating system's packages put it.
    """

    mark: str
    packaged: Path


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """What kraftd knows of a tool.

    Attributes:
        name: Of its program, its table in kraftd.toml, its directories and its executable on the PATH.
        does: What it is for, as a clause for the sample of kraftd.toml.
        health_path: Answers 200 while it serves.
        configuration_option: The option that takes the path of its configuration.
        configuration: The name of that file.
        source: Where to get it.
        renderer: The module with its ``arguments`` and ``files``; see render.tools.
        home: None where it needs nothing beside its executable.
    """

    name: str
    default_port: int
    does: str
    health_path: str
    configuration_option: str
    configuration: str
    source: str
    renderer: str
    home: ToolHome | None = None


PROMETHEUS = "prometheus"
GRAFANA = "grafana"

TOOL_DEFINITIONS = (
    ToolDefinition(
        name=PROMETHEUS,
        default_port=9090,
        does="it scrapes the daemon and the apps",
        health_path="/-/ready",
        configuration_option="--config.file",
        configuration="prometheus.yml",
        source="the Debian package prometheus, or prometheus.io",
        renderer="kraftd.render.prometheus",
    ),
    ToolDefinition(
        name=GRAFANA,
        default_port=3000,
        does="it runs, without a login, with Prometheus as its data source",
        health_path="/api/health",
        configuration_option="--config",
        configuration="grafana.ini",
        source="a package or the archive of grafana.com",
        renderer="kraftd.render.grafana",
        home=ToolHome("conf/defaults.ini", Path("/usr/share/grafana")),
    ),
)
"""In the order in which they are shown."""
