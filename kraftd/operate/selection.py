"""The cluster that a command is about, by command line, environment and kraftd.toml; and its checked settings."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kraftd.errors import ConfigurationError, FileAccessError, KraftdError
from kraftd.host.files import read_user_text
from kraftd.operate.context import CommandContext
from kraftd.operate.store import Store
from kraftd.plan.layout import Layout, absolute_home, layout_of
from kraftd.plan.loading import Configuration, Layer, assignments_layer, configure, environment_layer, parse_toml
from kraftd.plan.plan import Plan

CONFIG_FILE = "kraftd.toml"


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


def recorded_plan(layout: Layout) -> Plan | None:
    """Return the plan that a cluster was last started with, where it is there and can be read."""
    try:
        return Store(layout).plan()
    except KraftdError:
        # Processes are known by the state directory: a damaged plan must not prevent a stop.
        return None


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
