"""Results as text: what is there, and what a change of a running cluster did or would do."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from kraftd.cli.options import called_as
from kraftd.cli.terminal import Console, Table, Text
from kraftd.health.programs.backups import BackupOutcome
from kraftd.health.programs.ladder import described
from kraftd.health.programs.operations import Operation, OperationOutcome, OperationState
from kraftd.health.programs.state import ProgramView, ServiceState, Status
from kraftd.health.report.documents import HealthDocument, StatusDocument
from kraftd.plan.kinds import App
from kraftd.plan.plan import Plan
from kraftd.units import duration, human_size, parse_timestamp, shortened

if TYPE_CHECKING:
    from kraftd.operate.apply.apply import ApplyResult
    from kraftd.operate.destroy import Removal
    from kraftd.operate.restart import RollingResult
    from kraftd.operate.rolling.roll import Restarted
    from kraftd.operate.start.start import StartResult
    from kraftd.operate.stop.stop import PauseResult, StopResult

_STATE_STYLES = {
    ServiceState.READY: "green",
    ServiceState.STARTING: "yellow",
    ServiceState.UNREADY: "red",
    ServiceState.DOWN: "bold red",
    ServiceState.BACKOFF: "bold red",
    ServiceState.GIVEN_UP: "bold red",
    ServiceState.PAUSED: "yellow",
    ServiceState.STOPPED: "dim",
}
_STATUS_STYLES = {
    Status.OK: "green",
    Status.DEGRADED: "yellow",
    Status.DOWN: "bold red",
    Status.UNSUPERVISED: "yellow",
}
_OPERATION_STYLES: Mapping[str, str] = {
    OperationState.RUNNING: "green",
    OperationState.RESUMABLE: "yellow",
    OperationOutcome.FAILED: "red",
    OperationOutcome.INTERRUPTED: "yellow",
}
_MOST_KEPT = 10
_MOST_ALERTS = 8
_STATUS_COLUMNS = ("NAME", "KIND", "STATE", "RUNG", "PID", "UPTIME", "RESTARTS", "ADDRESS", "REASON")
_NUMBERS = ("PID", "UPTIME", "RESTARTS")
_LEFT_OUT_FIRST = ("REASON", "KIND", "RESTARTS", "ADDRESS", "UPTIME", "PID")
_LEAST_REASON = 30
"""The fewest characters in which a reason can be read."""
_GAP = 2


def started(console: Console, result: "StartResult", command: str) -> None:
    """Print the addresses and paths of a started cluster, and commands to try next."""
    plan = result.plan
    if result.names:
        # The state of the other programs is not known.
        named = _names(result.names)
        head = f"Started {named} in {result.took_s:.1f} s" if result.started else f"Already running: {named}"
    elif result.started:
        brokers = f"{len(plan.brokers)} broker{'s' if len(plan.brokers) > 1 else ''}"
        head = f"The cluster {plan.cluster} is ready after {result.took_s:.1f} s: {brokers}, Kafka {plan.kafka_version}"
    else:
        head = f"The cluster {plan.cluster} is already running and ready"
    console.print(head, style="bold")
    console.print_notes(result.notes)
    places = Table.grid(padding=(0, 3))
    places.add_column()
    places.add_column(overflow="fold")
    for label, value in _places(plan):
        places.add_row(Text(f"  {label}", style="dim"), value)
    console.print(places)
    console.print("Try:", style="bold")
    for line in _suggestions(plan, command):
        console.print(f"  {line}")


def planned_removal(console: Console, removal: "Removal") -> None:
    """Print the paths that a destroy would remove, and those it would keep."""
    for path, size_bytes in removal.entries:
        console.print(f"  {path}  {human_size(size_bytes)}")
    _kept(console, removal, "Not written by kraftd, and kept:")


def destroyed(console: Console, removal: "Removal") -> None:
    """Print the cluster that was removed, and the paths that were kept."""
    console.print(f"Removed the cluster {removal.cluster}")
    _kept(console, removal, "Kept what kraftd did not write:")


def _kept(console: Console, removal: "Removal", head: str) -> None:
    if not removal.kept:
        return
    console.print(head)
    for path in removal.kept[:_MOST_KEPT]:
        link = f" (a symbolic link to {path.readlink()})" if path.is_symlink() else ""
        console.print(f"  {path}{link}")
    if len(removal.kept) > _MOST_KEPT:
        console.print(f"  and {len(removal.kept) - _MOST_KEPT} more")


def stopped(console: Console, result: "StopResult") -> None:
    """Print the stopped programs, and those that did not shut down cleanly."""
    if not result.programs:
        console.print(
            f"The cluster {result.cluster} is not running"
            if result.whole_cluster
            else "None of the programs was running",
        )
        return
    what = f"the cluster {result.cluster}" if result.whole_cluster else _names(each.name for each in result.programs)
    console.print(f"Stopped {what} in {result.took_s:.1f} s", style="bold")
    for name in result.unclean:
        why = next((each.killed for each in result.programs if each.name == name), None) or "it did not close its logs"
        console.print(
            f"{name} did not shut down cleanly ({why}): it checks its logs at the next start, and loses no "
            "acknowledged record",
            style="yellow",
        )


def paused(console: Console, result: "PauseResult", done: str) -> None:
    """Print the programs whose pause began or ended, and those that stay as they are."""
    if result.changed:
        console.print(f"{done.capitalize()} {_names(result.changed)}", style="bold")
    for name, why in result.unchanged.items():
        console.print(f"{name} {why}")


def status_view(document: StatusDocument, width: int, *, rungs: bool = False, command: str = "kraftd") -> Group:
    """Return the verdict, the programs and the reasons, for a terminal of a width in characters.

    Args:
        document: The status.
        width: The width in characters.
        rungs: Whether with the rungs of the readiness ladders.
        command: How kraftd is called for this cluster.
    """
    table = status_table(document, width, rungs=rungs)
    reasons = list(document.reasons)
    if "REASON" not in [column.header for column in table.columns]:
        said = " ".join(reasons)
        own = [(node.name, _one_line(node.reason)) for node in document.nodes if node.reason]
        reasons += [f"{name}: {reason}" for name, reason in own if reason not in said]
    reasons += [f"{node.name}: {note}" for node in document.nodes for note in node.notes]
    shown = [Text(f"  {called_as(reason, command)}", style="yellow") for reason in reasons]
    ladder = [Text(f"  The cluster's rung: {document.rung or 'none'}", style="dim")] if rungs else []
    below = (*_alert_lines(document), *_operation_lines(document, command), *_backup_lines(document))
    return Group(status_head(document), table, *ladder, *shown, *below)


def _alert_lines(document: StatusDocument) -> Iterable[Text]:
    """Yield one line with the alerts that fire, the worst first, if any do."""
    alerts = document.alerts if isinstance(document, HealthDocument) else None
    if alerts is not None and alerts.firing:
        names = list(dict.fromkeys(f"{each.name} ({each.severity})" for each in alerts.firing))
        more = ", ..." if len(names) > _MOST_ALERTS else ""
        yield Text(f"  Alerts: {', '.join(names[:_MOST_ALERTS])}{more}", style="red")


def _backup_lines(document: StatusDocument) -> Iterable[Text]:
    """Yield one line with the last and the next scheduled backup, where there is a schedule."""
    backup = document.backup if isinstance(document, HealthDocument) else None
    if backup is None:
        return
    left_s = parse_timestamp(backup.next_at) - parse_timestamp(document.generated_at)
    last = "none yet" if backup.succeeded_at is None else f"{duration(backup.age_s)} ago"
    following = "one is under way" if backup.running else f"next in {duration(left_s)}" if left_s > 0 else "next is due"
    intro = "the last one failed: " if backup.outcome is BackupOutcome.FAILED else ""
    fault = f"; {intro}{backup.error}" if backup.error else ""
    yield Text(f"  Backup ({backup.schedule}): {last}, {following}{fault}", style="red" if fault else "dim")


def operations_table(operations: Iterable[Operation], now_s: float, command: str) -> Table:
    """Return the operations that take long as a table.

    Args:
        operations: The operations.
        now_s: Seconds since the Unix epoch.
        command: How kraftd is called for their cluster.
    """
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    for column in ("OPERATION", "STATE", "SINCE", "WHAT"):
        table.add_column(column, no_wrap=column != "WHAT", overflow="fold")
    for each in operations:
        began_s = None if each.since is None else parse_timestamp(each.since)
        since = "-" if began_s is None else f"{duration(max(0.0, now_s - began_s))} ago"
        state = each.outcome or each.state
        table.add_row(
            each.operation, Text(state, style=_OPERATION_STYLES.get(state, "")), since, _detail(each, command)
        )
    return table


def _detail(operation: Operation, command: str) -> str:
    """Return what an operation is about, how far it is, and what to do about it, in a line."""
    # The error of a refusal lists what is missing in lines of its own.
    parts = [operation.what, " ".join((operation.error or "").split())]
    if operation.step:
        parts.append(f"{operation.step} (pid {operation.pid})")
    if operation.total_bytes and operation.done_bytes is not None:
        share = min(100, operation.done_bytes * 100 // operation.total_bytes)
        left = f", {duration(operation.left_s)} left" if operation.left_s else ""
        parts.append(f"{share} % of {human_size(operation.total_bytes)}{left}")
    if operation.resume:
        undo = f", '{operation.undo}' gives it up" if operation.undo else ""
        parts.append(called_as(f"'{operation.resume}' finishes it{undo}", command))
    return "; ".join(filter(None, parts))


def _operation_lines(document: StatusDocument, command: str) -> Iterable[Text]:
    """Yield a line for each operation that runs or waits to be resumed."""
    for each in document.operations:
        if each.state is not OperationState.DONE:
            yield Text(
                f"  {each.operation}, {each.state}: {_detail(each, command)}", style=_OPERATION_STYLES[each.state]
            )


def status_table(document: StatusDocument, width: int, *, rungs: bool = False) -> Table:
    """Return the programs as a table; columns that a width in characters has no room for are left out."""
    rows = [_status_row(node, document.generated_at) for node in document.nodes]
    chosen = _fitting(rows, width, [each for each in _STATUS_COLUMNS if rungs or each != "RUNG"])
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    for column in chosen:
        table.add_column(
            column, justify="right" if column in _NUMBERS else "left", no_wrap=column != "REASON", overflow="fold"
        )
    for row in rows:
        table.add_row(*(row[column] for column in chosen))
    return table


def _fitting(rows: Sequence[Mapping[str, Text]], width: int, columns: Sequence[str]) -> list[str]:
    """Return the columns that fit; of a reason, which is wrapped, a part is enough."""
    needed = {column: max([len(column), *(row[column].cell_len for row in rows)]) for column in columns}
    needed["REASON"] = min(needed["REASON"], _LEAST_REASON)
    chosen = list(columns)
    for column in _LEFT_OUT_FIRST:
        if sum(needed[each] + _GAP for each in chosen) <= width:
            break
        chosen.remove(column)
    return chosen


def _status_row(node: ProgramView, generated_at: str) -> dict[str, Text]:
    return {
        "NAME": Text(node.name),
        "KIND": Text(node.kind),
        "STATE": Text(node.service_state, style=_STATE_STYLES[node.service_state]),
        "RUNG": Text(described(node.rung, node.recovery) if node.rung is not None else "-"),
        "PID": Text(str(node.pid or "-")),
        "UPTIME": Text(_duration(node.uptime_s)),
        "RESTARTS": Text(str(node.restarts)),
        # The first is the one that clients use; --json has them all.
        "ADDRESS": Text(node.listeners[0]),
        "REASON": Text(_next_restart(node, generated_at) + _one_line(node.reason)),
    }


def _next_restart(node: ProgramView, generated_at: str) -> str:
    if node.next_restart_at is None:
        return ""
    left_s = parse_timestamp(node.next_restart_at) - parse_timestamp(generated_at)
    return f"restart in {duration(max(0.0, left_s))}: "


def status_head(document: StatusDocument) -> RenderableType:
    """Return the verdict in a line, with its source."""
    return Text.assemble(
        f"Cluster {document.cluster}: ",
        (document.status, _STATUS_STYLES[document.status]),
        f" · Kafka {document.kafka_version} · {document.bootstrap_servers}",
        (f" · as seen by the {document.source}", "dim"),
    )


def _places(plan: Plan) -> Iterable[tuple[str, str]]:
    yield "bootstrap servers", plan.access.bootstrap_servers
    for program in plan.web_programs:
        yield program.name, program.url
    yield "status page", plan.daemon.url
    yield "health", f"{plan.daemon.url}health"
    yield "metrics", f"{plan.daemon.url}metrics"
    yield "JMX", ", ".join(node.jmx.address for node in plan.brokers if node.jmx)
    yield "data and logs", str(plan.layout.state_dir)


def _suggestions(plan: Plan, command: str) -> Iterable[str]:
    producer = _first(plan.apps, "producer")
    if producer is not None:
        yield (
            "curl -H 'Content-Type: application/json' -d '{\"key\":\"Hello Kafka!\"}' "
            f"{producer.url.removeprefix('http://')}send"
        )
    yield f"{command} status"
    yield f"{command} kafka topics --describe"
    yield f"{command} logs -f broker-1"
    yield f"{command} stop"


def _first(apps: Iterable[App], name: str) -> App | None:
    return next((app for app in apps if app.name == name), None)


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)


def _one_line(reason: str | None) -> str:
    text = (reason or "").splitlines()[0] if reason else ""
    return shortened(text, 100)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    whole = int(seconds)
    for unit_s, name, next_s, next_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= unit_s:
            return f"{whole // unit_s}{name}{whole % unit_s // next_s:02d}{next_name}"
    return f"{whole}s"


_MEANING = {
    "start": "start",
    "settings": "change while it runs",
    "restart": "restart",
    "next_start": "nothing now, read at its next start",
    "stop": "stop",
}


def rolled(console: Console, result: "RollingResult") -> None:
    """Print what was restarted; of a dry run the order, and what is not ready for it."""
    if result.dry_run:
        order = ", ".join(result.order) or "nothing: all of it was restarted"
        console.print(f"Would restart, one after the other: {order}")
        for gate in result.closed:
            console.print(f"Would first wait: {gate.text}", style="yellow")
        return
    print_restarted(console, result.restarted)
    console.print_notes(result.notes)
    restarted = result.restarted
    what = restarted[0].name if len(restarted) == 1 else f"{len(restarted)} programs one after the other"
    console.print(f"Restarted {what} in {result.took_s:.1f} s", style="bold")


def applied(console: Console, result: "ApplyResult") -> None:
    """Print what the configuration meant for each program."""
    if not result.is_changed:
        console.print(f"Nothing to apply: the cluster {result.cluster} runs with this configuration")
        console.print_notes(result.notes)
        return
    if result.dry_run:
        console.print("Would do:", style="bold")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("NAME", "CHANGE", "WHY"):
        table.add_column(column, overflow="fold")
    for change in result.changes:
        table.add_row(Text(change.name), Text(_MEANING[change.action]), Text(", ".join(change.why)))
    for name in result.pending:
        table.add_row(Text(name), Text(_MEANING["restart"]), Text("left by an earlier call"))
    for topic in result.topics:
        table.add_row(Text(topic), Text("create"), Text("it is a new topic"))
    if table.row_count:
        console.print(table)
    print_restarted(console, result.restarted)
    console.print_notes(result.notes)
    if not result.dry_run:
        console.print(f"Applied the configuration in {result.took_s:.1f} s", style="bold")


def print_restarted(console: Console, restarted: "tuple[Restarted, ...]") -> None:
    """Print what was restarted, and how long each took."""
    for each in restarted:
        killed = f"; it was killed: {each.killed}" if each.killed else ""
        console.print(f"{each.name} was restarted in {each.took_s:.1f} s{killed}")
