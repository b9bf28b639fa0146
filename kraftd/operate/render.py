"""The files of a plan, and `kraftd render`: without writing them or fetching anything."""

from pathlib import Path

from kraftd.host.install import rule_files, template_text
from kraftd.operate.configuring import ChosenCluster, plan_for
from kraftd.operate.context import Workspace
from kraftd.operate.setup import provision
from kraftd.plan.plan import Plan
from kraftd.render.files import render
from kraftd.render.java_command import Launch


def files_of(plan: Plan, launch: Launch, workspace: Workspace) -> dict[Path, str]:
    """Return the text of each file of a plan.

    Raises:
        ConfigurationError: A value cannot be written.
    """
    return render(plan, launch, python=workspace.python, template=template_text(), rules=rule_files())


def rendered(chosen: ChosenCluster, workspace: Workspace) -> dict[Path, str]:
    """Return the text of each file that a start would write.

    Raises:
        ConfigurationError: The configuration is wrong.
        RuntimeMissingError: The jars are not here yet, so that their paths are not known to be right.
    """
    plan = plan_for(chosen, workspace).plan
    return files_of(plan, provision(plan, workspace, fetch=False).launch, workspace)
