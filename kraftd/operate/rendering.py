"""`kraftd render`: the files of a plan, without writing them or fetching anything."""

from pathlib import Path

from kraftd.host.resources import template_text
from kraftd.operate.configuring import Selection, plan_for
from kraftd.operate.runtime import provision
from kraftd.operate.workspace import Workspace
from kraftd.render.files import render


def rendered(selection: Selection, workspace: Workspace) -> dict[Path, str]:
    """Return the text of each file that a start would write.

    Raises:
        ConfigurationError: The configuration is wrong.
        RuntimeMissingError: The jars are not here yet, so that their paths are not known to be right.
    """
    plan = plan_for(selection, workspace).plan
    launch = provision(plan, workspace, fetch=False).launch
    return render(plan, launch, python=workspace.python, template=template_text())
