"""The commands that show Kafka's state as the daemon last saw it, and explain it."""

from typing import TYPE_CHECKING, Annotated

import typer

from kraftd.cli.options import Invocation, program_names
from kraftd.errors import NeedsRunningClusterError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from kraftd.health.report.documents import LagDocument
    from kraftd.operate.diagnose.explain import Explanation
    from kraftd.plan.plan import Plan


_EVERY_S = 1.0
_EMPTY_NAME = "''"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("health")(health)
    app.command("lag")(lag)
    app.command("top")(top)
    explain = typer.Typer(help="Explain a value, or its absence, fact by fact.")
    explain.command("lag")(explain_lag)
    app.add_typer(explain, name="explain")
    app.command("why")(why)


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


def top(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Print the screen once, as when stdout is no terminal.")] = False,
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


def _plan(invocation: Invocation) -> "Plan":
    return invocation.any_plan().plan


def _known(number: int | None) -> str:
    return "-" if number is None else str(number)


def explain_lag(
    context: typer.Context, group: Annotated[str, typer.Argument(metavar="GROUP", help="A consumer group.")]
) -> None:
    """Explain a group's lag, or why it is not known: partitions, leaders, coordinator, brokers, exits."""
    from kraftd.operate.diagnose.explain import explain_group_lag

    invocation: Invocation = context.obj
    _show(invocation, explain_group_lag(invocation.recorded(), group))


def why(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A program, as broker-2.", autocompletion=program_names)],
) -> None:
    """Explain a program's state: desired state, last exit, next restart, and what depends on it."""
    from kraftd.operate.diagnose.explain import explain_program

    invocation: Invocation = context.obj
    _show(invocation, explain_program(invocation.recorded(), name))


def _show(invocation: Invocation, explanation: "Explanation") -> None:
    if invocation.json:
        invocation.print_document(explanation.document)
        return
    console = invocation.console()
    for line in lines(explanation):
        console.print(line)


def lines(explanation: "Explanation") -> "list[RenderableType]":
    """Return the facts as text, each below the one that it explains; a subject is named when it changes."""
    from kraftd.cli.terminal import Text

    found: list[RenderableType] = []
    subject = ""
    for fact in explanation.facts:
        about = f"{fact.about} " if fact.about != subject else ""
        subject = fact.about
        style = "bold" if fact.depth == 0 else ""
        head = "" if fact.depth == 0 else f"{'  ' * fact.depth}- "
        found.append(Text.assemble((f"{head}{about}{fact.text}", style), (f"  ({fact.source})", "dim")))
    return found
