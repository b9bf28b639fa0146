"""`kraftd start`: from a configuration to a cluster that serves."""

from dataclasses import dataclass, replace

from kraftd.broker.admin import load_client
from kraftd.errors import KraftdError, UnknownNameError
from kraftd.host.events import EventLog, timestamp
from kraftd.host.files import changed_files, write_changed
from kraftd.host.lock import held
from kraftd.operate.bringing_up import BringUp
from kraftd.operate.configuring import Configured, Selection, layout_for, plan_for
from kraftd.operate.formatting import format_nodes, unformatted
from kraftd.operate.launching import launch_supervisord
from kraftd.operate.preflight import check_memory, check_ports, check_quorum, make_directories
from kraftd.operate.rendering import files_of
from kraftd.operate.runtime import Provision, provision
from kraftd.operate.stop import StopOptions, check_names, stop_locked
from kraftd.operate.store import Store
from kraftd.operate.waiting import Deadline, StartWait, yield_to_stop
from kraftd.operate.workspace import Workspace
from kraftd.spec.desired import Wish
from kraftd.spec.manifest import check_against
from kraftd.spec.plan import DAEMON, Node, Plan
from kraftd.supervisord.door import Supervisor
from kraftd.watch.roster import Roster, call_the_roll


@dataclass(frozen=True, slots=True)
class StartOptions:
    """How to start.

    Attributes:
        names: Programs; none for the whole cluster.
        timeout_s: How long the whole command may take.
        command: The command on whose behalf.
    """

    names: tuple[str, ...] = ()
    timeout_s: float = 180.0
    command: str = "start"


@dataclass(frozen=True, slots=True)
class StartResult:
    """Answer to ``kraftd start``.

    Attributes:
        started: The programs that this command started; empty where all ran already.
        formatted: The nodes that this command formatted.
        notes: What the user should know, one sentence each.
        names: The programs that were named; empty for the whole cluster.
    """

    plan: Plan
    started: tuple[str, ...]
    formatted: tuple[str, ...]
    notes: tuple[str, ...]
    took_s: float
    names: tuple[str, ...] = ()


def start(selection: Selection, options: StartOptions, workspace: Workspace) -> StartResult:
    """Bring the cluster up, or programs of it; idempotent. Returns when it serves.

    Raises:
        ConfigurationError: The configuration, or what it asks of this machine.
        IdentityMismatchError: The data belongs to something else.
        NeedsRunningClusterError: What is named would have no quorum.
        RuntimeMissingError: Java or Kafka is missing.
        StartFailedError: A program ended before it served.
        TimedOutError: Time was up.
        YieldedError: A stop was asked for meanwhile.
    """
    deadline = deadline_from_now(selection, options.timeout_s, workspace)
    configured = plan_for(selection, workspace)
    _refuse_absent(configured, options.names)
    check_names(configured.plan, options.names)
    reporter = workspace.reporter
    with held(
        configured.plan.layout.lock,
        command=options.command,
        clock=workspace.clock,
        timeout_s=options.timeout_s,
        on_wait=lambda holder: reporter.step(f"Waiting for {holder}"),
    ):
        # Another command may have formatted the cluster while this one waited.
        configured = plan_for(selection, workspace)
        return start_locked(configured, options, workspace, deadline)


def deadline_from_now(selection: Selection, timeout_s: float, workspace: Workspace) -> Deadline:
    """Return the deadline of a command that begins now, and yields to every stop from now on.

    Raises:
        ConfigurationError: The configuration is wrong.
    """
    _, _, layout = layout_for(selection, workspace)
    return Deadline(workspace.clock.monotonic_s() + timeout_s, timeout_s, Store(layout).generation())


def start_locked(
    configured: Configured, options: StartOptions, workspace: Workspace, deadline: Deadline
) -> StartResult:
    """Do what ``start`` does, for a caller that holds the lock."""
    store = Store(configured.plan.layout)
    # What a stop that came and went in between has ended shall not come back.
    yield_to_stop(store, deadline)
    running = store.plan()
    roster = call_the_roll(running or configured.plan, Supervisor(configured.plan.layout.socket))
    store.desired()  # damaged, it is said before anything changes
    if running is not None and roster.supervisor is not None:
        result = _complete(configured, running, roster, options, workspace, deadline)
    else:
        result = _from_nothing(configured, running, roster, options, workspace, deadline)
    return replace(result, names=options.names)


def _refuse_absent(configured: Configured, names: tuple[str, ...]) -> None:
    """Refuse to start by name a tool that is not installed."""
    for name in names:
        if name in configured.absent:
            raise UnknownNameError(
                f"cannot start {name}: {configured.absent[name]}",
                hint="Only what the plan holds can be started: 'kraftd plan' shows it.",
            )


def _from_nothing(
    configured: Configured,
    previous: Plan | None,
    roster: Roster,
    options: StartOptions,
    workspace: Workspace,
    deadline: Deadline,
) -> StartResult:
    plan = configured.plan
    store = Store(plan.layout)
    names = _closure(plan, options.names)
    empty = _checked(configured, names)
    has_leftovers = bool(roster.processes) or roster.supervisor is not None
    if not has_leftovers:
        check_ports(plan, plan.kinds)
    provided = provision(plan, workspace)
    files = files_of(plan, provided.launch, workspace)
    notes = [*configured.absent.values(), *provided.notes]
    if has_leftovers:
        # Only now: nothing but a port can stand in the way of the new start any more.
        notes.append("ended what an earlier run had left behind, and started anew")
        workspace.reporter.step(
            f"Ending what an earlier run left behind: {', '.join(roster.processes) or 'supervisord'}"
        )
        stop_locked(store, previous or plan, StopOptions(command=options.command), workspace)
        check_ports(plan, plan.kinds)
    make_directories(plan)
    if empty:
        format_nodes(plan, empty, provided.bootstrap_checkpoint)
    write_changed(files)
    store.write_plan(plan)
    store.forget_restarts()
    _wish(store, plan, names, options, workspace)
    supervisor = launch_supervisord(plan, workspace, meanwhile=load_client)
    wait = StartWait(plan, supervisor, workspace, deadline)
    notes += BringUp(plan, wait, workspace).run(names)
    return _result(plan, names, tuple(node.name for node in empty), notes, workspace, deadline)


def _checked(configured: Configured, names: tuple[str, ...]) -> tuple[Node, ...]:
    """Return the nodes to format, where the plan fits its data and this machine."""
    plan = configured.plan
    if configured.manifest is not None:
        check_against(plan, configured.manifest, configured.origin)
    empty = unformatted(plan, configured.manifest)
    check_quorum(plan, names, ())
    check_memory(plan)
    return empty


def _complete(
    configured: Configured,
    plan: Plan,
    roster: Roster,
    options: StartOptions,
    workspace: Workspace,
    deadline: Deadline,
) -> StartResult:
    """Start what is missing of a cluster that supervisord runs; what runs is left as it is."""
    store = Store(plan.layout)
    check_names(plan, options.names)
    notes = [note for name, note in configured.absent.items() if name not in plan.kinds]
    notes += _changes(configured, plan, workspace)
    wanted = _closure(plan, options.names)
    missing = tuple(name for name in wanted if name not in roster.processes)
    check_quorum(plan, wanted, roster.processes)
    check_ports(plan, missing)
    _wish(store, plan, wanted, options, workspace)
    wait = StartWait(plan, Supervisor(plan.layout.socket), workspace, deadline)
    notes += BringUp(plan, wait, workspace).run(wanted, missing)
    return _result(plan, missing, (), notes, workspace, deadline)


def _changes(configured: Configured, running: Plan, workspace: Workspace) -> list[str]:
    """Return that the configuration changed since the cluster was started, where it did."""
    provided: Provision | None
    try:
        provided = provision(configured.plan, workspace, fetch=False)
    except KraftdError as error:
        return [f"the configuration changed since the start, and cannot be used now: {error}"]
    files = files_of(configured.plan, provided.launch, workspace)
    if configured.plan == running and not changed_files(files):
        return []
    return ["the configuration changed since the cluster was started: 'kraftd restart' applies it"]


def _closure(plan: Plan, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the programs to start: all where none is named; the daemon belongs to every cluster that runs."""
    return tuple(name for name in plan.kinds if not names or name in names or name == DAEMON)


def _wish(store: Store, plan: Plan, names: tuple[str, ...], options: StartOptions, workspace: Workspace) -> None:
    now = timestamp(workspace.clock.now_s())
    store.wish(names, Wish(running=True, since=now, by=options.command, why="asked for on the command line"))


def _result(
    plan: Plan,
    started: tuple[str, ...],
    formatted: tuple[str, ...],
    notes: list[str],
    workspace: Workspace,
    deadline: Deadline,
) -> StartResult:
    took_s = round(workspace.clock.monotonic_s() - (deadline.at_s - deadline.limit_s), 3)
    if started:
        events = EventLog(plan.layout.events, "commands", workspace.clock)
        events.record("cluster_started", f"started {', '.join(started)} in {took_s:.1f} s")
    return StartResult(plan, started, formatted, tuple(notes), took_s)
