"""The verbs that show what the daemon last saw of Kafka."""

from typing import TYPE_CHECKING, Annotated

import typer

from kraftd.cli.invocation import Invocation
from kraftd.errors import NeedsRunningClusterError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from kraftd.spec.plan import Plan
    from kraftd.watch.documents import LagDocument

_EVERY_S = 1.0


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command("health")(health)
    app.command("lag")(lag)
    app.command("topics")(topics)
    app.command("top")(top)


def health(context: typer.Context) -> None:
    """Say in a word whether the cluster is well. Exit code: 0 ok, 1 degraded or down, 7 not running."""
    from kraftd.operate.questions import health as ask

    invocation: Invocation = context.obj
    document = ask(_plan(invocation))
    if invocation.json:
        invocation.print_document(document)
    elif not invocation.quiet:
        typer.echo("\n".join([document.status, *document.reasons]))
    raise typer.Exit(int(document.status != "ok"))


def lag(
    context: typer.Context,
    group: Annotated[str | None, typer.Option("--group", "-g", help="Only this group, with its partitions.")] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again every second, until q.")] = False,
) -> None:
    """Show how far consumer groups are behind, in records and in time, as of some seconds ago."""
    from kraftd.operate.questions import lag as ask

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
    from kraftd.cli.watching import watch as watch_it

    # What is wrong from the beginning ends the command; an outage that comes later is shown, and passes.
    ask(plan, group)

    def look() -> "RenderableType":
        return lag_or_reason(lambda: ask(plan, group), with_partitions=group is not None)

    def print_look() -> None:
        invocation.console().print(look())

    watch_it(invocation, look, print_once if invocation.json else print_look, every_s=_EVERY_S)


def top(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Print it once, as where stdout is no terminal.")] = False,
) -> None:
    """Show programs, brokers, quorum, groups and rates on one screen, live; q ends."""
    from kraftd.operate.status import fullest_document

    invocation: Invocation = context.obj
    cluster = invocation.recorded()
    if invocation.json:
        invocation.print_document(fullest_document(cluster))
        return
    from kraftd.cli.top_view import top_view
    from kraftd.cli.watching import watch as watch_it

    console = invocation.console()
    if once or not console.is_terminal:
        console.print(top_view(fullest_document(cluster), keys=False))
        return
    watch_it(
        invocation,
        lambda: top_view(fullest_document(cluster), keys=True),
        lambda: None,
        every_s=_EVERY_S,
        screen=True,
    )


def topics(context: typer.Context) -> None:
    """Show the topics, and whether their partitions have leaders and are in sync."""
    from rich.table import Table

    from kraftd.operate.questions import topics as ask

    invocation: Invocation = context.obj
    document = ask(_plan(invocation))
    if invocation.json:
        invocation.print_document(document)
        return
    table = Table("TOPIC", "PARTITIONS", "WITHOUT LEADER", "UNDER-REPLICATED", box=None, header_style="dim")
    for each in document.topics:
        numbers = (each.partitions, each.without_leader, each.under_replicated)
        table.add_row(each.topic, *(str(number) for number in numbers))
    invocation.console().print(table)


def lag_or_reason(ask: "Callable[[], LagDocument]", *, with_partitions: bool) -> "RenderableType":
    """Return the lag for people to watch, or in its place why it is not known now."""
    from rich.text import Text

    try:
        return _lag_view(ask(), with_partitions=with_partitions)
    except (NeedsRunningClusterError, UnknownNameError) as error:
        return Text(str(error), style="yellow")


def _lag_view(document: "LagDocument", *, with_partitions: bool) -> "RenderableType":
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from kraftd.cli.top_view import add_group, groups_table, pace, time_lag

    groups = groups_table()
    for each in document.groups:
        add_group(groups, each)
    parts: list[RenderableType] = [groups]
    if with_partitions:
        partitions = Table("TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "TIME LAG", "KEEPS UP", "REASON", box=None)
        partitions.header_style = "dim"
        for one in document.groups[0].partitions or ():
            numbers = (one.partition, one.committed, one.end, one.lag)
            facts = (time_lag(one.time_lag), pace(one.pace), Text(one.reason or ""))
            partitions.add_row(Text(one.topic), *(_known(number) for number in numbers), *facts)
        parts.append(partitions)
    unknown = [each for each in document.groups if each.reason]
    parts += [Text(f"{each.group}: {each.reason}", style="yellow") for each in unknown]
    if document.age_s is not None:
        parts.append(Text(f"as of {document.age_s:.0f} s ago", style="dim"))
    return Group(*parts)


def _plan(invocation: Invocation) -> "Plan":
    return invocation.any_plan().plan


def _known(number: int | None) -> str:
    return "-" if number is None else str(number)
