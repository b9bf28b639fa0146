"""The command that brings a running cluster to another version of Kafka, and makes it final."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from kraftd.cli.commands.cluster import DryRun, report_running_programs
from kraftd.cli.options import Invocation, Yes, confirm
from kraftd.errors import ConfigurationError

if TYPE_CHECKING:
    from kraftd.operate.upgrade.finalize import Finalization
    from kraftd.operate.upgrade.upgrade import PlannedUpgrade, UpgradeResult

_TIMEOUT_S = 900.0

To = Annotated[
    str | None, typer.Option("--to", metavar="VERSION", help="The version, such as 4.3.1; or 4.3 for its newest.")
]
FinalizeOption = Annotated[
    bool, typer.Option("--finalize", help="Finalize what the new version knows: no downgrade is possible then.")
]
Force = Annotated[bool, typer.Option("--force", help="Restart the only broker too: nothing serves meanwhile.")]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("upgrade")(upgrade)


def upgrade(
    context: typer.Context,
    to: To = None,
    finalize: FinalizeOption = False,
    dry_run: DryRun = False,
    force: Force = False,
    yes: Yes = False,
) -> None:
    """Bring a running cluster to another version of Kafka, node by node, while it serves.

    Until --finalize, --to with the old version downgrades it. An interrupted command is finished by the next one.

    --timeout: how long all of it may take (default 900s).
    """
    if (to is None) is not finalize:
        raise ConfigurationError(
            "cannot upgrade: give either --to or --finalize",
            hint="'kraftd upgrade --to 4.3' brings the cluster to Kafka 4.3; '--finalize' makes that final.",
        )
    invocation: Invocation = context.obj
    if to is None:
        _finalize(invocation, dry_run=dry_run, yes=yes)
        return
    from kraftd.operate.upgrade.upgrade import Upgrade, UpgradeOptions

    timeout_s = invocation.timeout_s or _TIMEOUT_S
    cluster = invocation.recorded()
    chosen = invocation.chosen(cluster.command_context)
    command = Upgrade(chosen, cluster, UpgradeOptions(to, force, timeout_s))
    planned = command.plan() if dry_run or not yes else None
    if dry_run and planned is not None:
        _print_plan(invocation, planned, is_asked=False)
        return
    if planned is not None and not planned.is_empty:
        _print_plan(invocation, planned, is_asked=True)
        confirm(invocation, f"{_verb(planned)} the cluster {planned.cluster} to Kafka {planned.after}", (), yes=yes)
    with report_running_programs(invocation, cluster.layout):
        result = command.run()
    _print_result(invocation, result)


def _finalize(invocation: Invocation, *, dry_run: bool, yes: bool) -> None:
    from kraftd.operate.upgrade.finalize import Finalize

    timeout_s = invocation.timeout_s or _TIMEOUT_S
    cluster = invocation.recorded()
    command = Finalize(invocation.chosen(cluster.command_context), cluster, timeout_s)
    planned = command.plan()
    if not dry_run:
        if not planned.is_empty:
            confirm(invocation, f"finalize Kafka {planned.kafka_version}", _finalized_lines(planned), yes=yes)
        planned = command.run()
    if invocation.json:
        invocation.print_result({"dry_run": dry_run} | asdict(planned))
    elif not invocation.quiet:
        console = invocation.console()
        if planned.is_empty:
            console.print(f"Everything that Kafka {planned.kafka_version} knows is finalized: there is nothing to do")
            return
        if dry_run or yes:
            # Whoever was asked has seen the lines.
            for line in _finalized_lines(planned):
                console.print(line)
        if not dry_run:
            console.print(f"Finalized Kafka {planned.kafka_version}", style="bold")


def _finalized_lines(planned: "Finalization") -> list[str]:
    lines = [f"{each.feature}: {each.before or 'none'} -> {each.after}" for each in planned.levels]
    if planned.no_way_back_to:
        lines.append(f"A downgrade to Kafka {' or '.join(planned.no_way_back_to)} is not possible then.")
    return lines


def _verb(planned: "PlannedUpgrade") -> str:
    return "downgrade" if planned.is_back else "upgrade"


def _print_plan(invocation: Invocation, planned: "PlannedUpgrade", *, is_asked: bool) -> None:
    if invocation.json and not is_asked:
        document = asdict(planned) | {"is_empty": planned.is_empty}
        invocation.print_result({"dry_run": True} | document)
    elif not invocation.quiet or is_asked:
        console = invocation.console(stderr=is_asked)
        for line in _lines(planned):
            console.print(invocation.called(line))


def _lines(planned: "PlannedUpgrade") -> list[str]:
    if planned.is_empty:
        return [f"The cluster {planned.cluster} runs Kafka {planned.after} already: there is nothing to do."]
    lines = [f"{_verb(planned):<10}Kafka {planned.before} -> {planned.after}"]
    if planned.done_before:
        lines.append(f"done      {', '.join(planned.done_before)}: these run it already")
    lines.append(f"restart   {', '.join(planned.order) or 'nothing'}, one after the other")
    lines += [f"changes   {text}" for text in planned.changes]
    kept = ", ".join(f"{name} {level}" for name, level in planned.finalized.items())
    lines.append(f"keeps     {kept}" + ("" if planned.is_back else ": until --finalize a downgrade is possible"))
    lines += [f"note      {note}" for note in planned.notes]
    return lines


def _print_result(invocation: Invocation, result: "UpgradeResult") -> None:
    if invocation.json:
        invocation.print_result(result)
        return
    if invocation.quiet:
        return
    from kraftd.cli.output import print_restarted

    console = invocation.console()
    if not result.is_changed:
        console.print(f"The cluster {result.cluster} runs Kafka {result.after} already: there is nothing to do.")
    print_restarted(console, result.restarted)
    console.print_notes(result.notes)
    if result.is_changed:
        console.print(
            f"The cluster {result.cluster} runs Kafka {result.after} after {result.took_s:.1f} s", style="bold"
        )
    if result.can_finalize:
        console.print(
            f"'kraftd upgrade --finalize' makes this final; until then 'kraftd upgrade --to {result.before}' downgrades"
            if result.is_changed
            else "'kraftd upgrade --finalize' makes this final; until then a downgrade is possible"
        )
