"""The commands on topics: topics list, describe, create, alter, delete, clear, elect-leaders, apply, reassign."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kraftd.cli.commands.scale import reassign
from kraftd.cli.options import Invocation, Yes, confirm
from kraftd.errors import ConfigurationError, FileAccessError
from kraftd.units import count_or_dash, human_size, listed, parse_bytes, parse_long_duration_ms, plural

if TYPE_CHECKING:
    from collections.abc import Callable

    from kraftd.cli.terminal import Console
    from kraftd.health.report.documents import TopicsDocument
    from kraftd.operate.data.applying import PlannedApply
    from kraftd.operate.data.topic_changes import Alteration
    from kraftd.operate.data.topics import Removal, TopicDescription

_UNLIMITED = ("unlimited", "-1")
_STDIN = "-"
_MOST_READERS = 10
_MOST_NAMED = 6

Name = Annotated[str, typer.Argument(metavar="TOPIC", help="A topic.")]
Names = Annotated[list[str] | None, typer.Argument(metavar="TOPIC", help="Topics; default: all.")]
SomeNames = Annotated[list[str], typer.Argument(metavar="TOPIC", help="Topics.")]
Partitions = Annotated[
    int | None, typer.Option("--partitions", "-p", metavar="N", min=1, max=10000, help="How many partitions.")
]
Retention = Annotated[
    str | None, typer.Option("--retention", metavar="DURATION", help="How long records are kept: 7d, 12h, unlimited.")
]
RetentionSize = Annotated[
    str | None,
    typer.Option("--retention-size", metavar="SIZE", help="How much of a partition is kept: 1GiB, 500MB, unlimited."),
]
Configs = Annotated[
    list[str] | None,
    typer.Option("--config", metavar="NAME=VALUE", help="One of Kafka's configurations of topics; may be repeated."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    topics = typer.Typer(help="Show, create, change, clear and delete topics.", invoke_without_command=True)
    topics.callback()(_topics)
    topics.command("list")(list_topics)
    topics.command("describe")(describe)
    topics.command("create")(create)
    topics.command("alter")(alter)
    topics.command("delete")(delete)
    topics.command("clear")(clear)
    topics.command("elect-leaders")(elect_leaders)
    topics.command("apply")(apply)
    topics.command("reassign")(reassign)
    app.add_typer(topics, name="topics")


def _topics(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_topics(context)


def list_topics(context: typer.Context) -> None:
    """Show the topics, their size, and whether their partitions have leaders and are in sync."""
    from kraftd.operate.data.access import opened
    from kraftd.operate.data.topics import list_topics as ask
    from kraftd.operate.data.topics import topic_rates

    invocation: Invocation = context.obj
    cluster = invocation.any_plan()
    with opened(cluster) as kafka:
        document = ask(kafka, topic_rates(cluster.plan))
    if invocation.json:
        invocation.print_document(document)
    else:
        _print_list(invocation.console(), document)


def _print_list(console: "Console", document: "TopicsDocument") -> None:
    from kraftd.cli.terminal import plain_table

    table = plain_table("TOPIC", "PARTITIONS", "NO LEADER", "NOT IN SYNC", "OFFSETS", "SIZE")
    for each in document.topics:
        numbers = (each.partitions, each.without_leader, each.under_replicated)
        table.add_row(each.topic, *(str(number) for number in numbers), count_or_dash(each.offsets), _size(each.bytes))
    console.print(table)


def describe(context: typer.Context, names: Names = None) -> None:
    """Show topics with their partitions, offsets, sizes, configuration, and the groups that read them."""
    from kraftd.operate.data.access import opened
    from kraftd.operate.data.topics import describe_topics

    invocation: Invocation = context.obj
    with opened(invocation.any_plan()) as kafka:
        topics = describe_topics(kafka, tuple(names or ()))
    if invocation.json:
        invocation.print_result({"topics": topics})
        return
    for topic in topics:
        _print_description(invocation.console(), topic)


def _print_description(console: "Console", topic: "TopicDescription") -> None:
    from kraftd.cli.terminal import Text, plain_table

    console.print(Text(topic.topic, style="bold"))
    counts = f"{plural(len(topic.partitions), 'partition')}, {plural(topic.offsets, 'offset')}"
    console.print(f"  {counts}, {_size(topic.bytes)} on disk")
    config = ", ".join(f"{name}={value}" for name, value in topic.config.items())
    console.print(f"  own configuration: {config or 'none'}")
    console.print(Text(f"  read by: {_readers(topic)}"))
    table = plain_table("", "PARTITION", "LEADER", "REPLICAS", "IN SYNC", "START", "END", "SIZE")
    for each in topic.partitions:
        places = (each.leader if each.leader is not None else "none", _ids(each.replicas), _ids(each.in_sync))
        numbers = (count_or_dash(each.start), count_or_dash(each.end), _size(each.bytes))
        table.add_row("", str(each.partition), *map(str, places), *numbers)
    console.print(table)


def create(
    context: typer.Context,
    name: Name,
    partitions: Partitions = None,
    replication_factor: Annotated[
        int | None,
        typer.Option("--replication-factor", "-r", metavar="R", min=1, max=32, help="The replicas of each partition."),
    ] = None,
    retention: Retention = None,
    retention_size: RetentionSize = None,
    config: Configs = None,
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="One that exists as asked for is not an error.")
    ] = False,
) -> None:
    """Create a topic, and return when its partitions can be written to; it has 1 partition without --partitions.

    --timeout: how long that may take (default 30s).
    """
    from kraftd.operate.data.access import opened
    from kraftd.operate.data.changing import NewTopic, create_topic

    invocation: Invocation = context.obj
    changes = configurations(config, retention, retention_size)
    if unset := [key for key, value in changes.items() if value is None]:
        raise ConfigurationError(f"cannot create a topic with {unset[0]} without a value", hint="Give NAME=VALUE.")
    asked = NewTopic(name, partitions, replication_factor, {key: value or "" for key, value in changes.items()})
    cluster = invocation.any_plan()
    with opened(cluster) as kafka:
        created = create_topic(kafka, cluster.plan, asked, if_missing=if_missing, limit_s=invocation.timeout_s)
    if invocation.json:
        invocation.print_result({"created": created})
    elif not invocation.quiet:
        counts = f"{plural(created.partitions, 'partition')}, {plural(created.replication_factor, 'replica')} each"
        did = f"{created.topic} exists already" if created.existed else f"Created {created.topic}"
        invocation.console().print(f"{did}: {counts}")


def alter(
    context: typer.Context,
    name: Name,
    partitions: Partitions = None,
    retention: Retention = None,
    retention_size: RetentionSize = None,
    config: Configs = None,
    yes: Yes = False,
) -> None:
    """Add partitions to a topic, or change its configuration; NAME= lets it follow the brokers again.

    Asks where records would be deleted, or those of a key reordered.
    """
    from kraftd.operate.data.access import opened
    from kraftd.operate.data.changing import WantedAlteration, alter_topic, planned_alteration

    invocation: Invocation = context.obj
    wanted = WantedAlteration(partitions, configurations(config, retention, retention_size))
    if partitions is None and not wanted.changes:
        raise ConfigurationError(
            f"cannot alter the topic {name}: nothing to change was given",
            hint="Give --partitions, --retention, --retention-size or --config.",
        )
    cluster = invocation.any_plan()
    with opened(cluster) as kafka:
        planned = planned_alteration(kafka, cluster.plan.access, name, wanted)
        if planned.risks:
            facts = [*alteration_lines(planned), *(f"Risk: {risk}" for risk in planned.risks)]
            confirm(invocation, f"alter the topic {planned.topic.name}", facts, yes=yes)
        alter_topic(kafka, planned)
    if invocation.json:
        invocation.print_result({"altered": alteration_document(planned)})
    elif not invocation.quiet:
        for line in alteration_lines(planned):
            invocation.console().print(line)


def alteration_document(planned: "Alteration") -> dict[str, object]:
    """Return the JSON form of a change."""
    return {
        "topic": planned.topic.name,
        "partitions_before": planned.partitions,
        "partitions": planned.partitions + len(planned.added),
        "added_replicas": planned.added,
        "config": planned.changes,
        "risks": planned.risks,
    }


def alteration_lines(planned: "Alteration") -> Iterable[str]:
    """Yield the changes of a topic, a line each."""
    name = planned.topic.name
    if planned.is_empty:
        yield f"{name} is already as asked"
    if planned.added:
        yield f"{name}: partitions {planned.partitions} -> {planned.partitions + len(planned.added)}"
    for change in planned.changes:
        yield f"{name}: {change.name} {change.before} -> {change.after or 'that of the brokers'}"


def delete(context: typer.Context, names: SomeNames, yes: Yes = False) -> None:
    """Delete topics with all their records: shows how many and who reads them, then asks."""
    from kraftd.operate.data.access import opened
    from kraftd.operate.data.topics import delete_topics, planned_removal

    invocation: Invocation = context.obj
    cluster = invocation.any_plan()
    with opened(cluster) as kafka:
        planned = planned_removal(kafka, names, "delete")
        confirm(invocation, f"delete {topics_named(planned.removals)}", removal_lines(planned.removals), yes=yes)
        deleted = delete_topics(kafka, planned)
    declared = [topic.name for topic in cluster.plan.topics if topic.name in deleted]
    if invocation.json:
        invocation.print_result({"deleted": planned.removals, "declared": declared})
    elif not invocation.quiet:
        console = invocation.console()
        console.print(f"Deleted {listed(list(deleted), _MOST_NAMED)}")
        if declared:
            shown = listed(declared, _MOST_NAMED)
            console.print(f"The configuration declares {shown}: the next start creates it, empty")


def clear(context: typer.Context, names: SomeNames, yes: Yes = False) -> None:
    """Delete the records that topics hold now, and keep the topics; consumers go on after them. Asks."""
    from kraftd.operate.data.access import opened
    from kraftd.operate.data.topics import clear_topics, planned_removal

    invocation: Invocation = context.obj
    with opened(invocation.any_plan()) as kafka:
        planned = planned_removal(kafka, names, "clear")
        confirm(invocation, f"clear {topics_named(planned.removals)}", removal_lines(planned.removals), yes=yes)
        offsets = clear_topics(kafka, planned)
    cleared = [topic.name for topic in planned.topics]
    if invocation.json:
        invocation.print_result({"cleared": cleared, "offsets": offsets})
    elif not invocation.quiet:
        console = invocation.console()
        names_shown = listed(cleared, _MOST_NAMED)
        console.print(f"Cleared {names_shown}: {plural(offsets, 'offset')}; Kafka frees the disk within minutes")


def topics_named(removals: "Sequence[Removal]") -> str:
    """Return what is removed in one line, also where it is much."""
    names = listed([removal.topic for removal in removals], _MOST_NAMED)
    return f"the topic{'s' if len(removals) > 1 else ''} {names}"


def removal_lines(removals: "Iterable[Removal]") -> list[str]:
    """Return what would be removed, a line for each topic."""
    return [
        f"{each.topic}: {'an unknown number of' if each.offsets is None else f'up to {each.offsets:,}'} records in "
        f"{plural(each.partitions, 'partition')}; read by {_readers(each)}"
        for each in removals
    ]


def _readers(topic: "Removal | TopicDescription") -> str:
    """Return who reads a topic, and why that may not be all."""
    names = listed(topic.groups, _MOST_READERS)
    if topic.groups_unknown is None:
        return names or "no group"
    return f"{names or 'no group that is known'}; others may read it: {topic.groups_unknown}"


def elect_leaders(context: typer.Context, names: Names = None) -> None:
    """Make the first replica of each partition its leader again, as after a broker was away."""
    from kraftd.operate.data.access import opened
    from kraftd.operate.data.topics import elect_leaders as elect

    invocation: Invocation = context.obj
    with opened(invocation.any_plan()) as kafka:
        elected = elect(kafka, tuple(names or ()))
    if invocation.json:
        invocation.print_result({"elected": elected})
    elif not invocation.quiet:
        console = invocation.console()
        for each in elected:
            console.print(f"{each.topic}, partition {each.partition}: leader {each.before} -> {each.after}")
        if not elected:
            console.print("Every partition is led by its first replica already")


def apply(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="TOML with [[topic]] as in kraftd.toml; - for stdin.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    delete_undeclared: Annotated[
        bool, typer.Option("--delete-undeclared", help="Delete what the same file created and no longer declares.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Make topics match what a file declares: create, grow and configure them. Shows the plan, then asks.

    Nothing is deleted without --delete-undeclared, and then only what an earlier call created for the same file.

    --timeout: how long new topics may take until they can be used (default 30s).
    """
    from kraftd.operate.data.access import opened
    from kraftd.operate.data.applying import carry_out, exclusive, parse_declarations, planned_apply, refuse_obstacles

    invocation: Invocation = context.obj
    if delete_undeclared and file == _STDIN:
        raise ConfigurationError(
            "cannot tell what stdin declared before: it has no name to know it by",
            hint="Give a file, or leave --delete-undeclared out.",
        )
    origin = "stdin" if file == _STDIN else file
    cluster = invocation.any_plan()
    declarations = parse_declarations(_declared_text(file), origin, cluster.plan)
    with opened(cluster) as kafka, exclusive(cluster, is_reading=dry_run):
        identity = file if file == _STDIN else str(Path(file).resolve())
        planned = planned_apply(kafka, cluster.plan, declarations, identity, delete_undeclared=delete_undeclared)
        if planned.obstacles and not (invocation.json or invocation.quiet):
            _print_lines(invocation.console(stderr=True), apply_lines(planned))
        refuse_obstacles(planned, origin)
        if not dry_run:
            _confirm_apply(invocation, planned, f"apply {origin} to the cluster {cluster.plan.cluster}", yes=yes)
            carry_out(kafka, planned, cluster.layout.created_topics, invocation.timeout_s)
    # Whoever was asked has seen the lines.
    _print_applied(invocation, planned, origin, dry_run=dry_run, has_seen=not (dry_run or yes or planned.is_empty))


def _print_applied(
    invocation: Invocation, planned: "PlannedApply", origin: str, *, dry_run: bool, has_seen: bool
) -> None:
    if invocation.json:
        invocation.print_result({"dry_run": dry_run} | apply_document(planned))
    elif not invocation.quiet:
        _print_lines(invocation.console(), () if has_seen else apply_lines(planned))
        if planned.is_empty or not dry_run:
            invocation.console().print(_applied(planned, origin))


def _confirm_apply(invocation: Invocation, planned: "PlannedApply", action: str, *, yes: bool) -> None:

    if not planned.is_empty:
        confirm(invocation, action, list(apply_lines(planned)), yes=yes)


def _declared_text(file: str) -> str:
    from kraftd.host.files import read_user_text, user_text

    if file == _STDIN:
        return user_text(sys.stdin.buffer.read(), "stdin")
    hint = "Name a file with [[topic]] as in kraftd.toml."
    try:
        text = read_user_text(Path(file))
    except FileAccessError as error:
        error.hint = hint
        raise
    if text is None:
        raise ConfigurationError(f"cannot read {file}: there is no such file", hint=hint)
    return text


def apply_lines(planned: "PlannedApply") -> Iterable[str]:
    """Yield what an application of declared topics changes, leaves alone, and puts at risk, a line each."""
    for topic in planned.created:
        counts = f"{plural(topic.partitions, 'partition')}, {plural(topic.replication_factor, 'replica')} each"
        yield ", ".join((f"create    {topic.name}: {counts}", *(f"{key}={value}" for key, value in topic.config_items)))
    for each in planned.altered:
        yield from (f"change    {line}" for line in alteration_lines(each))
        yield from (f"risk      {each.topic.name}: {risk}" for risk in each.risks)
    for name, kept in planned.kept.items():
        yield f"leave     {name}: {', '.join(f'{key}={value}' for key, value in kept.items())} (not declared)"
    if planned.removal is not None:
        yield from (f"delete    {line}" for line in removal_lines(planned.removal.removals))
    else:
        yield from (
            f"leave     {name}: the file created it and no longer declares it; --delete-undeclared deletes it"
            for name in planned.undeclared
        )


def apply_document(planned: "PlannedApply") -> dict[str, object]:
    """Return the JSON form of an application of declared topics."""
    return {
        "created": [
            {"topic": each.name, "partitions": each.partitions, "assignment": each.assignment, "config": each.config}
            for each in planned.created
        ],
        "altered": [alteration_document(each) for each in planned.altered],
        "unchanged": planned.unchanged,
        "not_declared_config": planned.kept,
        "undeclared": planned.undeclared,
        "deleted": planned.removal.removals if planned.removal is not None else (),
    }


def _applied(planned: "PlannedApply", origin: str) -> str:
    if planned.is_empty:
        return f"Every topic is as {origin} declares it: there is nothing to do"
    deleted = len(planned.removal.removals) if planned.removal is not None else 0
    counts = {"created": len(planned.created), "changed": len(planned.altered), "deleted": deleted}
    done = [f"{number} {did}" for did, number in counts.items() if number]
    return f"Applied {origin}: {', '.join((*done, f'{len(planned.unchanged)} as declared'))}"


def _print_lines(console: "Console", lines: Iterable[str]) -> None:
    for line in lines:
        console.print(line)


def configurations(
    config: Sequence[str] | None, retention: str | None, retention_size: str | None
) -> dict[str, str | None]:
    """Return the configurations that options name; None takes the topic's own value away.

    Raises:
        ConfigurationError: A value has not the form that its option needs.
    """
    found: dict[str, str | None] = {}
    for text in config or ():
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ConfigurationError(f"cannot use --config {text}: it has no value", hint="Give NAME=VALUE.")
        found[name.strip()] = value or None
    if retention is not None:
        found["retention.ms"] = _limit(retention, "--retention", "7d, 12h or unlimited", parse_long_duration_ms)
    if retention_size is not None:
        found["retention.bytes"] = _limit(retention_size, "--retention-size", "1GiB, 500MB or unlimited", parse_bytes)
    return found


def _limit(text: str, option: str, forms: str, parse: "Callable[[str], int]") -> str:
    if text.strip().lower() in _UNLIMITED:
        return "-1"
    try:
        return str(parse(text))
    except ValueError as error:
        raise ConfigurationError(
            f"cannot use {option} {text}: {error}", hint=f"Give a value such as {forms}."
        ) from error


def _size(size_bytes: int | None) -> str:
    return "-" if size_bytes is None else human_size(size_bytes)


def _ids(ids: Sequence[int]) -> str:
    return ",".join(map(str, ids))
