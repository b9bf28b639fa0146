"""`kraftd restart`: stop, then start, under one lock."""

from dataclasses import dataclass, replace

from kraftd.operate.configuring import ChosenCluster, plan_for
from kraftd.operate.context import CommandContext, cluster_context
from kraftd.operate.ownership import refuse_foreign
from kraftd.operate.render import files_of
from kraftd.operate.start.preflight import check_memory, check_open_files
from kraftd.operate.start.start import Start, StartOptions, StartResult, deadline_from_now, start_locked
from kraftd.operate.stop.stop import StopOptions, StopResult, is_there, nothing_stopped, stop_locked
from kraftd.operate.stop.supervision import require_supervision
from kraftd.plan.manifest import check_against


@dataclass(frozen=True, slots=True)
class RestartResult:
    """Answer to ``kraftd restart``."""

    stopped: StopResult
    started: StartResult


def restart(
    chosen: ChosenCluster, stop_options: StopOptions, start_options: StartOptions, command_context: CommandContext
) -> RestartResult:
    """Stop and start the cluster, or programs of it; a changed configuration takes effect with the whole cluster.

    Raises:
        KraftdError: As ``stop`` and ``start`` raise; a configuration that cannot be used is refused before the stop.
    """
    refuse_foreign(chosen.layout)
    deadline = deadline_from_now(chosen, start_options.timeout_s, command_context)
    configured = plan_for(chosen, command_context)
    cluster = cluster_context(configured.plan, command_context)
    start = Start(configured, cluster, replace(start_options, command="restart"), deadline)
    if not stop_options.names:
        _refuse_in_vain(start)
    running = cluster.following(cluster.store.plan() or configured.plan)
    running.plan.check_names(stop_options.names)
    with cluster.lock("restart", timeout_s=start_options.timeout_s):
        if stop_options.names:
            require_supervision(running, stop_options.names)
        stopped = nothing_stopped(running.plan, stop_options)
        if is_there(running):
            stopped = stop_locked(running, replace(stop_options, command="restart"))
        started = start_locked(start)
    return RestartResult(stopped, started)


def _refuse_in_vain(start: Start) -> None:
    """Refuse, before anything is stopped, a start that would fail after it."""
    configured, plan = start.configured, start.cluster.plan
    if configured.manifest is not None:
        check_against(plan, configured.manifest, configured.chosen.origin)
    refuse_foreign(plan.layout, plan.names)
    check_memory(plan, start.doors.memory_bytes())
    check_open_files(start.doors.open_files_limit())
    files_of(
        plan, start.doors.prepare_runtime(plan, start.cluster.command_context).launch, start.cluster.command_context
    )
