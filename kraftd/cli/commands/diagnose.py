"""The commands that find out why: why, explain, doctor, bundle."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kraftd.cli.options import Invocation, program_names
from kraftd.escapes import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from kraftd.operate.diagnose.explain import Explanation
    from kraftd.operate.diagnose.findings import Diagnosis, Finding

_STYLES = {"ok": "green", "warning": "yellow", "failure": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("why")(why)
    explain = typer.Typer(help="Explain a value, or its absence, fact by fact.")
    explain.command("lag")(explain_lag)
    app.add_typer(explain, name="explain")
    app.command("doctor")(doctor)
    app.command("bundle")(bundle)


def why(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A program, such as broker-2.", autocompletion=program_names)
    ],
) -> None:
    """Explain a program's state: desired state, last exit, next restart, and what depends on it."""
    from kraftd.operate.diagnose.explain import explain_program

    invocation: Invocation = context.obj
    print_explanation(invocation, explain_program(invocation.recorded(), name))


def explain_lag(
    context: typer.Context, group: Annotated[str, typer.Argument(metavar="GROUP", help="A consumer group.")]
) -> None:
    """Explain a group's lag, or why it is not known: partitions, leaders, coordinator, brokers, exits."""
    from kraftd.operate.diagnose.explain import explain_group_lag

    invocation: Invocation = context.obj
    print_explanation(invocation, explain_group_lag(invocation.recorded(), group))


def print_explanation(invocation: Invocation, explanation: "Explanation") -> None:
    """Print an explanation, whose commands reach the cluster that it is about."""
    explanation = replace(
        explanation, facts=tuple(replace(fact, text=invocation.called(fact.text)) for fact in explanation.facts)
    )
    if invocation.json:
        invocation.print_result(explanation)
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


def doctor(context: typer.Context) -> None:
    """Check this machine and the cluster, which may run or not. Exit code: 0 no failure, 1 one or more."""
    from kraftd.operate.diagnose.doctor import diagnose

    invocation: Invocation = context.obj
    command_context = invocation.command_context()
    diagnosis = diagnose(lambda: invocation.chosen(command_context), command_context)
    print_diagnosis(invocation, diagnosis)
    raise typer.Exit(diagnosis.exit_code)


def print_diagnosis(invocation: Invocation, diagnosis: "Diagnosis") -> None:
    """Print a diagnosis, whose remedies are commands that reach the cluster that it is about."""
    findings = tuple(replace(each, remedy=invocation.called(each.remedy)) for each in diagnosis.findings)
    if invocation.json:
        invocation.print_result(replace(diagnosis, findings=findings))
    else:
        _print_findings(invocation, findings)


def _print_findings(invocation: Invocation, findings: "Iterable[Finding]") -> None:
    from kraftd.cli.terminal import Text

    console = invocation.console()
    for finding in findings:
        if invocation.quiet and finding.status == "ok":
            continue
        fact, *more = finding.fact.split("\n")
        console.print(
            Text.assemble((f"{finding.status:<8}", _STYLES[finding.status]), f" {escaped(f'{finding.name}: {fact}')}")
        )
        for line in (*more, *([f"-> {finding.remedy}"] if finding.remedy else ())):
            console.print(f"         {line}")


def bundle(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A new .tar.gz; named by cluster and time without it.")
    ] = None,
    thread_dumps: Annotated[
        bool, typer.Option("--thread-dumps", help="Include a thread dump of each node that serves.")
    ] = False,
) -> None:
    """Write one archive for a bug report, of everything but records and secrets."""
    from kraftd.operate.diagnose.bundle import default_name, write_bundle

    invocation: Invocation = context.obj
    cluster = invocation.any_plan()
    path = file or Path(default_name(cluster.plan.cluster, cluster.clock.now_s()))
    names = write_bundle(cluster, invocation.chosen(cluster.command_context), path, thread_dumps=thread_dumps)
    if invocation.json:
        invocation.print_result({"written": path, "files": names})
        return
    invocation.console().print(
        f"Wrote {path}: {len(names)} files, without the secrets that kraftd knows; look before you share it"
    )
