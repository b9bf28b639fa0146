"""The text of a plan's files, for a start and for `kraftd render`; writes and fetches nothing."""

from pathlib import Path

from kraftd.host.install import dashboards_dir, rule_files, template_text
from kraftd.operate.configuring import ChosenCluster, plan_for
from kraftd.operate.context import CommandContext
from kraftd.operate.setup import prepare_runtime
from kraftd.plan.plan import Plan
from kraftd.render.files import render
from kraftd.render.java_command import JvmLaunch
from kraftd.render.prometheus import standalone
from kraftd.render.tools import MonitoringFiles


def files_of(plan: Plan, launch: JvmLaunch, command_context: CommandContext) -> dict[Path, str]:
    """Return the text of each file of a plan.

    Raises:
        ConfigurationError: A value cannot be written.
    """
    monitoring = MonitoringFiles(rule_files(), dashboards_dir())
    return render(plan, launch, python=command_context.python, template=template_text(), monitoring=monitoring)


def prometheus_configuration(chosen: ChosenCluster, command_context: CommandContext) -> str:
    """Return the configuration with which a Prometheus that kraftd does not run scrapes a cluster.

    Raises:
        ConfigurationError: The configuration is wrong.
    """
    return standalone(plan_for(chosen, command_context).plan, rule_files())


def rendered(chosen: ChosenCluster, command_context: CommandContext) -> dict[Path, str]:
    """Return the text of each file that a start would write.

    Raises:
        ConfigurationError: The configuration is wrong.
        RuntimeMissingError: The jars are not fetched yet, so that their paths are not known.
    """
    plan = plan_for(chosen, command_context).plan
    return files_of(plan, prepare_runtime(plan, command_context, fetch=False).launch, command_context)
