"""The commands for when something is wrong: doctor, events, bundle."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kraftd.cli.options import Invocation, moment_s
from kraftd.escapes import escaped, escaped_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kraftd.host.events import Event
    from kraftd.operate.diagnose.findings import Finding

_STYLES = {"ok": "green", "warning": "yellow", "failure": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("doctor")(doctor)
    app.command("events")(events)
    app.command("bundle")(bundle)


def doctor(context: typer.Context) -> None:
    """Check this machine and the cluster, which may run or not. Exit code: 0 no failure, 1 one or more."""
    from kraftd.operate.diagnose.doctor import diagnose

    invocation: Invocation = context.obj
    command_context = invocation.command_context()
    diagnosis = diagnose(lambda: invocation.chosen(command_context), command_context)
    if invocation.json:
        invocation.print_document({"ok": True, "schema_version": 1, **asdict(diagnosis)})
    else:
        _print_findings(invocation, diagnosis.findings)
    raise typer.Exit(diagnosis.exit_code)


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
        bool, typer.Option("--thread-dumps", help="With the threads of each node that serves.")
    ] = False,
) -> None:
    """Write one archive for a bug report, of everything but records and secrets."""
    from kraftd.operate.diagnose.bundle import default_name, write_bundle

    invocation: Invocation = context.obj
    cluster = invocation.any_plan()
    path = file or Path(default_name(cluster.plan.cluster, cluster.clock.now_s()))
    names = write_bundle(cluster, invocation.chosen(cluster.command_context), path, thread_dumps=thread_dumps)
    if invocation.json:
        invocation.print_document({"ok": True, "schema_version": 1, "written": path, "files": names})
        return
    invocation.console().print(
        f"Wrote {path}: {len(names)} files, without the secrets that kraftd knows; look before you share it"
    )


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
        return escaped_json(json.dumps(asdict(event), ensure_ascii=False))
    # Who a daemon runs as says nothing; of a command it does.
    by = f"  by {event.who}" if event.writer == COMMANDS and event.who else ""
    return f"{event.at}  {event.writer:<8}  {event.program or '-':<14}  {event.kind:<15}  {event.text}{by}"
