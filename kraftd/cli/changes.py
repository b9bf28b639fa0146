"""The text of what a change of a running cluster did, or would do."""

from kraftd.cli.terminal import Console, Table, Text
from kraftd.operate.apply.apply import ApplyResult
from kraftd.operate.apply.differences import Action, ProgramChange
from kraftd.operate.restart import RollingResult
from kraftd.operate.rolling.roll import Restarted

_MEANING = {
    Action.START: "start",
    Action.SETTINGS: "change while it runs",
    Action.RESTART: "restart",
    Action.LATER: "nothing now, read at its next start",
    Action.STOP: "stop",
}


def rolled(console: Console, result: RollingResult) -> None:
    """Print what was restarted; of a dry run the order, and what is not ready for it."""
    if result.dry_run:
        order = ", ".join(result.order) or "nothing: all of it was restarted"
        console.print(f"Would restart, one after the other: {order}")
        for gate in result.closed:
            console.print(f"Would first wait: {gate.text}", style="yellow")
        return
    _restarted(console, result.restarted)
    _notes(console, result.notes)
    console.print(
        f"Restarted {len(result.restarted)} programs one after the other in {result.took_s:.1f} s", style="bold"
    )


def applied(console: Console, result: ApplyResult) -> None:
    """Print what the configuration meant for each program."""
    if not result.is_changed:
        console.print(f"Nothing to apply: the cluster {result.cluster} runs with this configuration")
        _notes(console, result.notes)
        return
    if result.dry_run:
        console.print("Would do:", style="bold")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("NAME", "CHANGE", "WHY"):
        table.add_column(column, overflow="fold")
    for change in result.changes:
        table.add_row(Text(change.name), Text(_MEANING[change.action]), Text(_why(change)))
    for name in result.pending:
        table.add_row(Text(name), Text(_MEANING[Action.RESTART]), Text("left by an earlier call"))
    for topic in result.topics:
        table.add_row(Text(topic), Text("create"), Text("it is a new topic"))
    console.print(table)
    _restarted(console, result.restarted)
    _notes(console, result.notes)
    if not result.dry_run:
        console.print(f"Applied the configuration in {result.took_s:.1f} s", style="bold")


def _why(change: ProgramChange) -> str:
    return ", ".join(change.why)


def _restarted(console: Console, restarted: tuple[Restarted, ...]) -> None:
    for each in restarted:
        killed = f"; it was killed: {each.killed}" if each.killed else ""
        console.print(f"{each.name} was restarted in {each.took_s:.1f} s{killed}")


def _notes(console: Console, notes: tuple[str, ...]) -> None:
    for note in notes:
        console.print(f"Note: {note}", style="yellow")
