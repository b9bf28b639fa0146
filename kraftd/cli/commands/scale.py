"""The commands that move replicas: to more or fewer brokers, or among those that there are."""

from collections import Counter
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from kraftd.cli.commands.cluster import interruption
from kraftd.cli.options import Invocation, Yes, confirm
from kraftd.errors import ConfigurationError
from kraftd.units import human_size, parse_bytes, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kraftd.operate.scale.move import Moved
    from kraftd.operate.scale.reassign import PlannedReassignment, ReassignResult
    from kraftd.operate.scale.scale import PlannedScale, ScaleResult
    from kraftd.operate.selection import ChosenCluster

_TIMEOUT_S = 3600.0
_MOST_SHOWN = 20
_GOES_ON = "the same command goes on where this ended; with --abort it undoes it."
Planned = TypeVar("Planned", "PlannedScale", "PlannedReassignment")

Brokers = Annotated[int | None, typer.Option("--brokers", metavar="N", min=1, help="The new number of brokers.")]
Factor = Annotated[
    int | None,
    typer.Option(
        "--replication-factor", metavar="R", min=1, help="The new number of replicas of topics; their min ISR follows."
    ),
]
Topics = Annotated[
    list[str] | None, typer.Option("--topic", metavar="TOPIC", help="Only of this topic; may be repeated.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]
Places = Annotated[
    str | None,
    typer.Option("--brokers", metavar="IDS", help="Brokers that may hold the replicas: 1,2,3; default: all."),
]
Assignment = Annotated[
    str | None,
    typer.Option("--assignment", metavar="IDS", help="The replicas of each partition of one topic: 1:2,2:3."),
]
Reassigned = Annotated[list[str] | None, typer.Argument(metavar="TOPIC", help="Topics; default: all.")]
AbortReassignment = Annotated[bool, typer.Option("--abort", help="Undo the reassignment that is unfinished.")]
Abort = Annotated[bool, typer.Option("--abort", help="Undo the scale that is unfinished.")]
DeleteData = Annotated[bool, typer.Option("--delete-data", help="Delete the data of brokers that leave.")]
Throttle = Annotated[
    str, typer.Option("--throttle", metavar="SIZE", help="Bytes a second that each broker may send, and receive: 64m.")
]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("scale")(scale)


def scale(  # noqa: PLR0913, PLR0917 one parameter for each option is typer's way
    context: typer.Context,
    brokers: Brokers = None,
    replication_factor: Factor = None,
    topics: Topics = None,
    dry_run: DryRun = False,
    abort: Abort = False,
    delete_data: DeleteData = False,
    throttle: Throttle = "64m",
    yes: Yes = False,
) -> None:
    """Change the number of brokers of a running cluster, and balance its partitions over them.

    New brokers start beside the others; no broker restarts. Brokers that leave are drained before they are stopped.
    The copies are throttled. A command that was interrupted is finished by the next one, or undone with --abort.

    --timeout: how long all of it may take (default 3600s).
    """
    from kraftd.operate.scale.scale import Scale, ScaleOptions

    invocation: Invocation = context.obj
    timeout_s = invocation.timeout_s or _TIMEOUT_S
    command_context = invocation.command_context(timeout_s)
    _refuse_nothing(brokers, replication_factor, topics, abort=abort)
    options = ScaleOptions(
        brokers, replication_factor, tuple(topics or ()), abort, delete_data, bytes_per_s(throttle), timeout_s
    )

    def choose(number: int | None) -> "ChosenCluster":
        more = () if number is None else (f"cluster.brokers={number}",)
        return replace(invocation, assignments=(*invocation.assignments, *more)).chosen(command_context)

    command = Scale(choose, options, command_context)
    if _is_to_run(invocation, command.plan, _lines, "scale the cluster", dry_run=dry_run, yes=yes):
        with interruption(_GOES_ON):
            result = command.run()
        _print_result(invocation, result)


def reassign(
    context: typer.Context,
    topics: Reassigned = None,
    brokers: Places = None,
    assignment: Assignment = None,
    dry_run: DryRun = False,
    abort: AbortReassignment = False,
    throttle: Throttle = "64m",
    yes: Yes = False,
) -> None:
    """Balance replicas and leaders over the brokers, or put them where --assignment says. Shows the plan, then asks.

    The copies are throttled. A command that was interrupted is finished by the next one, or undone with --abort.

    --timeout: how long all of it may take (default 3600s).
    """
    from kraftd.operate.scale.reassign import Reassign, ReassignOptions

    invocation: Invocation = context.obj
    timeout_s = invocation.timeout_s or _TIMEOUT_S
    if sum((abort, brokers is not None, assignment is not None)) > 1 or (abort and topics):
        raise ConfigurationError(
            "cannot use two of --abort, --brokers and --assignment, nor --abort with topics", hint="Give one of them."
        )
    chosen = tuple(dict.fromkeys(topics or ()))
    options = ReassignOptions(chosen, *places(brokers, assignment), abort, bytes_per_s(throttle), timeout_s)
    command = Reassign(invocation.any_plan(), options)
    doing = "reassign partitions of the cluster"
    if _is_to_run(invocation, command.plan, _reassignment_lines, doing, dry_run=dry_run, yes=yes):
        with interruption(_GOES_ON):
            result = command.run()
        _print_reassigned(invocation, result)


def _is_to_run(
    invocation: Invocation,
    plan: "Callable[[], Planned]",
    lines: "Callable[[Planned], list[str]]",
    doing: str,
    *,
    dry_run: bool,
    yes: bool,
) -> bool:
    """Show the plan, unless it is agreed to unseen, and ask; return whether it is to be carried out."""
    if yes and not dry_run:
        return True
    planned = plan()
    if invocation.json and dry_run:
        invocation.print_result({"dry_run": True} | _document(planned))
    elif not invocation.quiet and (dry_run or not planned.is_empty):
        # Where there is nothing to do, the result says so.
        console = invocation.console(stderr=not dry_run)
        for line in lines(planned):
            console.print(line)
    if not dry_run and not planned.is_empty:
        confirm(invocation, f"{doing} {planned.cluster}", (), yes=yes)
    return not dry_run


def places(brokers: str | None, assignment: str | None) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Return the ids of --brokers, and the replicas of --assignment; nothing where an option is not given.

    Raises:
        ConfigurationError: One of them is not of broker ids.
    """
    named = _replicas("--brokers", brokers.replace(",", ":"))[0] if brokers is not None else ()
    return tuple(sorted(set(named))), _replicas("--assignment", assignment) if assignment is not None else ()


def _replicas(option: str, text: str) -> tuple[tuple[int, ...], ...]:
    try:
        return tuple(tuple(int(each) for each in one.split(":")) for one in text.split(","))
    except ValueError:
        form = "1,2,3" if option == "--brokers" else "1:2,2:3"
        raise ConfigurationError(
            f"cannot use {option} {text}: broker ids are whole numbers", hint=f"Give {form}."
        ) from None


def _reassignment_lines(planned: "PlannedReassignment") -> list[str]:
    if planned.is_empty:
        return [f"Every replica of the cluster {planned.cluster} is where it should be already: nothing to do."]
    lines = [f"This goes on with {planned.resumes}."] if planned.resumes else []
    if len(planned.changes) <= _MOST_SHOWN:
        lines += [
            f"move      {topic}, partition {partition}: {_ids(planned.before[topic, partition])} -> {_ids(replicas)}"
            for (topic, partition), replicas in sorted(planned.changes.items())
        ]
    else:
        lines += _moved_lines(planned.changes)
    return [*lines, *_copy_line(planned)]


def _moved_lines(changes: "Iterable[tuple[str, int]]") -> list[str]:
    moved = Counter(topic for topic, _ in changes)
    return [f"move      {plural(number, 'partition')} of {topic}" for topic, number in sorted(moved.items())]


def _copy_line(planned: "PlannedScale | PlannedReassignment") -> list[str]:
    copies = f"{plural(planned.copied_replicas, 'replica')}, {human_size(planned.copied_bytes)}"
    return [f"copy      {copies}"] if planned.changes else []


def _copied(moved: "Moved") -> str:
    return f"{plural(moved.replicas, 'replica')} copied ({human_size(moved.size_bytes)})"


def _ids(replicas: "Iterable[int]") -> str:
    return ":".join(map(str, replicas))


def _print_reassigned(invocation: Invocation, result: "ReassignResult") -> None:
    if invocation.json:
        invocation.print_result(result)
    elif not invocation.quiet:
        console = invocation.console()
        did = f"{'Undid the reassignment' if result.is_undone else 'Reassigned'}: {_copied(result.moved)}"
        console.print(f"{did} in {result.took_s:.1f} s" if result.is_changed else "There is nothing to do")
        console.print_notes(result.notes)


def _refuse_nothing(
    brokers: int | None, replication_factor: int | None, topics: list[str] | None, *, abort: bool
) -> None:
    asked = [brokers, replication_factor]
    if (abort and asked != [None, None]) or (not abort and asked == [None, None]):
        raise ConfigurationError(
            "cannot scale: give either --abort, or --brokers or --replication-factor",
            hint="'kraftd scale --brokers 3' makes it three brokers.",
        )
    if topics and replication_factor is None:
        raise ConfigurationError(
            "cannot use --topic without --replication-factor: all topics are balanced over the brokers",
            hint="Add --replication-factor, or leave --topic out.",
        )


def bytes_per_s(text: str) -> int:
    """Return the bytes a second of --throttle.

    Raises:
        ConfigurationError: It is not a size.
    """
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise ConfigurationError(
            f"cannot use --throttle {text}: {error}", hint="Give a size a second, such as 64m or 10MB."
        ) from error


def _document(planned: "PlannedScale | PlannedReassignment") -> dict[str, object]:
    document = asdict(planned)
    before, after = document.pop("before"), document.pop("changes")
    document["moves"] = [
        {"topic": topic, "partition": partition, "before": before[topic, partition], "after": replicas}
        for (topic, partition), replicas in sorted(after.items())
    ]
    return document


def _lines(planned: "PlannedScale") -> list[str]:
    if planned.is_empty:
        return [f"The cluster {planned.cluster} has {plural(planned.brokers_after, 'broker')}: there is nothing to do."]
    lines = [f"This goes on with {planned.resumes}."] if planned.resumes else []
    lines += [f"start     {name}" for name in planned.joining]
    lines += [*_moved_lines(planned.changes), *_copy_line(planned)]
    lines += [
        f"set       min.insync.replicas = {value} of {topic}"
        for topic, value in sorted(planned.min_in_sync_replicas.items())
    ]
    lines += [f"remove    {name}, once it is empty" for name in planned.leaving]
    return lines


def _print_result(invocation: Invocation, result: "ScaleResult") -> None:
    if invocation.json:
        invocation.print_result(result)
        return
    if invocation.quiet:
        return
    console = invocation.console()
    has = f"{result.cluster} has {plural(result.brokers, 'broker')}"
    moved = _copied(result.moved)
    undone = "the scale is undone; " if result.is_undone else ""
    console.print(f"{has}: {undone}{moved} in {result.took_s:.1f} s" if result.is_changed else f"{has}: nothing to do")
    notes = result.notes
    if result.configured_brokers not in (None, result.brokers):
        notes += (
            f"set brokers = {result.brokers} under [cluster] in {result.origin}, where it is "
            f"{result.configured_brokers}: the next 'kraftd start' of the whole cluster refuses another number",
        )
    console.print_notes(notes)
