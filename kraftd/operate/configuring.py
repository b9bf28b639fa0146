"""The plan of a command, from the command line, the environment and kraftd.toml."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kraftd.errors import ConfigurationError, FileAccessError, KraftdError
from kraftd.host.environment import inherited_environment, installed_tool
from kraftd.host.files import read_user_text
from kraftd.operate.context import CommandContext
from kraftd.operate.store import Store
from kraftd.plan.kinds import MONITORING, TOOL_DEFINITIONS, Executable
from kraftd.plan.layout import Layout, absolute_home, layout_of
from kraftd.plan.loading import (
    Configuration,
    Layer,
    assignments_layer,
    configure,
    environment_layer,
    parse_toml,
)
from kraftd.plan.manifest import Manifest
from kraftd.plan.plan import Plan
from kraftd.plan.planning import TIE_BREAKER_ID, build_plan, tools_asked_for
from kraftd.plan.settings import Settings
from kraftd.plan.versions import is_of_line
from kraftd.runtime.jars import locked_versions
from kraftd.runtime.runtime import exact_kafka_version

CONFIG_FILE = "kraftd.toml"
VERSION_SETTING = "cluster.kafka_version"


@dataclass(frozen=True, slots=True)
class Selection:
    """The command-line options that choose a cluster and its configuration.

    Attributes:
        cluster: ``--cluster``.
        config: ``--config``.
        state_dir: ``--state-dir``.
        assignments: ``--set section.key=value``, in order.
    """

    cluster: str | None = None
    config: Path | None = None
    state_dir: Path | None = None
    assignments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChosenCluster:
    """The cluster that a command is about: its checked settings, and where its files are.

    Attributes:
        origin: The configuration's file, or "the default configuration".
    """

    configuration: Configuration
    origin: str
    layout: Layout


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


def read_configuration(selection: Selection, command_context: CommandContext) -> tuple[Configuration, str]:
    """Return the checked settings and the file they come from.

    Raises:
        ConfigurationError: The file, the environment or the command line is wrong.
    """
    layers: list[Layer] = []
    # In a directory that was removed there is no file.
    path = selection.config or (command_context.cwd / CONFIG_FILE if command_context.cwd else None)
    text = _config_text(path) if path else None
    if text is not None:
        layers.append(parse_toml(text, str(selection.config or CONFIG_FILE)))
    elif selection.config is not None:
        raise ConfigurationError(
            f"cannot read {selection.config}: there is no such file", hint="'kraftd init' writes one."
        )
    origin = str(path) if text is not None else "the default configuration"
    layers.append(environment_layer(command_context.environ))
    layers.append(assignments_layer(_flags(selection)))
    return configure(layers), origin


def choose_cluster(selection: Selection, command_context: CommandContext) -> ChosenCluster:
    """Return the cluster that command line, environment and file name; the configuration is read once.

    Raises:
        ConfigurationError: The configuration is wrong.
    """
    configuration, origin = read_configuration(selection, command_context)
    cluster = configuration.settings.cluster
    state_dir = _state_dir(cluster.state_dir, command_context) if cluster.state_dir else None
    layout = layout_of(
        cluster=cluster.name, state_dir=state_dir, environ=command_context.environ, home=command_context.home
    )
    return ChosenCluster(configuration, origin, layout)


def _state_dir(text: str, command_context: CommandContext) -> Path:
    path = Path(text)
    if path.parts[:1] == ("~",):
        path = absolute_home(command_context.home, "--state-dir").joinpath(*path.parts[1:])
    elif text.startswith("~"):
        try:
            path = path.expanduser()
        except RuntimeError as error:
            raise ConfigurationError(
                f"cannot use the state directory {text!r}: the system knows no user {path.parts[0][1:]!r}",
                hint="Write the path in full, or ./~ for a directory of that name.",
                code="unusable_state_dir",
            ) from error
    if not path.is_absolute():
        if command_context.cwd is None:
            raise ConfigurationError(
                f"cannot use the state directory {text!r}: it is relative to the working directory, which was removed",
                hint="Change to another directory, or give --state-dir an absolute path.",
                code="no_working_directory",
            )
        path = command_context.cwd / path
    # Processes are known by this path: one place must have one spelling.
    return Path(os.path.normpath(path))


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
    try:
        recorded = Store(chosen.layout).plan()
    except KraftdError:
        recorded = None  # processes are known by the state directory: a damaged plan must not prevent a stop
    return recorded or plan_for(chosen, command_context).plan


def _kept_version(configuration: Configuration, manifest: Manifest | None) -> str | None:
    """Return the version of the data, where the settings state none that contradicts it.

    What they still state from before an upgrade does not, as long as the way back is open.
    """
    if manifest is None or manifest.kafka_version not in locked_versions():
        return None
    if VERSION_SETTING not in configuration.origins:
        return manifest.kafka_version
    asked = configuration.settings.cluster.kafka_version
    known = (manifest.kafka_version, *manifest.upgraded_from)
    return manifest.kafka_version if any(is_of_line(version, asked) for version in known) else None


def _flags(selection: Selection) -> Sequence[str]:
    own = []
    if selection.cluster is not None:
        own.append(f"cluster.name={selection.cluster}")
    if selection.state_dir is not None:
        own.append(f"cluster.state_dir={selection.state_dir}")
    return (*selection.assignments, *own)


def _config_text(path: Path) -> str | None:
    try:
        return read_user_text(path)
    except FileAccessError as error:
        raise ConfigurationError(str(error), hint=_config_hint(error)) from error


def _config_hint(error: FileAccessError) -> str:
    match error.__cause__:
        case PermissionError():
            return "Give this user read access to it."
        case OSError():
            return "Give --config the path of a TOML file."
        case _:
            return error.hint
