"""The commands that look at a cluster: status, wait, health, lag, top, logs, events, operations, list."""

import json
from dataclasses import asdict, replace
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from kraftd.cli.options import ENVELOPE, Invocation, json_for_stdout, program_names
from kraftd.cli.values import moment_s, regular_expression
from kraftd.errors import ConfigurationError, NeedsRunningClusterError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType

    from kraftd.health.report.documents import LagDocument, StatusDocument
    from kraftd.host.events import Event
    from kraftd.operate.context import ClusterContext
    from kraftd.operate.diagnose.logs import LogFilter, LogLine
    from kraftd.operate.status import StatusResult
    from kraftd.plan.plan import Plan

_WAIT_TIMEOUT_S = 180.0
_EVERY_S = 1.0
_LAST_LINES = 20
_EMPTY_NAME = "''"

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Programs; default: all.", autocompletion=program_names),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("status")(status)
    app.command("wait")(wait)
    app.command("health")(health)
    app.command("lag")(lag)
    app.command("top")(top)
    app.command("logs")(logs)
    app.command("events")(events)
    app.command("operations")(operations)
    app.command("list")(list_clusters)


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
    console.print(
        output.status_view(result.document, console.width, rungs=invocation.verbose, command=invocation.command)
    )


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
        lambda: output.status_view(
            observe().document, console.width, rungs=invocation.verbose, command=invocation.command
        ),
        lambda: _show_status(invocation, observe()),
        every_s=_EVERY_S,
        as_json=invocation.json,
    )


def wait(
    context: typer.Context,
    conditions: Annotated[
        list[str] | None,
        typer.Option(
            "--for",
            metavar="NAME:RUNG",
            help="A program, or cluster, and ready, stopped or another rung of its ladder, such as broker-1:in-sync; "
            "may be given several times. cluster:ready without it.",
        ),
    ] = None,
) -> None:
    """Wait until programs, or the cluster, are ready, or on another rung; exit code 124 when the time is up.

    --timeout: that time (default 180s).
    """
    from kraftd.operate.start.wait import parse_condition
    from kraftd.operate.start.wait import wait as wait_for

    invocation: Invocation = context.obj
    cluster = invocation.recorded()
    wanted = [parse_condition(each, cluster.plan) for each in conditions or ("cluster:ready",)]
    result = wait_for(cluster, wanted, invocation.timeout_s or _WAIT_TIMEOUT_S)
    if invocation.json:
        invocation.print_document(result.document)


def health(context: typer.Context) -> None:
    """Show in one word whether the cluster is well. Exit code: 0 ok, 1 degraded or down, 7 not running."""
    from kraftd.operate.status import health as ask

    invocation: Invocation = context.obj
    document = ask(_plan(invocation))
    if invocation.json:
        invocation.print_document(document)
    elif not invocation.quiet:
        console = invocation.console()
        for line in (document.status, *document.reasons):
            console.print(line)
    raise typer.Exit(int(document.status != "ok"))


def lag(
    context: typer.Context,
    group: Annotated[
        str | None, typer.Option("--group", "-g", metavar="GROUP", help="Only this group, with its partitions.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh every second, until q.")] = False,
) -> None:
    """Show how far consumer groups are behind, in records and in time, as of a few seconds ago."""
    from kraftd.operate.status import lag as ask

    invocation: Invocation = context.obj
    plan = _plan(invocation)

    def print_once() -> None:
        document = ask(plan, group)
        if invocation.json:
            invocation.print_document(document)
        else:
            invocation.console().print(_lag_view(document, with_partitions=group is not None))

    if not watch:
        print_once()
        return
    from kraftd.cli.live import watch as watch_it

    # An error at the beginning ends the command; a later outage is shown, and passes.
    ask(plan, group)

    def refreshed() -> "RenderableType":
        return lag_or_reason(lambda: ask(plan, group), with_partitions=group is not None)

    console = invocation.console()

    def print_text() -> None:
        console.print(refreshed())

    shown_once = print_once if invocation.json else print_text
    watch_it(console, refreshed, shown_once, every_s=_EVERY_S, as_json=invocation.json)


def lag_or_reason(ask: "Callable[[], LagDocument]", *, with_partitions: bool) -> "RenderableType":
    """Return the lag as a table, or the reason why it is not known now."""
    from kraftd.cli.terminal import Text

    try:
        return _lag_view(ask(), with_partitions=with_partitions)
    except (NeedsRunningClusterError, UnknownNameError) as error:
        return Text(str(error), style="yellow")


def _lag_view(document: "LagDocument", *, with_partitions: bool) -> "RenderableType":
    from rich.console import Group

    from kraftd.cli.terminal import Text, plain_table
    from kraftd.cli.top import add_group, groups_table, lag_status, time_lag

    groups = groups_table(is_folded=True)
    for each in document.groups:
        add_group(groups, each)
    parts: list[RenderableType] = [groups]
    if with_partitions:
        partitions = plain_table("TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "TIME LAG", "KEEPS UP", "REASON")
        for one in document.groups[0].partitions or ():
            numbers = (one.partition, one.committed, one.end, one.lag)
            facts = (time_lag(one.time_lag), lag_status(one.status), Text(one.reason or ""))
            partitions.add_row(Text(one.topic), *(_known(number) for number in numbers), *facts)
        parts.append(partitions)
    unknown = [each for each in document.groups if each.reason]
    parts += [Text(f"{each.group or _EMPTY_NAME}: {each.reason}", style="yellow") for each in unknown]
    if document.age_s is not None:
        parts.append(Text(f"as of {document.age_s:.0f} s ago", style="dim"))
    return Group(*parts)


def _known(number: int | None) -> str:
    return "-" if number is None else str(number)


def _plan(invocation: Invocation) -> "Plan":
    return invocation.any_plan().plan


def top(
    context: typer.Context,
    once: Annotated[
        bool, typer.Option("--once", help="Print the screen once, as when stdout is not a terminal.")
    ] = False,
) -> None:
    """Show programs, brokers, quorum, groups and rates on one screen, live; q ends."""
    from kraftd.operate.observation import observed
    from kraftd.operate.status import best_document

    invocation: Invocation = context.obj
    cluster = invocation.recorded()
    if invocation.json:
        invocation.print_document(best_document(cluster, observed))
        return
    from kraftd.cli.live import watch as watch_it
    from kraftd.cli.top import top_view

    console = invocation.console()

    def print_once() -> None:
        console.print(top_view(best_document(cluster, observed), keys=False))

    if once or not console.is_terminal:
        print_once()
        return
    watch_it(
        console,
        lambda: top_view(best_document(cluster, observed), keys=True),
        print_once,
        every_s=_EVERY_S,
        screen=True,
    )


def logs(
    context: typer.Context,
    names: Names = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Follow the logs as they are written.")] = False,
    lines: Annotated[
        int | None,
        typer.Option(
            "-n", "--lines", metavar="N", min=0, help="Last lines of each file; 20, or all with a time or --grep."
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
    from kraftd.operate.diagnose.logs import LogFilter

    since_s, until_s = moment_s(times[0], now_s), moment_s(times[1], now_s, "--until")
    if is_followed and until_s is not None:
        raise ConfigurationError("cannot follow logs until a time", hint="Leave out -f, or --until.", code="bad_until")
    if since_s is not None and until_s is not None and until_s < since_s:
        raise ConfigurationError(
            "cannot show logs: --until is earlier than --since", hint="Exchange the two times.", code="bad_until"
        )
    wanted = LogFilter(since_s, until_s, regular_expression(grep) if grep else None, lines)
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
    head = json.dumps({**ENVELOPE, "lines": []}, indent=2).removesuffix("]\n}")
    invocation.print_lines(head, newline=False)
    if first is not None:
        for text in chain([f"\n    {first}"], (f",\n    {text}" for text in texts)):
            invocation.print_lines(text, newline=False)
        invocation.print_lines("\n  ", newline=False)
    invocation.print_lines("]\n}")
    return first is not None


def _log_line(line: "LogLine", *, as_json: bool) -> str:
    if as_json:
        # JSON lines: followed logs have no end, and so no single document.
        return json_for_stdout(json.dumps(asdict(line), ensure_ascii=False))
    return f"{line.program:<14} {line.file:<16} {line.text}"


def events(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Follow the events as they are recorded.")] = False,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only later ones: 10m, or 2026-01-31T12:00:00Z.")
    ] = None,
) -> None:
    """Show what happened to the cluster, oldest first, in UTC; --json prints a document for each on a line."""
    from kraftd.host.events import events_since, follow_events

    invocation: Invocation = context.obj
    cluster = invocation.recorded()
    since_s = moment_s(since, cluster.clock.now_s()) or 0.0
    directory = cluster.layout.events
    found = follow_events(directory, since_s, cluster.clock) if follow else events_since(directory, since_s)
    for event in found:
        invocation.print_lines(event_line(event, as_json=invocation.json))


def event_line(event: "Event", *, as_json: bool) -> str:
    """Return an event as a line of columns, or as a JSON document on a line."""
    from kraftd.host.events import COMMANDS

    if as_json:
        return json_for_stdout(json.dumps(asdict(event), ensure_ascii=False))
    # Who a daemon runs as says nothing; of a command it does.
    by = f"  by {event.who}" if event.writer == COMMANDS and event.who else ""
    return f"{event.at}  {event.writer:<8}  {event.program or '-':<14}  {event.kind:<15}  {event.text}{by}"


def operations(context: typer.Context) -> None:
    """Show the operations that take long: those that run, those that were interrupted, and the last ones."""
    from kraftd.cli.output import operations_table
    from kraftd.operate.observation import operations as find_operations

    invocation: Invocation = context.obj
    cluster = invocation.recorded()
    found = find_operations(cluster.layout, cluster.clock)
    if invocation.json:
        invocation.print_result({"operations": found})
    elif found:
        invocation.console().print(operations_table(found, cluster.clock.now_s(), invocation.command))
    else:
        invocation.console().print("Nothing that takes long runs, waits to be resumed, or is on record.")


def list_clusters(context: typer.Context) -> None:
    """List the clusters of this user on this machine."""
    from kraftd.cli.terminal import plain_table
    from kraftd.operate.observation import list_clusters as listed

    invocation: Invocation = context.obj
    clusters = listed(invocation.command_context())
    if invocation.json:
        invocation.print_result({"clusters": clusters})
        return
    table = plain_table("NAME", "STATUS", "KAFKA", "BROKERS", "BOOTSTRAP SERVERS", "STATE")
    for each in clusters:
        table.add_row(
            each.cluster, each.status, each.kafka_version, str(each.brokers), each.bootstrap_servers, each.state_dir
        )
    invocation.console().print(table if clusters else "No clusters. 'kraftd start' makes one.")
