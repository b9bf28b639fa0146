"""Alertmanager's arguments and configuration: on loopback, alone, with one receiver."""

from pathlib import Path

from kraftd.escapes import yaml_string
from kraftd.plan.kinds import Tool
from kraftd.plan.plan import Plan
from kraftd.render.tools import RENDERED, MonitoringFiles, configuration_path


def arguments(plan: Plan, tool: Tool) -> tuple[str, ...]:
    """Return the arguments of its executable."""
    return (
        *plan.marker(tool.name).arguments,
        f"--storage.path={plan.layout.data(tool.name)}",
        f"--web.listen-address={tool.host}:{tool.port}",
        # By default it listens for other Alertmanagers on every address, on the port of broker 3.
        "--cluster.listen-address=",
        "--log.level=warn",
    )


def files(plan: Plan, tool: Tool, monitoring: MonitoringFiles) -> dict[Path, str]:
    """Return its configuration."""
    lines = [
        f"# {RENDERED}",
        "route:",
        "  receiver: webhook",
        # One message of each cluster, for all that one fault causes.
        "  group_by: [kafka_cluster]",
        "  group_wait: 15s",
        "receivers:",
        "  - name: webhook",
    ]
    if url := tool.option("webhook_url"):
        lines += ["    webhook_configs:", f"      - url: {yaml_string(url)}"]
    return {configuration_path(plan, tool): "\n".join([*lines, ""])}
