"""The plan that follows from the settings of a cluster, its manifest, and the tools of this machine."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kraftd.errors import ConfigurationError, RefusedError
from kraftd.host.environment import inherited_environment, installed_tool
from kraftd.operate.context import CommandContext
from kraftd.operate.selection import ChosenCluster, recorded_plan
from kraftd.operate.store import Store
from kraftd.plan.kinds import MONITORING, TOOL_DEFINITIONS, Executable
from kraftd.plan.loading import Configuration
from kraftd.plan.manifest import Manifest
from kraftd.plan.plan import Plan
from kraftd.plan.planning import TIE_BREAKER_ID, build_plan, tools_asked_for
from kraftd.plan.settings import Settings
from kraftd.plan.versions import is_of_line
from kraftd.runtime.jars import locked_versions
from kraftd.runtime.runtime import exact_kafka_version

VERSION_SETTING = "cluster.kafka_version"


@dataclass(frozen=True, slots=True)
class Configured:
    """A chosen cluster and the plan that follows from its settings.

    Attributes:
        manifest: The record of the first format; None before it.
        installed: The enabled tools that this machine has, by name.
    """

    chosen: ChosenCluster
    plan: Plan
    manifest: Manifest | None
    installed: Mapping[str, Executable]

    @property
    def absent(self) -> dict[str, str]:
        """The enabled tools that this machine lacks: by name, a sentence with the remedy."""
        return absent_tools(self.chosen.configuration, self.installed)

    def with_manifest(self, manifest: Manifest | None) -> "Configured":
        """Return the plan of the same settings for a manifest, which another command may have written meanwhile.

        Raises:
            ConfigurationError: The settings contradict the manifest.
        """
        return self if manifest == self.manifest else _configured(self.chosen, manifest, self.installed)


def enabling(words: Sequence[str]) -> tuple[str, ...]:
    """Return the assignments that ``start --with`` stands for.

    Args:
        words: Names of tools, or the word for all of them.

    Raises:
        ConfigurationError: A word is neither.
    """
    known = [tool.name for tool in TOOL_DEFINITIONS]
    for word in words:
        if word not in (MONITORING, *known):
            raise ConfigurationError(
                f"cannot start with {word!r}: there is no such tool",
                hint=f"Choose from {MONITORING} (all of them), {', '.join(known)}.",
            )
    asked = known if MONITORING in words else [name for name in known if name in words]
    return tuple(f"{name}.enabled=true" for name in asked)


def plan_for(chosen: ChosenCluster, command_context: CommandContext, kafka_version: str | None = None) -> Configured:
    """Return the plan of a cluster's settings.

    Args:
        chosen: The cluster.
        command_context: The caller of the command.
        kafka_version: An exact version, in place of the one that settings and manifest give.

    Raises:
        ConfigurationError: The settings contradict each other.
        IdentityMismatchError: The manifest is damaged.
    """
    installed = installed_tools(chosen.configuration, command_context)
    return _configured(chosen, Store(chosen.layout).manifest(), installed, kafka_version)


def _configured(
    chosen: ChosenCluster,
    manifest: Manifest | None,
    installed: Mapping[str, Executable],
    kafka_version: str | None = None,
) -> Configured:
    settings = _with_brokers(chosen.configuration, manifest)
    asked, home = settings.cluster.kafka_version, settings.kafka.home
    kept = _kept_version(chosen.configuration, manifest) if not home else None
    version = kafka_version or kept or exact_kafka_version(asked, Path(home) if home else None)
    plan = build_plan(settings, chosen.layout, version, manifest, installed)
    return Configured(chosen, plan, manifest, installed)


def _with_brokers(configuration: Configuration, manifest: Manifest | None) -> Settings:
    """Return the settings; where they state no number of brokers, with as many as were formatted, or scaled to."""
    settings = configuration.settings
    if manifest is None or "cluster.brokers" in configuration.origins:
        return settings
    brokers = sum(node.node_id < TIE_BREAKER_ID for node in manifest.nodes)
    return settings.model_copy(update={"cluster": settings.cluster.model_copy(update={"brokers": brokers})})


def absent_tools(configuration: Configuration, installed: Collection[str]) -> dict[str, str]:
    """Return the enabled tools that this machine lacks: by name, a sentence with the remedy."""
    return {
        tool.name: f"{tool.name} is not on the PATH, and is left out: install it ({tool.source}), "
        f"or set {tool.name}.enabled = false"
        for tool in tools_asked_for(configuration.settings)
        if tool.name not in installed
    }


def installed_tools(configuration: Configuration, command_context: CommandContext) -> dict[str, Executable]:
    """Return the enabled tools that this machine has, by name."""
    # supervisord gives programs the same PATH.
    environ = inherited_environment(command_context.environ)
    found = {tool.name: installed_tool(tool, environ) for tool in tools_asked_for(configuration.settings)}
    return {name: executable for name, executable in found.items() if executable is not None}


def recorded_or_configured_plan(chosen: ChosenCluster, command_context: CommandContext) -> Plan:
    """Return the plan that a cluster was last started with, else the configured one: enough to end or remove it.

    Raises:
        ConfigurationError: The configuration is wrong.
    """
    return recorded_plan(chosen.layout) or plan_for(chosen, command_context).plan


def refuse_changed(command: str, running: Plan, configured: Plan, origin: str, changes: str) -> None:
    """Refuse a command where the configuration differs from what runs in more than the command changes.

    Args:
        command: The command, as ``scale``.
        running: The plan of the cluster that runs.
        configured: The configured plan, without what the command changes.
        origin: The file of the configuration.
        changes: What the command changes, for the refusal.

    Raises:
        RefusedError: Always where it does.
    """
    if replace(configured, layout=running.layout) != running:
        raise RefusedError(
            f"cannot {command}: {origin} has changed since the cluster was started, not only in {changes}",
            hint="'kraftd apply' makes the cluster follow it; or undo the change.",
            code="configuration_changed",
        )


def refuse_replanned(command: str, planned: Plan, recorded: Plan | None) -> None:
    """Refuse to go on with a plan after another command has written another one.

    Args:
        command: The command, as ``scale``.
        planned: The plan that it was planned on, before a question or a wait.
        recorded: The plan of record now; None where it was removed.

    Raises:
        RefusedError: Always where they differ.
    """
    if recorded != planned:
        raise RefusedError(
            f"cannot {command}: another command has changed the cluster {planned.cluster} meanwhile",
            hint="Run the command again: it is planned on the cluster as it is now.",
            code="configuration_changed",
        )


def _kept_version(configuration: Configuration, manifest: Manifest | None) -> str | None:
    """Return the version of the data, where the settings state none that contradicts it.

    What they still state from before an upgrade does not, as long as a downgrade is possible.
    """
    if manifest is None or manifest.kafka_version not in locked_versions():
        return None
    if VERSION_SETTING not in configuration.origins:
        return manifest.kafka_version
    asked = configuration.settings.cluster.kafka_version
    known = (manifest.kafka_version, *manifest.upgraded_from)
    return manifest.kafka_version if any(is_of_line(version, asked) for version in known) else None
