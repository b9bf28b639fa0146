"""The commands that change a cluster: start, stop, restart, apply, pause, resume, destroy."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from kraftd.cli.options import Invocation, Yes, confirm, program_names
from kraftd.errors import LOCKED, ConfigurationError, KraftdError, TimedOutError

if TYPE_CHECKING:
    from kraftd.operate.context import ClusterContext
    from kraftd.operate.stop.stop import PauseResult
    from kraftd.plan.layout import Layout

_START_TIMEOUT_S = 180.0
_STOP_TIMEOUT_S = 330.0
_PAUSE_TIMEOUT_S = 30.0
_CHANGE_TIMEOUT_S = 600.0

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Programs; default: all.", autocompletion=program_names),
]
Chosen = Annotated[list[str], typer.Argument(metavar="NAME", help="Programs.", autocompletion=program_names)]
With = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="TOOL",
        help="monitoring (Prometheus, Alertmanager and Grafana), or one of these; the same as --set TOOL.enabled=true.",
    ),
]
InForeground = Annotated[
    bool,
    typer.Option(
        "--foreground", help="Stay, print events, and stop the cluster at the end: for containers and service managers."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Stop even if that costs the quorum or the last in-sync replica.")]

Rolling = Annotated[bool, typer.Option("--rolling", help="One program after the other, while the others serve.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; show what would be done.")]
RestartOnly = Annotated[bool, typer.Option("--force", help="Restart the only broker too: nothing serves meanwhile.")]


class InterruptedCommandError(KraftdError):
    """The user pressed Ctrl-C."""

    exit_code: ClassVar[int] = 130
    code = "interrupted"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("start")(start)
    app.command("stop")(stop)
    app.command("restart")(restart)
    app.command("apply")(apply)
    app.command("pause")(pause)
    app.command("resume")(resume)
    app.command("destroy")(destroy)


def start(context: typer.Context, names: Names = None, tools: With = None, foreground: InForeground = False) -> None:
    """Start the cluster and return when it is ready. Programs that run already are left alone.

    --timeout: how long that may take (default 180s).
    """
    from kraftd.cli import output
    from kraftd.operate.configuring import enabling
    from kraftd.operate.context import cluster_context
    from kraftd.operate.observation import observed
    from kraftd.operate.start.start import StartOptions
    from kraftd.operate.start.start import start as start_cluster
    from kraftd.operate.status import status

    given: Invocation = context.obj
    # Before the user's own, which may take one of them away again.
    invocation = replace(given, assignments=(*enabling(tools or ()), *given.assignments))
    options = StartOptions(tuple(names or ()), invocation.timeout_s or _START_TIMEOUT_S)
    if foreground:
        from kraftd.cli.foreground import run_in_foreground

        run_in_foreground(invocation, options)
        return
    command_context = invocation.command_context(_START_TIMEOUT_S)
    chosen = invocation.chosen(command_context)
    with report_running_programs(invocation, chosen.layout):
        result = start_cluster(chosen, options, command_context)
    if invocation.json:
        document = status(cluster_context(result.plan, command_context), observed).document
        invocation.print_document(
            {**asdict(document), "started": result.started, "formatted": result.formatted}
            | {"notes": result.notes, "took_s": result.took_s}
        )
    elif not invocation.quiet:
        output.started(invocation.console(), result, invocation.command)


def stop(context: typer.Context, names: Names = None, force: Force = False) -> None:
    """Stop the cluster, or programs of it, without losing a record. A cluster that does not run is not an error.

    --timeout: how long brokers and controllers may take before they are killed (default 330s).
    """
    from kraftd.cli import output
    from kraftd.operate.stop.stop import StopOptions
    from kraftd.operate.stop.stop import stop as stop_cluster

    invocation: Invocation = context.obj
    cluster = _known_cluster(invocation)
    options = StopOptions(tuple(names or ()), force, invocation.timeout_s or _STOP_TIMEOUT_S)
    with report_running_programs(invocation, cluster.layout):
        result = stop_cluster(cluster, options)
    if invocation.json:
        invocation.print_result(
            {"cluster": result.cluster, "took_s": result.took_s}
            | {"whole_cluster": result.whole_cluster, "stopped": result.programs, "unclean": result.unclean}
        )
    elif not invocation.quiet:
        output.stopped(invocation.console(), result)


def restart(
    context: typer.Context, names: Names = None, force: Force = False, rolling: Rolling = False, dry_run: DryRun = False
) -> None:
    """Stop and start the cluster, or programs of it; what does not run is started, as by 'start'.

    With the whole cluster a changed configuration takes effect. With --rolling one program after the other is
    restarted, every broker and controller without a name, each while the others serve; a call that ended early is
    continued. --timeout: for the stop (default 330s), the start (default 180s) or all that is rolling (default 600s).
    """
    if rolling or dry_run:
        _restart_rolling(context, names, force=force, is_rolling=rolling, dry_run=dry_run)
        return
    from kraftd.cli import output
    from kraftd.operate.restart import restart as restart_cluster
    from kraftd.operate.start.start import StartOptions
    from kraftd.operate.stop.stop import StopOptions

    invocation: Invocation = context.obj
    chosen = tuple(names or ())
    command_context = invocation.command_context(_START_TIMEOUT_S)
    cluster = invocation.chosen(command_context)
    if invocation.cluster is not None:
        _known_cluster(invocation)
    with report_running_programs(invocation, cluster.layout):
        result = restart_cluster(
            cluster,
            StopOptions(chosen, force, invocation.timeout_s or _STOP_TIMEOUT_S),
            StartOptions(chosen, invocation.timeout_s or _START_TIMEOUT_S),
            command_context,
        )
    if invocation.json:
        invocation.print_result(
            {"cluster": result.stopped.cluster, "took_s": result.started.took_s}
            | {"stopped": result.stopped.programs, "started": result.started.started, "notes": result.started.notes}
        )
    elif not invocation.quiet:
        output.started(invocation.console(), result.started, invocation.command)


def _restart_rolling(
    context: typer.Context, names: list[str] | None, *, force: bool, is_rolling: bool, dry_run: bool
) -> None:
    """Restart programs one after the other."""
    from kraftd.cli import output
    from kraftd.operate.restart import RollingOptions
    from kraftd.operate.restart import restart_rolling as restart_programs

    if not is_rolling:
        raise ConfigurationError(
            "cannot use --dry-run without --rolling: only a rolling restart tells its order",
            hint="'kraftd restart --rolling --dry-run' shows it.",
        )
    invocation: Invocation = context.obj
    cluster = invocation.recorded()
    options = RollingOptions(tuple(names or ()), dry_run, force, invocation.timeout_s or _CHANGE_TIMEOUT_S)
    with report_running_programs(invocation, cluster.layout):
        result = restart_programs(cluster, options)
    if invocation.json:
        invocation.print_result(result)
    elif not invocation.quiet:
        output.rolled(invocation.console(), result)


def apply(context: typer.Context, dry_run: DryRun = False, force: RestartOnly = False) -> None:
    """Make the running cluster follow its changed configuration, without a stop of it.

    Each program gets the least that is needed: nothing, other settings while it runs, or a restart, one after the
    other. What is new is started beside the others. Refused is what would change the quorum or lose data.

    --timeout: how long all of it may take (default 600s).
    """
    from kraftd.cli import output
    from kraftd.operate.apply.apply import ApplyOptions
    from kraftd.operate.apply.apply import apply as apply_configuration

    invocation: Invocation = context.obj
    timeout_s = invocation.timeout_s or _CHANGE_TIMEOUT_S
    command_context = invocation.command_context(timeout_s)
    chosen = invocation.chosen(command_context)
    with report_running_programs(invocation, chosen.layout):
        result = apply_configuration(chosen, ApplyOptions(dry_run, force, timeout_s), command_context)
    if invocation.json:
        invocation.print_result(result)
    elif not invocation.quiet:
        output.applied(invocation.console(), result)


def pause(context: typer.Context, names: Chosen) -> None:
    """Leave programs alone: the daemon neither restarts nor ends them. They run on; 'start' and 'stop' end a pause.

    --timeout: how long to wait for another command (default 30s).
    """
    from kraftd.operate.stop.stop import pause as pause_programs

    invocation: Invocation = context.obj
    limit_s = invocation.timeout_s or _PAUSE_TIMEOUT_S
    _print_pause(invocation, pause_programs(_known_cluster(invocation), names, limit_s), "paused")


def resume(context: typer.Context, names: Chosen) -> None:
    """End the pause of programs: the daemon keeps them running again, and restarts what ended meanwhile.

    --timeout: how long to wait for another command (default 30s).
    """
    from kraftd.operate.stop.stop import resume as resume_programs

    invocation: Invocation = context.obj
    limit_s = invocation.timeout_s or _PAUSE_TIMEOUT_S
    _print_pause(invocation, resume_programs(_known_cluster(invocation), names, limit_s), "resumed")


def _print_pause(invocation: Invocation, result: "PauseResult", done: str) -> None:
    from kraftd.cli import output

    if invocation.json:
        invocation.print_result({"cluster": result.cluster} | {done: result.changed, "unchanged": result.unchanged})
    elif not invocation.quiet:
        output.paused(invocation.console(), result, done)


def destroy(context: typer.Context, yes: Yes = False) -> None:
    """Remove a stopped cluster with all its data, and nothing else: lists what goes, then asks."""
    from kraftd.cli import output
    from kraftd.operate.configuring import recorded_or_configured_plan
    from kraftd.operate.context import cluster_context
    from kraftd.operate.destroy import destroy as destroy_cluster
    from kraftd.operate.destroy import planned_removal

    invocation: Invocation = context.obj
    command_context = invocation.command_context()
    chosen = invocation.chosen(command_context)
    # Before the plan: of a directory that is not a cluster's, nothing else is read.
    planned = planned_removal(chosen.layout, chosen.configuration.settings.cluster.name)
    plan = recorded_or_configured_plan(chosen, command_context)
    invocation.check_name(plan)
    console = invocation.console(stderr=True)
    if not yes:
        output.planned_removal(console, planned)
    confirm(invocation, f"destroy the cluster {plan.cluster} with its data", (), yes=yes)
    result = destroy_cluster(cluster_context(plan, command_context))
    if invocation.json:
        removed = [{"path": path, "bytes": size_bytes} for path, size_bytes in result.entries]
        invocation.print_result({"cluster": result.cluster, "removed": removed, "kept": result.kept})
    elif not invocation.quiet:
        output.destroyed(console, result)


def _known_cluster(invocation: Invocation) -> "ClusterContext":
    """Return the context of the chosen cluster.

    Raises:
        NotRunningError: It is named, and was never started: the name is most likely a typing error. Without a name, a
            cluster that was never started is one that is stopped already.
    """
    cluster = invocation.any_plan()
    if invocation.cluster is not None:
        from kraftd.operate.stop.stop import was_started

        if not was_started(cluster):
            cluster.store.plan_of_record(cluster.plan.cluster)
    return cluster


@contextlib.contextmanager
def interruption(hint: str) -> Iterator[None]:
    """Say what an interrupted command leaves, and what goes on with it."""
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedCommandError("cannot finish: interrupted", hint=hint[:1].upper() + hint[1:]) from None


@contextlib.contextmanager
def report_running_programs(invocation: Invocation, layout: "Layout") -> Iterator[None]:
    """Add to an early end of a command the programs that still run, how to stop them, and what finishes its work.

    Not where another command is at work: this one has changed nothing then, and a stop would end that one too.
    """
    from kraftd.operate.observation import operations, running_programs
    from kraftd.operate.start.sequence import YieldedError

    try:
        yield
    except KeyboardInterrupt:
        unfinished = [
            f"Not finished: {each.operation}; '{each.resume}' finishes it."
            for each in operations(layout, invocation.command_context().clock)
            if each.resume
        ]
        runs = _what_runs(running_programs(layout), invocation) or "No program of the cluster runs."
        raise InterruptedCommandError("cannot finish: interrupted", hint=" ".join((*unfinished, runs))) from None
    except YieldedError:
        raise
    except KraftdError as error:
        if error.exit_code in (KraftdError.exit_code, TimedOutError.exit_code) and error.code != LOCKED:
            running = running_programs(layout)
            error.hint = " ".join(filter(None, (error.hint, _what_runs(running, invocation))))
        raise


def _what_runs(programs: tuple[str, ...], invocation: Invocation) -> str:
    return f"Still running: {', '.join(programs)}; '{invocation.command} stop' stops the cluster." if programs else ""
