"""The verbs that tell why something is as it is."""

from typing import TYPE_CHECKING, Annotated

import typer

from kraftd.cli.invocation import Invocation

if TYPE_CHECKING:
    from rich.text import Text

    from kraftd.operate.explaining import Explanation


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    explain = typer.Typer(help="Explain a value, or its absence, fact by fact.", no_args_is_help=True)
    explain.command("lag")(explain_lag)
    app.add_typer(explain, name="explain")
    app.command("why")(why)


def explain_lag(context: typer.Context, group: Annotated[str, typer.Argument(help="A consumer group.")]) -> None:
    """Explain a group's lag, or why it is not known: partitions, leaders, coordinator, brokers, exits."""
    from kraftd.operate.explaining import explain_group_lag

    invocation: Invocation = context.obj
    _show(invocation, explain_group_lag(invocation.recorded(), group))


def why(context: typer.Context, name: Annotated[str, typer.Argument(help="A program, as broker-2.")]) -> None:
    """Explain a program's state: what was wanted, how it ended, what happens next, what that costs."""
    from kraftd.operate.explaining import explain_program

    invocation: Invocation = context.obj
    _show(invocation, explain_program(invocation.recorded(), name))


def _show(invocation: Invocation, explanation: "Explanation") -> None:
    if invocation.json:
        invocation.print_document(explanation.document)
        return
    console = invocation.console()
    for line in lines(explanation):
        console.print(line)


def lines(explanation: "Explanation") -> "list[Text]":
    """Return the facts for people, each below the one that it explains; a subject is named when it changes."""
    from rich.text import Text

    found = []
    subject = ""
    for fact in explanation.facts:
        about = f"{fact.about} " if fact.about != subject else ""
        subject = fact.about
        style = "bold" if fact.depth == 0 else ""
        head = "" if fact.depth == 0 else f"{'  ' * fact.depth}- "
        found.append(Text.assemble((f"{head}{about}{fact.text}", style), (f"  ({fact.source})", "dim")))
    return found
