"""The text of a plan's files, for a start and for `kraftd render`, and damage to them; writes and fetches nothing."""

import os
from collections.abc import Mapping
from pathlib import Path

from kraftd.host.environment import user_name
from kraftd.host.files import read_text
from kraftd.host.install import dashboards_dir, rule_files, template_text
from kraftd.operate.configuring import plan_for
from kraftd.operate.context import CommandContext
from kraftd.operate.selection import CONFIG_FILE, ChosenCluster, Selection
from kraftd.operate.setup import prepare_runtime
from kraftd.plan.loading import ENVIRONMENT_PREFIX
from kraftd.plan.plan import Plan
from kraftd.render.files import render
from kraftd.render.java_command import JvmLaunch
from kraftd.render.prometheus import standalone
from kraftd.render.systemd import Service, systemd_unit
from kraftd.render.tools import MonitoringFiles


def files_of(plan: Plan, launch: JvmLaunch, command_context: CommandContext) -> dict[Path, str]:
    """Return the text of each file of a plan.

    Raises:
        ConfigurationError: A value cannot be written.
    """
    monitoring = MonitoringFiles(rule_files(), dashboards_dir())
    return render(plan, launch, python=command_context.python, template=template_text(), monitoring=monitoring)


def located_files_of(plan: Plan, command_context: CommandContext) -> dict[Path, str]:
    """Return the text of each file of a plan, with the Java and jars that this machine has.

    Raises:
        ConfigurationError: A value cannot be written.
        RuntimeMissingError: The jars are not fetched yet, so that their paths are not known.
    """
    return files_of(plan, prepare_runtime(plan, command_context, fetch=False).launch, command_context)


def damage_to(files: Mapping[Path, str]) -> dict[Path, str]:
    """Return which files on disk are not whole, each with a clause that says in what way.

    A text that only differs is whole: another version of kraftd, or a person, may have written it.

    Args:
        files: Their rendered text.

    Raises:
        FileAccessError: One cannot be read.
    """
    found = {path: _damage(read_text(path), text) for path, text in files.items()}
    return {path: damage for path, damage in found.items() if damage}


def _damage(text: str | None, rendered: str) -> str:
    if text == rendered:
        return ""
    if text is None:
        return "is missing"
    if not text:
        return "is empty"
    # What is not UTF-8 was replaced when it was read.
    if {"\0", "\ufffd"} & set(text) - set(rendered):
        return "is overwritten"
    if rendered.startswith(text) or (rendered.endswith("\n") and not text.endswith("\n")):
        return "is truncated"
    lines = set(rendered.splitlines())
    return "is overwritten" if len(lines) > 1 and lines.isdisjoint(text.splitlines()) else ""


def prometheus_configuration(chosen: ChosenCluster, command_context: CommandContext) -> str:
    """Return the configuration with which a Prometheus that kraftd does not run scrapes a cluster.

    Raises:
        ConfigurationError: The configuration is wrong.
    """
    return standalone(plan_for(chosen, command_context).plan, rule_files())


def service_unit(
    chosen: ChosenCluster, selection: Selection, command_context: CommandContext, *, is_system: bool
) -> str:
    """Return a systemd unit that keeps a cluster in the foreground, as this user, wherever it is started from.

    Args:
        chosen: The cluster.
        selection: The options that chose it.
        command_context: The caller of the command.
        is_system: Whether it is for the system's service manager, or for the user's own.

    Raises:
        ConfigurationError: A path is not UTF-8.
    """
    environ, layout = command_context.environ, chosen.layout
    cluster = chosen.configuration.settings.cluster.name
    # In a directory that was removed there is no file.
    found = (command_context.cwd or Path("/nonexistent")) / (selection.config or CONFIG_FILE)
    words = ["--cluster", cluster, "--state-dir", str(layout.state_dir)]
    has_file = found.exists()
    words += ["--config", os.path.normpath(found)] if has_file else []
    words += [word for assignment in selection.assignments for word in ("--set", assignment)]
    service = Service(
        cluster=cluster,
        command=(*_own_command(command_context.python), *words, "start", "--foreground"),
        state_dir=layout.state_dir,
        # Tools are found by the one, and what was fetched is found by the other.
        environment={name: environ[name] for name in ("PATH", "XDG_CACHE_HOME") if environ.get(name)},
        user=user_name() if is_system else None,
        left_out=sorted(name for name in environ if name.startswith(ENVIRONMENT_PREFIX)),
        # A user's manager would start it at home, where it would read another kraftd.toml.
        working_dir=None if has_file else Path("/"),
    )
    return systemd_unit(service)


def _own_command(python: Path) -> tuple[str, ...]:
    """Return how to call this kraftd by absolute paths."""
    script = python.with_name("kraftd")
    return (str(script),) if script.is_file() else (str(python), "-P", "-m", "kraftd")


def rendered(chosen: ChosenCluster, command_context: CommandContext) -> dict[Path, str]:
    """Return the text of each file that a start would write.

    Raises:
        ConfigurationError: The configuration is wrong.
        RuntimeMissingError: The jars are not fetched yet, so that their paths are not known.
    """
    return located_files_of(plan_for(chosen, command_context).plan, command_context)
