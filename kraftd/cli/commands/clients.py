"""The commands for clients of a cluster: env, exec, kafka."""

import os
from typing import Annotated, ClassVar

import typer

from kraftd.cli.options import Invocation
from kraftd.errors import ConfigurationError

_PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


class CommandNotFoundError(ConfigurationError):
    """There is no such program; the exit code is that of a shell."""

    exit_code: ClassVar[int] = 127
    code = "command_not_found"


class CommandNotExecutableError(ConfigurationError):
    """The operating system does not run the program; the exit code is that of a shell."""

    exit_code: ClassVar[int] = 126
    code = "command_not_executable"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("env")(env)
    app.command("exec", context_settings=_PASS_THROUGH)(exec_command)
    app.command("kafka", context_settings=_PASS_THROUGH)(kafka)


def env(
    context: typer.Context,
    shell: Annotated[str, typer.Option("--shell", metavar="SHELL", help="bash (also zsh, sh) or fish.")] = "bash",
) -> None:
    """Print the variables that clients of the cluster need: eval "$(kraftd env)"."""
    from kraftd.operate.clients import client_environment, exports

    invocation: Invocation = context.obj
    plan = invocation.recorded().plan
    variables = client_environment(plan)
    if invocation.json:
        invocation.print_result({"environment": variables})
    else:
        invocation.print_lines("\n".join(exports(variables, shell)))


def exec_command(context: typer.Context) -> None:
    """Run a command with the variables of 'env', in place of kraftd: kraftd exec -- CMD ARGS..."""
    from kraftd.host.processes import exec_program
    from kraftd.operate.clients import client_environment

    invocation: Invocation = context.obj
    if context.args[:1] in (["-h"], ["--help"]):
        invocation.print_lines(f"Usage: kraftd exec -- CMD ARGS...\n\n  {exec_command.__doc__}")
        return
    command = context.args[1:] if context.args[:1] == ["--"] else context.args
    if not command:
        raise ConfigurationError("cannot run a command: none was given", hint="kraftd exec -- CMD ARGS...")
    plan = invocation.recorded().plan
    try:
        exec_program(command, {**os.environ, **client_environment(plan)})
    except OSError as error:
        kind = CommandNotFoundError if isinstance(error, FileNotFoundError) else CommandNotExecutableError
        raise kind(
            f"cannot run {command[0]}: {(error.strerror or str(error)).lower()}",
            hint="Name a program on the PATH, or its path: kraftd exec -- CMD ARGS...",
        ) from error


def kafka(context: typer.Context) -> None:
    """Run one of Kafka's own tools against the cluster: kraftd kafka topics --describe."""
    from kraftd.host.processes import exec_program
    from kraftd.operate.clients import prepared_tool, tool_names

    invocation: Invocation = context.obj
    command_context = invocation.command_context()
    if not context.args or context.args[0] in ("-h", "--help"):
        invocation.print_lines(
            "Usage: kraftd kafka TOOL ARGS...\n\nTools: "
            + ", ".join(tool_names(invocation.chosen(command_context), command_context))
        )
        return
    tool = prepared_tool(invocation.chosen(command_context), context.args[0], tuple(context.args[1:]), command_context)
    exec_program(tool.command, tool.environ)
