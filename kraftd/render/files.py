"""The rendered files of a plan."""

from pathlib import Path

from kraftd.plan.plan import Plan
from kraftd.render.java_command import PROPERTIES, JvmLaunch, metrics_agent_argument
from kraftd.render.logging_config import logging_config, logging_file
from kraftd.render.prometheus import token_files
from kraftd.render.server_properties import server_properties
from kraftd.render.supervisord_conf import dotenv, programs_of, supervisord_conf
from kraftd.render.tools import MonitoringFiles, tool_files


def render(
    plan: Plan, launch: JvmLaunch, *, python: Path, template: str, monitoring: MonitoringFiles | None = None
) -> dict[Path, str]:
    """Return the text of each rendered file by its path, byte for byte the same for the same plan.

    Args:
        plan: The cluster.
        launch: The Java and jars of the nodes.
        python: The interpreter of the daemon and the apps.
        template: The text of ``supervisord.conf.j2``.
        monitoring: What ships with kraftd for its tools; None for nothing.

    Raises:
        ConfigurationError: A value cannot be written into supervisord.conf.
    """
    files = {
        plan.layout.supervisord_conf: supervisord_conf(template, plan, programs_of(plan, launch, python)),
    }
    for node in plan.nodes:
        directory = plan.layout.config(node.name)
        files[directory / PROPERTIES] = server_properties(plan, node)
        files[directory / logging_file(plan.kafka_version)] = logging_config(
            plan.kafka_version, plan.log_rotation.max_bytes
        )
        files[plan.layout.metrics_agent(node.name)] = metrics_agent_argument(node, launch.metrics_agent) + "\n"
    for app in plan.apps:
        files[plan.layout.config(app.name) / ".env"] = dotenv(app)
    # For a Prometheus that kraftd does not run, too.
    files |= token_files(plan)
    for tool in plan.tools:
        files |= tool_files(plan, tool, monitoring or MonitoringFiles())
    return files
