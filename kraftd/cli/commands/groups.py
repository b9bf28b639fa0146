"""The commands on consumer groups: groups list, describe, reset, delete, export, import."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kraftd.cli.options import Invocation, Yes, confirm
from kraftd.cli.values import parse_since
from kraftd.errors import ConfigurationError, FileAccessError
from kraftd.escapes import named
from kraftd.units import count, count_or_dash, listed, plural

if TYPE_CHECKING:
    from kraftd.cli.terminal import Console
    from kraftd.kafka.model import Failure
    from kraftd.operate.data.access import KafkaData
    from kraftd.operate.data.groups import GroupDescription, PlannedMoves
    from kraftd.operate.data.resets import Move, ResetTo

_STDIN = "-"
_MOST_IMPORTED_BYTES = 64 * 1024 * 1024
_MOST_NAMED = 6

Name = Annotated[str, typer.Argument(metavar="GROUP", help="A consumer group.")]
Names = Annotated[list[str] | None, typer.Argument(metavar="GROUP", help="Groups; default: all.")]
SomeNames = Annotated[list[str], typer.Argument(metavar="GROUP", help="Groups.")]
Topics = Annotated[
    list[str] | None, typer.Option("--topic", metavar="TOPIC", help="Only in this topic; may be repeated.")
]
Partitions = Annotated[
    list[int] | None,
    typer.Option("--partition", "-p", metavar="P", min=0, help="Only this partition; may be repeated."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    groups = typer.Typer(help="Show consumer groups, and move or delete their offsets.", invoke_without_command=True)
    groups.callback()(_groups)
    groups.command("list")(list_groups)
    groups.command("describe")(describe)
    groups.command("reset")(reset)
    groups.command("delete")(delete)
    groups.command("export")(export)
    groups.command("import")(import_offsets)
    app.add_typer(groups, name="groups")


def _groups(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_groups(context)


def list_groups(context: typer.Context) -> None:
    """Show the groups with their state, members and lag."""
    from kraftd.operate.data.access import opened
    from kraftd.operate.data.groups import group_lags
    from kraftd.operate.data.groups import list_groups as ask

    invocation: Invocation = context.obj
    cluster = invocation.any_plan()
    with opened(cluster) as kafka:
        groups, failures = ask(kafka, group_lags(cluster.plan))
    missing = _reasons(failures)
    if invocation.json:
        invocation.print_result({"groups": groups, "broker_failures": missing})
        return
    from kraftd.cli.terminal import Text, name_text, plain_table
    from kraftd.cli.top import time_lag

    table = plain_table("GROUP", "STATE", "MEMBERS", "LAG", "TIME LAG", "COORDINATOR")
    for each in groups:
        numbers = (count_or_dash(each.members), count_or_dash(each.lag), time_lag(each.time_lag), str(each.coordinator))
        table.add_row(name_text(each.group), each.state or "-", *numbers)
    console = invocation.console()
    console.print(table)
    for each in groups:
        if each.reason is not None:
            console.print(Text(f"The members of {named(each.group)} are not known: {each.reason}", style="yellow"))
    _print_missing(console, missing)


def _reasons(failures: "Mapping[int, Failure]") -> dict[str, str]:
    """Return why brokers did not name their groups, by node id."""
    return {str(node_id): failure.text for node_id, failure in failures.items()}


def _print_missing(console: "Console", reasons: "Mapping[str, str]") -> None:
    from kraftd.cli.terminal import Text

    for node_id, reason in reasons.items():
        console.print(Text(f"Groups may be missing: broker {node_id} did not name its own: {reason}", style="yellow"))


def describe(context: typer.Context, names: Names = None) -> None:
    """Show groups with their members, the partitions that each reads, offsets, lag and time lag."""
    from kraftd.operate.data.access import opened
    from kraftd.operate.data.groups import describe_groups, group_lags

    invocation: Invocation = context.obj
    cluster = invocation.any_plan()
    with opened(cluster) as kafka:
        groups, failures = describe_groups(kafka, tuple(names or ()), group_lags(cluster.plan))
    missing = _reasons(failures)
    if invocation.json:
        invocation.print_result({"groups": groups, "broker_failures": missing})
        return
    console = invocation.console()
    for group in groups:
        _print_description(console, group)
    if not names:
        _print_missing(console, missing)


def _print_description(console: "Console", group: "GroupDescription") -> None:
    from kraftd.cli.terminal import Text, name_text, plain_table
    from kraftd.cli.top import time_lag
    from kraftd.kafka.model import SHARE

    lag = "lag unknown" if group.lag is None else f"lag {group.lag:,}"
    console.print(name_text(group.group), style="bold")
    console.print(f"  {group.state or 'unknown'}, coordinator broker {group.coordinator}, {lag}")
    if group.reason is not None:
        console.print(Text(f"  its commits are not known, or not all: {group.reason}", style="yellow"))
    if group.kind == SHARE:
        console.print("  a share group: 'kraftd kafka share-groups --describe' shows what it has read", markup=False)
    members = plain_table("", "MEMBER", "CLIENT", "HOST", "READS")
    for member in group.members or ():
        reads = "unknown" if member.assigned is None else ", ".join(member.assigned) or "nothing"
        members.add_row("", Text(member.member_id), Text(member.client_id), Text(member.host), Text(reads))
    if group.members:
        console.print(members)
    else:
        console.print("  no members" if group.members is not None else "  members unknown")
    table = plain_table("", "TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "TIME LAG", "MEMBER")
    for each in group.partitions:
        numbers = (
            count_or_dash(each.committed),
            count_or_dash(each.end),
            count_or_dash(each.lag),
            time_lag(each.time_lag),
        )
        table.add_row("", Text(each.topic), str(each.partition), *numbers, Text(each.member or "-"))
    console.print(table)


def reset(
    context: typer.Context,
    name: Name,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="WHERE", help="earliest, latest, an offset, a time (RFC 3339), or how long ago: 2h."
        ),
    ] = None,
    shift: Annotated[
        int | None, typer.Option("--shift", metavar="N", help="By N records; back if negative: -100.")
    ] = None,
    topics: Topics = None,
    partitions: Partitions = None,
    yes: Yes = False,
) -> None:
    """Move the offsets of a group without members, in all topics that it committed in: shows the plan, then asks."""
    from kraftd.operate.data.access import opened
    from kraftd.operate.data.groups import planned_reset

    invocation: Invocation = context.obj
    cluster = invocation.any_plan()
    where = reset_to(to, shift, cluster.clock.now_s())
    with opened(cluster) as kafka:
        planned = planned_reset(kafka, name, tuple(topics or ()), where, tuple(partitions or ()))
        _move(invocation, kafka, (planned,), yes=yes)


def reset_to(to: str | None, shift: int | None, now_s: float) -> "ResetTo":
    """Return where a reset goes.

    Raises:
        ConfigurationError: Neither or both are given, or the form is unknown.
    """
    from kraftd.operate.data.resets import ResetKind, ResetTo

    if (to is None) == (shift is None):
        raise ConfigurationError(
            "cannot reset a group: give --to or --shift, one of the two",
            hint="--to earliest, latest, 1234, 2h or 2026-01-31T12:00:00Z; or --shift -100.",
        )
    if to is None:
        return ResetTo(ResetKind.SHIFT, shift or 0)
    if to in (ResetKind.EARLIEST, ResetKind.LATEST):
        return ResetTo(ResetKind(to))
    if to.isascii() and to.isdecimal():
        return ResetTo(ResetKind.OFFSET, int(to))
    try:
        return ResetTo(ResetKind.TIME, round(parse_since(to, now_s) * 1000))
    except ValueError as error:
        raise ConfigurationError(
            f"cannot reset a group to {to}: {error}",
            hint="Use earliest, latest, an offset, how long ago (2h), or a time such as 2026-01-31T12:00:00Z.",
        ) from error


def _move(invocation: Invocation, kafka: "KafkaData", planned: "Sequence[PlannedMoves]", *, yes: bool) -> None:
    from kraftd.operate.data.groups import move_all

    names = listed([named(each.group.name) for each in planned], _MOST_NAMED)
    if any(move.is_needed for each in planned for move in each.moves):
        facts = [line for each in planned for line in move_lines(each)]
        confirm(invocation, f"move the offsets of {names}", facts, yes=yes)
    moved = move_all(kafka, planned)
    if invocation.json:
        document = [{"group": name, "moved": [_move_document(move) for move in moves]} for name, moves in moved]
        invocation.print_result({"groups": document})
    elif not invocation.quiet:
        for name, moves in moved:
            invocation.console().print(f"Moved {named(name)} in {plural(len(moves), 'partition')}")


def _move_document(move: "Move") -> dict[str, object]:
    place = {"topic": move.topic, "partition": move.partition}
    return {**place, "before": move.before, "after": move.after, "note": move.note or None}


def move_lines(planned: "PlannedMoves") -> Iterable[str]:
    """Yield the plan of one group, a line for each partition, and what it comes to."""
    from kraftd.operate.data.resets import reread, skipped

    name = named(planned.group.name)
    for move in planned.moves:
        before = "nothing" if move.before is None else f"{move.before:,}"
        note = f" ({move.note})" if move.note else ""
        after = f"{before} -> {move.after:,}" if move.is_needed else f"stays at {before}"
        yield f"{name}: {move.topic}-{move.partition}: {after}{note}"
    again, left_out = plural(reread(planned.moves), "offset"), count(skipped(planned.moves))
    yield f"{name}: will read {again} again and skip {left_out}"


def delete(context: typer.Context, names: SomeNames, topics: Topics = None, yes: Yes = False) -> None:
    """Delete groups without members and their offsets, or with --topic only the offsets there. Asks."""
    from kraftd.operate.data.access import opened
    from kraftd.operate.data.groups import delete_groups, empty_groups, remove_offsets

    invocation: Invocation = context.obj
    with opened(invocation.any_plan()) as kafka:
        within = set(topics or ())
        lost = empty_groups(kafka, names, sorted(within))
        shown = listed([named(group.name) for group in lost], _MOST_NAMED)
        groups = f"the group{'' if len(lost) == 1 else 's'} {shown}"
        what = f"the offsets of {groups} in {', '.join(sorted(within))}" if within else groups
        facts = [f"{named(group.name)}: {plural(len(keys), 'committed offset')}" for group, keys in lost.items()]
        confirm(invocation, f"delete {what}", facts, yes=yes)
        if within:
            remove_offsets(kafka, lost)
        else:
            delete_groups(kafka, lost)
    document = [{"group": group.name, "offsets": len(keys)} for group, keys in lost.items()]
    if invocation.json:
        invocation.print_result({"deleted": document})
    elif not invocation.quiet:
        invocation.console().print(f"Deleted {what}")


def export(
    context: typer.Context,
    names: Names = None,
) -> None:
    """Print the committed offsets of groups as JSON, for 'groups import'."""
    from kraftd.operate.data.access import opened
    from kraftd.operate.data.offset_files import exported

    invocation: Invocation = context.obj
    with opened(invocation.any_plan()) as kafka:
        found = exported(kafka, tuple(names or ()))
    groups = [
        {
            "group": group.group,
            "offsets": [
                {"topic": each.topic, "partition": each.partition, "offset": each.offset} for each in group.offsets
            ],
        }
        for group in found.groups
    ]
    # The document is a file of offsets, which has a version of its own.
    invocation.print_result({"schema_version": found.schema_version, "groups": groups})


def import_offsets(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What 'groups export' printed; - for stdin.")],
    yes: Yes = False,
) -> None:
    """Give groups the offsets of a file; a group that does not exist is made. Shows the plan, then asks."""
    from kraftd.operate.data.access import opened
    from kraftd.operate.data.offset_files import parse_offsets, planned_import

    invocation: Invocation = context.obj
    offsets = parse_offsets(_content(file), "stdin" if file == _STDIN else file)
    with opened(invocation.any_plan()) as kafka:
        _move(invocation, kafka, planned_import(kafka, offsets), yes=yes)


def _content(file: str) -> bytes:
    try:
        if file == _STDIN:
            return sys.stdin.buffer.read(_MOST_IMPORTED_BYTES)
        with Path(file).open("rb") as opened_file:
            return opened_file.read(_MOST_IMPORTED_BYTES)
    except OSError as error:
        raise FileAccessError(
            f"cannot read offsets from {file}: {(error.strerror or str(error)).lower()}",
            hint="Name a file that 'kraftd groups export' wrote, or - for stdin.",
        ) from error
