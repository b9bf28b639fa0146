"""The commands that inspect a cluster: status, wait, logs, operations, list, env, exec, kafka."""

import json
import os
from dataclasses import asdict, replace
from itertools import chain
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from kraftd.cli.options import Invocation, moment_s, program_names
from kraftd.errors import ConfigurationError
from kraftd.escapes import escaped_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kraftd.health.report.documents import StatusDocument
    from kraftd.operate.context import ClusterContext
    from kraftd.operate.diagnose.logs import LogFilter, LogLine
    from kraftd.operate.status import StatusResult

_WAIT_TIMEOUT_S = 180.0
_WATCH_EVERY_S = 1.0
_LAST_LINES = 20

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Programs; all of them without a name.", autocompletion=program_names),
]
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
    app.command("status")(status)
    app.command("wait")(wait)
    app.command("logs")(logs)
    app.command("operations")(operations)
    app.command("list")(list_clusters)
    app.command("env")(env)
    app.command("exec", context_settings=_PASS_THROUGH)(exec_command)
    app.command("kafka", context_settings=_PASS_THROUGH)(kafka)


def status(
    context: typer.Context,
    names: Names = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh every second.")] = False,
) -> None:
    """Show what runs and whether it serves. Exit code: 0 all well, 1 degraded, 3 not running."""
    from kraftd.operate.status import status as look

    invocation: Invocation = context.obj
    cluster = invocation.recorded()
    cluster.plan.check_names(tuple(names or ()))
    if not watch:
        result = _narrowed(look(cluster, _observed), names)
        _show_status(invocation, result)
        raise typer.Exit(result.exit_code)
    _watch_status(invocation, lambda: _narrowed(look(cluster, _observed), names))


def wait(
    context: typer.Context,
    conditions: Annotated[
        list[str] | None,
        typer.Option(
            "--for",
            metavar="NAME:RUNG",
            help="A program, or cluster, and ready, stopped or another rung of its ladder, as broker-1:in-sync; "
            "may be given several times. cluster:ready without it.",
        ),
    ] = None,
) -> None:
    """Wait until programs, or the cluster, are ready, or on another rung; exit code 124 when the time is up."""
    from kraftd.operate.start.wait import parse_condition
    from kraftd.operate.start.wait import wait as wait_for

    invocation: Invocation = context.obj
    cluster = invocation.recorded()
    wanted = [parse_condition(each, cluster.plan) for each in conditions or ("cluster:ready",)]
    result = wait_for(cluster, wanted, invocation.timeout_s or _WAIT_TIMEOUT_S)
    if invocation.json:
        invocation.print_document(result.document)


def logs(
    context: typer.Context,
    names: Names = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Follow the logs as they are written.")] = False,
    lines: Annotated[
        int | None,
        typer.Option(
            "-n", "--lines", metavar="N", min=0, help="Number of last lines of each file; 20, or all that are chosen."
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only later lines: 10m, or 2026-01-31T12:00:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only earlier lines.")] = None,
    grep: Annotated[
        str | None,
        typer.Option(
            "--grep", metavar="REGEX", help="Only lines that contain it, and what continues them; exit code 1 if none."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("-a", "--all", help="With the logs of the garbage collectors and of state changes.")
    ] = False,
) -> None:
    """Show what is kept of the logs of programs, in the order of time, each line with its program and file."""
    from kraftd.operate.diagnose.logs import follow as follow_logs
    from kraftd.operate.diagnose.logs import kept_lines

    invocation: Invocation = context.obj
    cluster = invocation.recorded()
    chosen = tuple(names or ())
    cluster.plan.check_names(chosen)
    wanted = _log_filter((since, until), cluster.clock.now_s(), grep, lines, is_followed=follow)
    if follow:
        for line in follow_logs(cluster.plan, chosen, wanted, cluster.clock, with_further=everything):
            invocation.print_lines(_log_line(line, as_json=invocation.json))
        return
    is_found = _print_kept(invocation, kept_lines(cluster.plan, chosen, wanted, with_further=everything))
    raise typer.Exit(0 if is_found or not grep else 1)


def _log_filter(
    times: tuple[str | None, str | None], now_s: float, grep: str | None, lines: int | None, *, is_followed: bool
) -> "LogFilter":
    """Return which lines the options choose.

    Raises:
        ConfigurationError: A value cannot be used, or two of them contradict each other.
    """
    from kraftd.operate.diagnose.logs import LogFilter, compiled

    since_s, until_s = moment_s(times[0], now_s), moment_s(times[1], now_s, "--until")
    if is_followed and until_s is not None:
        raise ConfigurationError("cannot follow logs until a time", hint="Leave out -f, or --until.", code="bad_until")
    if since_s is not None and until_s is not None and until_s < since_s:
        raise ConfigurationError(
            "cannot show logs: --until is earlier than --since", hint="Exchange the two times.", code="bad_until"
        )
    wanted = LogFilter(since_s, until_s, compiled(grep) if grep else None, lines)
    return replace(wanted, last=_LAST_LINES) if wanted.is_by_number and lines is None else wanted


def _print_kept(invocation: Invocation, found: "Iterator[LogLine]") -> bool:
    """Print lines as they are read: all that is kept may be more than fits into memory."""
    texts = (_log_line(line, as_json=invocation.json) for line in found)
    # Opens every log: what the system refuses is an error before the document has begun.
    first = next(texts, None)
    if not invocation.json:
        for text in chain([first] if first is not None else [], texts):
            invocation.print_lines(text)
        return first is not None
    invocation.print_lines('{\n  "ok": true,\n  "schema_version": 1,\n  "lines": [', newline=False)
    if first is not None:
        for text in chain([f"\n    {first}"], (f",\n    {text}" for text in texts)):
            invocation.print_lines(text, newline=False)
        invocation.print_lines("\n  ", newline=False)
    invocation.print_lines("]\n}")
    return first is not None


def _log_line(line: "LogLine", *, as_json: bool) -> str:
    if as_json:
        # JSON lines: followed logs have no end, and so no single document.
        return escaped_json(json.dumps(asdict(line), ensure_ascii=False))
    return f"{line.program:<14} {line.file:<16} {line.text}"


def operations(context: typer.Context) -> None:
    """Show the operations that take long: those that run, those that were interrupted, and the last ones."""
    from kraftd.cli.output import operations_table
    from kraftd.operate.observation import operations as find_operations

    invocation: Invocation = context.obj
    cluster = invocation.recorded()
    found = find_operations(cluster)
    if invocation.json:
        invocation.print_document({"ok": True, "schema_version": 1, "operations": found})
    elif found:
        invocation.console().print(operations_table(found, cluster.clock.now_s()))
    else:
        invocation.console().print("Nothing that takes long runs, waits to be resumed, or is on record.")


def list_clusters(context: typer.Context) -> None:
    """List the clusters of this user on this machine."""
    from kraftd.cli.terminal import plain_table
    from kraftd.operate.observation import list_clusters as listed

    invocation: Invocation = context.obj
    clusters = listed(invocation.command_context())
    if invocation.json:
        invocation.print_document({"ok": True, "schema_version": 1, "clusters": clusters})
        return
    table = plain_table("NAME", "STATUS", "KAFKA", "BROKERS", "BOOTSTRAP SERVERS", "STATE")
    for each in clusters:
        table.add_row(
            each.cluster, each.status, each.kafka_version, str(each.brokers), each.bootstrap_servers, each.state_dir
        )
    invocation.console().print(table if clusters else "No clusters. 'kraftd start' makes one.")


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
        invocation.print_document({"ok": True, "schema_version": 1, "environment": variables})
    else:
        invocation.print_lines("\n".join(exports(variables, shell)))


def exec_command(context: typer.Context) -> None:
    """Run a command with the variables of 'env', in place of kraftd: kraftd exec -- CMD ARGS..."""
    from kraftd.host.processes import become
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
        become(command, {**os.environ, **client_environment(plan)})
    except OSError as error:
        kind = CommandNotFoundError if isinstance(error, FileNotFoundError) else CommandNotExecutableError
        raise kind(
            f"cannot run {command[0]}: {(error.strerror or str(error)).lower()}",
            hint="Name a program on the PATH, or its path: kraftd exec -- CMD ARGS...",
        ) from error


def kafka(context: typer.Context) -> None:
    """Run one of Kafka's own tools against the cluster: kraftd kafka topics --describe."""
    from kraftd.host.processes import become
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
    become(tool.command, tool.environ)


def _narrowed(result: "StatusResult", names: list[str] | None) -> "StatusResult":
    from kraftd.operate.status import filter_status

    return filter_status(result, tuple(names)) if names else result


def _show_status(invocation: Invocation, result: "StatusResult") -> None:
    if invocation.json:
        invocation.print_document(result.document)
        return
    if invocation.quiet:
        return
    from kraftd.cli import output

    console = invocation.console()
    console.print(output.status_view(result.document, console.width, rungs=invocation.verbose))


def _observed(cluster: "ClusterContext") -> "StatusDocument":
    """Return what the command itself sees: what that takes is loaded only where the daemon does not answer."""
    from kraftd.operate.observation import observed

    return observed(cluster)


def _watch_status(invocation: Invocation, observe: "Callable[[], StatusResult]") -> None:
    """Show the status again and again until interrupted; on a terminal in place."""
    from kraftd.cli import output
    from kraftd.cli.live import watch

    console = invocation.console()
    watch(
        console,
        lambda: output.status_view(observe().document, console.width, rungs=invocation.verbose),
        lambda: _show_status(invocation, observe()),
        every_s=_WATCH_EVERY_S,
        as_json=invocation.json,
    )
