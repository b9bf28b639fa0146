"""`kraftd restart`: stop, then start, under one lock."""

from dataclasses import dataclass, replace

from kraftd.host.lock import held
from kraftd.operate.configuring import Configured, Selection, plan_for
from kraftd.operate.preflight import check_memory
from kraftd.operate.rendering import files_of
from kraftd.operate.runtime import provision
from kraftd.operate.start import StartOptions, StartResult, deadline_from_now, start_locked
from kraftd.operate.stop import StopOptions, StopResult, check_names, stop_locked
from kraftd.operate.store import Store
from kraftd.operate.workspace import Workspace
from kraftd.spec.manifest import check_against


@dataclass(frozen=True, slots=True)
class RestartResult:
    """Answer to ``kraftd restart``."""

    stopped: StopResult
    started: StartResult


def restart(
    selection: Selection, stop_options: StopOptions, start_options: StartOptions, workspace: Workspace
) -> RestartResult:
    """Stop and start the cluster, or programs of it; a changed configuration takes effect with the whole cluster.

    Raises:
        KraftdError: As ``stop`` and ``start`` raise; a configuration that cannot be used is refused before the stop.
    """
    deadline = deadline_from_now(selection, start_options.timeout_s, workspace)
    configured = plan_for(selection, workspace)
    if not stop_options.names:
        _refuse_in_vain(configured, workspace)
    layout = configured.plan.layout
    store = Store(layout)
    plan = store.plan() or configured.plan
    check_names(plan, stop_options.names)
    with held(
        layout.lock,
        command="restart",
        clock=workspace.clock,
        timeout_s=start_options.timeout_s,
        on_wait=lambda holder: workspace.reporter.step(f"Waiting for {holder}"),
    ):
        stopped = stop_locked(store, plan, replace(stop_options, command="restart"), workspace)
        configured = plan_for(selection, workspace)
        started = start_locked(configured, replace(start_options, command="restart"), workspace, deadline)
    return RestartResult(stopped, started)


def _refuse_in_vain(configured: Configured, workspace: Workspace) -> None:
    """Refuse, before anything is stopped, a start that would fail after it."""
    plan = configured.plan
    if configured.manifest is not None:
        check_against(plan, configured.manifest, configured.origin)
    check_memory(plan)
    files_of(plan, provision(plan, workspace).launch, workspace)
