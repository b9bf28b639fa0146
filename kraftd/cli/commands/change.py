"""The commands that change a cluster while it serves: apply, and the rolling restart."""

from dataclasses import asdict
from typing import Annotated

import typer

from kraftd.cli.commands.cluster import DryRun, report_running_programs
from kraftd.cli.options import Invocation
from kraftd.errors import ConfigurationError

_TIMEOUT_S = 600.0

Force = Annotated[bool, typer.Option("--force", help="Restart the only broker too: nothing serves meanwhile.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("apply")(apply)


def apply(context: typer.Context, dry_run: DryRun = False, force: Force = False) -> None:
    """Make the running cluster follow its changed configuration, without a stop of it.

    Each program gets the least that is needed: nothing, other settings while it runs, or a restart, one after the
    other. What is new is started beside the others. Refused is what would change the quorum or lose data.
    """
    from kraftd.cli import changes
    from kraftd.operate.apply.apply import ApplyOptions
    from kraftd.operate.apply.apply import apply as apply_configuration

    invocation: Invocation = context.obj
    timeout_s = invocation.timeout_s or _TIMEOUT_S
    command_context = invocation.command_context(timeout_s)
    chosen = invocation.chosen(command_context)
    with report_running_programs(invocation, chosen.layout):
        result = apply_configuration(chosen, ApplyOptions(dry_run, force, timeout_s), command_context)
    if invocation.json:
        invocation.print_document({"ok": True, "schema_version": 1, **asdict(result)})
    elif not invocation.quiet:
        changes.applied(invocation.console(), result)


def restart_rolling(
    context: typer.Context, names: list[str] | None, *, force: bool, is_rolling: bool, dry_run: bool
) -> None:
    """Restart programs one after the other."""
    from kraftd.cli import changes
    from kraftd.operate.rolling.restart import RollingOptions
    from kraftd.operate.rolling.restart import restart_rolling as restart_programs

    if not is_rolling:
        raise ConfigurationError(
            "cannot use --dry-run without --rolling: only a rolling restart tells its order",
            hint="'kraftd restart --rolling --dry-run' shows it.",
        )
    invocation: Invocation = context.obj
    cluster = invocation.recorded()
    options = RollingOptions(tuple(names or ()), dry_run, force, invocation.timeout_s or _TIMEOUT_S)
    with report_running_programs(invocation, cluster.layout):
        result = restart_programs(cluster, options)
    if invocation.json:
        invocation.print_document({"ok": True, "schema_version": 1, **asdict(result)})
    elif not invocation.quiet:
        changes.rolled(invocation.console(), result)
