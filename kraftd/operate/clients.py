"""Clients of a cluster: their environment variables, and Kafka's own tools."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kraftd.errors import ConfigurationError, NeedsRunningClusterError
from kraftd.host.environment import foreground_environment
from kraftd.host.files import make_private_directory, nameless_file, write_changed
from kraftd.host.jvm import JMX_USER, direct_url, jmx_password, registry_address, temporary_directory
from kraftd.host.machine import allows_execution
from kraftd.operate.configuring import plan_for
from kraftd.operate.context import ClusterContext, CommandContext, cluster_context
from kraftd.operate.selection import ChosenCluster
from kraftd.operate.setup import runtime_of
from kraftd.operate.store import Store
from kraftd.plan.layout import TOOLS, cache_dir
from kraftd.plan.plan import Plan
from kraftd.render.kafka_tools import Tool, find_tool, tool_command, tools
from kraftd.render.logging_config import logging_file, logging_option, tools_logging_config
from kraftd.render.server_properties import client_properties
from kraftd.runtime.jars import JarSet

_JMX = "jmx"
_JMX_URL = "--jmx-url"
_JMX_CREDENTIALS = "--jmx-auth-prop"


def client_environment(plan: Plan) -> dict[str, str]:
    """Return the client variables of a cluster, under the names that the apps read too."""
    variables = plan.access.environment
    if plan.topics:
        variables["KAFKA_TOPIC"] = plan.topics[0].name
    return variables


def exports(variables: Mapping[str, str], shell: str) -> list[str]:
    """Return the lines that set variables in a shell.

    Raises:
        ConfigurationError: The shell is not known.
    """
    if shell in ("bash", "sh", "zsh"):
        return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    if shell == "fish":
        return [f"set -gx {name} {shlex.quote(value)}" for name, value in variables.items()]
    raise ConfigurationError(f"cannot print variables for the shell {shell!r}", hint="Use bash, zsh, sh or fish.")


@dataclass(frozen=True, slots=True)
class PreparedTool:
    """A tool's command and environment, to be run in the foreground."""

    command: tuple[str, ...]
    environ: Mapping[str, str]


def tool_names(chosen: ChosenCluster, command_context: CommandContext) -> tuple[str, ...]:
    """Return the tools of the cluster's Kafka version.

    Raises:
        ConfigurationError: The configuration is wrong.
    """
    return tuple(tools(_plan(chosen, command_context).kafka_version))


def prepared_tool(
    chosen: ChosenCluster, name: str, arguments: tuple[str, ...], command_context: CommandContext
) -> PreparedTool:
    """Return how a tool is run, its jars fetched; the brokers' addresses are added where none is given.

    Raises:
        ConfigurationError: There is no such tool.
        NeedsRunningClusterError: It asks the cluster, and no broker of that runs.
        RuntimeMissingError: The tools' jars are missing, and could not be fetched.
    """
    plan = _plan(chosen, command_context)
    tool = find_tool(name, plan.kafka_version)
    require_broker(cluster_context(plan, command_context), tool, arguments)
    if tool.name == _JMX and "--help" not in arguments:
        tool, arguments = _jmx_client(plan, tool, arguments)
    runtime = runtime_of(plan, command_context, jar_set=JarSet.TOOLS)
    # In the cache: a tool can be run for a cluster that was never started, and makes no state directory.
    directory = cache_dir(command_context.environ, command_context.home) / TOOLS / plan.kafka_version
    client_config = plan.layout.config(TOOLS) / "client.properties" if plan.access.properties else None
    files = {directory / logging_file(plan.kafka_version): tools_logging_config(plan.kafka_version)}
    if client_config is not None:
        files[client_config] = client_properties(plan.access)
    write_changed(files)
    command = tool_command(
        tool,
        arguments if "--help" in arguments else tool.arguments(arguments, plan.access.bootstrap_servers, client_config),
        java=runtime.java.executable,
        java_major=runtime.java.major,
        classpath=runtime.classpath,
        logging_option=logging_option(plan.kafka_version, directory),
        temporary=_temporary(directory / "tmp"),
    )
    return PreparedTool(command, foreground_environment(command_context.environ))


def require_broker(cluster: ClusterContext, tool: Tool, arguments: tuple[str, ...]) -> None:
    """Refuse a call that asks the cluster where none of its brokers runs: a tool would try for a minute.

    Raises:
        NeedsRunningClusterError: No broker runs.
    """
    if not tool.asks_cluster(arguments):
        return
    processes = cluster.find_processes().processes
    if not any(broker.name in processes for broker in cluster.plan.brokers):
        raise NeedsRunningClusterError(
            f"cannot run {tool.name}: no broker of the cluster {cluster.plan.cluster} runs",
            hint=f"'kraftd start' starts them. Another cluster is asked with {tool.address_option} HOST:PORT.",
        )


def _temporary(own: Path) -> Path | None:
    """Return where a tool unpacks Snappy and zstd: a directory of its own where the system's is noexec."""
    if allows_execution(temporary_directory()) or not allows_execution(own):
        return None
    make_private_directory(own)
    return own


def _jmx_client(plan: Plan, tool: Tool, arguments: tuple[str, ...]) -> tuple[Tool, tuple[str, ...]]:
    """Return the JMX client with a URL that this Java can use, the first broker's by default, and our password.

    The password goes by a file that java reads arguments from, since every user can read a command line.
    """
    words = [word for argument in arguments for word in (argument.split("=", 1) if "-url=" in argument else [argument])]
    if _JMX_URL not in words:
        listener = next(broker.jmx for broker in plan.brokers if broker.jmx)
        default = f"service:jmx:rmi:///jndi/rmi://{listener.address}/jmxrmi"
        words = [_JMX_URL, default, *words]
    at = words.index(_JMX_URL) + 1
    address = registry_address(words[at]) if at < len(words) else None
    password = jmx_password(plan.layout.jmx)
    is_ours = address in [broker.jmx.address for broker in plan.brokers if broker.jmx]
    if password and is_ours and not any(word.startswith(_JMX_CREDENTIALS) for word in words):
        path = nameless_file(f"{tool.main_class} {_JMX_CREDENTIALS} {JMX_USER}={password}\n", plan.layout.jmx)
        tool = replace(tool, main_class=f"@{path}")
    return tool, tuple(direct_url(word) if place == at else word for place, word in enumerate(words))


def _plan(chosen: ChosenCluster, command_context: CommandContext) -> Plan:
    configured = plan_for(chosen, command_context)
    return Store(configured.plan.layout).plan() or configured.plan
