"""The verbs that show what the daemon last saw of Kafka."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kraftd.cli.invocation import Invocation

if TYPE_CHECKING:
    from kraftd.spec.plan import Plan

_EXIT_CODES = {"ok": 0, "degraded": 1, "down": 1, "unsupervised": 1}


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command("health")(health)
    app.command("lag")(lag)
    app.command("topics")(topics)


def health(context: typer.Context) -> None:
    """Say in a word whether the cluster is well. Exit code: 0 ok, 1 degraded or down, 7 not running."""
    from kraftd.operate.questions import health as ask

    invocation: Invocation = context.obj
    document = ask(_plan(invocation))
    if invocation.json:
        invocation.print_document(document)
    elif not invocation.quiet:
        typer.echo("\n".join([document["status"], *document["reasons"]]))
    raise typer.Exit(_EXIT_CODES[document["status"]])


def lag(
    context: typer.Context,
    group: Annotated[str | None, typer.Option("--group", "-g", help="Only this group, with its partitions.")] = None,
) -> None:
    """Show how far consumer groups are behind, as of some seconds ago."""
    from rich.table import Table

    from kraftd.operate.questions import lag as ask

    invocation: Invocation = context.obj
    document = ask(_plan(invocation), group)
    if invocation.json:
        invocation.print_document(document)
        return
    table = Table("GROUP", "STATE", "MEMBERS", "LAG", box=None, header_style="dim")
    for each in document["groups"]:
        table.add_row(each["group"], each["state"] or "?", _known(each["members"]), _known(each["lag"]))
    console = invocation.console()
    console.print(table)
    if group is not None:
        partitions = Table("TOPIC", "PARTITION", "COMMITTED", "END", "LAG", box=None, header_style="dim")
        for each in document["groups"][0]["partitions"] or ():
            numbers = (each["partition"], each["committed"], each["end"], each["lag"])
            partitions.add_row(each["topic"], *(_known(number) for number in numbers))
        console.print(partitions)
    console.print(f"as of {document['age_s']:.0f} s ago", style="dim")


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
    for each in document["topics"]:
        numbers = (each["partitions"], each["without_leader"], each["under_replicated"])
        table.add_row(each["topic"], *(str(number) for number in numbers))
    invocation.console().print(table)


def _plan(invocation: Invocation) -> "Plan":
    from kraftd.operate.configuring import plan_of_what_is_there

    return plan_of_what_is_there(invocation.selection, invocation.workspace())


def _known(number: Any) -> str:
    return "-" if number is None else str(number)
