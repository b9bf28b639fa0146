"""The commands that back up a cluster, and restore it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kraftd.cli.commands.cluster import interruption
from kraftd.cli.options import Invocation, Yes, confirm
from kraftd.errors import ConfigurationError
from kraftd.escapes import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kraftd.operate.backup.create import CreateResult
    from kraftd.operate.backup.manifest import BackupManifest
    from kraftd.operate.backup.restore import PlannedRestore, RestoreOptions
    from kraftd.operate.backup.target import Target

_MOST_NAMED = 6

TargetArgument = Annotated[
    str, typer.Argument(metavar="TARGET", help="A directory of backups; a URL with kraftd[backup].")
]
BackupId = Annotated[
    str | None, typer.Option("--id", metavar="ID", help="A backup of the target, as 'backup list' shows it.")
]
Topics = Annotated[list[str] | None, typer.Option("--topic", metavar="TOPIC", help="Only this one; may be repeated.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    backup = typer.Typer(help="Back up topics, records and offsets, and restore them.")
    backup.command("create")(create)
    backup.command("list")(list_backups)
    backup.command("verify")(verify)
    backup.command("restore")(restore)
    backup.command("prune")(prune)
    app.add_typer(backup, name="backup")


def create(
    context: typer.Context,
    target: TargetArgument,
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Only what is new since the newest backup of the target.")
    ] = False,
    cold: Annotated[
        bool, typer.Option("--cold", help="An exact copy of a stopped cluster, for an empty --state-dir.")
    ] = False,
    topics: Topics = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", metavar="TOPIC", help="Not this one; may be repeated.")
    ] = None,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Leave out what is damaged in the cluster, and name it.")
    ] = False,
    scheduled: Annotated[bool, typer.Option("--scheduled", hidden=True)] = False,
) -> None:
    """Back up topics, records and committed offsets of the running cluster, which is used meanwhile."""
    from kraftd.operate.backup.cold import create_cold
    from kraftd.operate.backup.create import CreateOptions
    from kraftd.operate.backup.create import create as create_backup

    invocation: Invocation = context.obj
    if cold and (incremental or topics or exclude or skip_damaged):
        raise ConfigurationError("cannot copy a part of a stopped cluster", hint="Give --cold alone.", code="usage")
    options = CreateOptions(tuple(topics or ()), tuple(exclude or ()), incremental, scheduled, skip_damaged)
    with interruption("nothing of it is left in the target."):
        cluster, place = invocation.recorded(), _target(invocation, target)
        result = create_cold(cluster, place) if cold else create_backup(cluster, place, options)
    _show_created(invocation, result)


def _show_created(invocation: Invocation, result: "CreateResult") -> None:
    from kraftd.operate.backup.manifest import COLD
    from kraftd.units import duration, human_size, listed, plural

    manifest = result.manifest
    if invocation.json:
        facts = {"target": result.target, "backup": _document(manifest), "took_s": result.took_s}
        invocation.print_result({**facts, "removed": result.removed, "groups_left_out": result.left_out})
    elif not invocation.quiet:
        counts = (
            "an exact copy"
            if manifest.kind == COLD
            else f"{plural(manifest.records, 'record')} of {plural(len(manifest.topics), 'topic')}, "
            f"{plural(len(manifest.groups), 'group')}"
        )
        what = manifest.kind if manifest.kind == COLD else f"continues {manifest.parent}" if manifest.parent else "full"
        size = human_size(manifest.size_bytes)
        console = invocation.console()
        console.print(f"Backup {manifest.id} ({what}): {counts}, {size} in {duration(result.took_s)}")
        for gap in manifest.gaps:
            console.print(f"It is not complete: {gap}")
        if result.left_out:
            names = listed([named(name) for name in result.left_out], _MOST_NAMED)
            console.print(f"Not in it, because share groups commit no offsets: {names}", markup=False)


def list_backups(context: typer.Context, target: TargetArgument) -> None:
    """List the backups of a target, oldest first."""
    from kraftd.cli.terminal import plain_table
    from kraftd.operate.backup.content import existing_content
    from kraftd.units import count, human_size

    invocation: Invocation = context.obj
    place = _target(invocation, target)
    content = existing_content(place)
    if invocation.json:
        backups = [_document(each) for each in content.manifests]
        unusable = [each.document for each in content.unusable]
        invocation.print_result({"target": place.name, "backups": backups, "unusable": unusable})
        return
    table = plain_table("ID", "KIND", "CONTINUES", "CLUSTER", "KAFKA", "TOPICS", "RECORDS", "SIZE")
    origins = origins_of(content.manifests)
    for each in content.manifests:
        kind = f"{each.kind}, not complete" if each.gaps else each.kind
        names = (each.id, kind, each.parent or "-", origins[each.id], each.kafka_version)
        table.add_row(*names, str(len(each.topics)), count(each.records), human_size(each.size_bytes))
    if content.manifests:
        invocation.console().print(table)
    for broken in content.unusable:
        invocation.console().print(f"{broken.name} is not a usable backup: {broken.error}", style="red")


def verify(context: typer.Context, target: TargetArgument, backup: BackupId = None) -> None:
    """Check every checksum, count and chain of a target, or of one backup; restores nothing. Exit code 1: damaged."""
    from kraftd.operate.backup.archive import verify as verify_backups
    from kraftd.units import human_size, plural

    invocation: Invocation = context.obj
    with interruption("nothing was changed."):
        reporter = invocation.command_context().reporter
        result = verify_backups(_target(invocation, target), backup, reporter)
    if (error := result.error) is not None:
        for each in () if invocation.json or invocation.quiet else result.backups:
            invocation.console().print(f"{each.id}: intact")
        raise error
    if invocation.json:
        backups = [each.id for each in result.backups]
        facts = {"files": result.files, "records": result.records, "size_bytes": result.size_bytes}
        invocation.print_result({"target": result.target, "backups": backups, **facts})
    elif not invocation.quiet:
        invocation.console().print(
            f"{plural(len(result.backups), 'backup')} with {plural(result.records, 'record')} in "
            f"{plural(result.files, 'file')} ({human_size(result.size_bytes)}): intact"
        )
        for each in result.backups:
            for gap in each.gaps:
                invocation.console().print(f"{each.id} is not complete: {gap}")


def restore(  # noqa: PLR0913, PLR0917 one parameter for each option is typer's way
    context: typer.Context,
    target: TargetArgument,
    backup: BackupId = None,
    topics: Topics = None,
    into_existing: Annotated[
        bool, typer.Option("--into-existing", help="Write after the records of topics that have some.")
    ] = False,
    no_groups: Annotated[bool, typer.Option("--no-groups", help="Restore no committed offsets.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
    abandon: Annotated[bool, typer.Option("--abandon", help="Forget an interrupted restore; its topics stay.")] = False,
    yes: Yes = False,
) -> None:
    """Restore a backup into the running cluster: shows what is to be done, then asks. Run it again to finish it."""
    from kraftd.operate.backup.restore import RestoreOptions

    invocation: Invocation = context.obj
    if abandon:
        _abandon(invocation)
    else:
        options = RestoreOptions(backup, tuple(topics or ()), into_existing, not no_groups)
        _restore(invocation, target, options, dry_run=dry_run, yes=yes)


def _restore(invocation: Invocation, text: str, options: "RestoreOptions", *, dry_run: bool, yes: bool) -> None:
    from kraftd.operate.backup.content import chosen_backup
    from kraftd.operate.backup.manifest import COLD
    from kraftd.operate.backup.restore import plan_restore
    from kraftd.operate.backup.restore import restore as restore_backup
    from kraftd.units import count, duration, plural

    target = _target(invocation, text)
    if (manifest := chosen_backup(target, options.backup, _cluster_id(invocation))[0]).kind == COLD:
        _restore_cold(invocation, target, manifest, dry_run=dry_run, yes=yes)
        return
    cluster = invocation.recorded()
    planned = plan_restore(cluster, target, options)
    document = _planned_document(planned)
    if dry_run and invocation.json:
        invocation.print_result({**document, "dry_run": True})
    elif dry_run:
        for line in _plan_lines(planned):
            invocation.console().print(line)
    if dry_run:
        return
    action = f"restore {planned.restoration.backup} into the cluster {cluster.plan.cluster}"
    confirm(invocation, action, _plan_lines(planned), yes=yes)
    with interruption("'kraftd backup restore' with the same target goes on where this ended."):
        result = restore_backup(cluster, target, planned, options)
    if invocation.json:
        invocation.print_result({**document, "written": result.written, "took_s": result.took_s})
    elif not invocation.quiet:
        invocation.console().print(
            f"Restored {result.restoration.backup}: {plural(result.records, 'record')}, {count(result.written)} "
            f"of them by this call, in {duration(result.took_s)}"
        )


def _restore_cold(
    invocation: Invocation, target: "Target", manifest: "BackupManifest", *, dry_run: bool, yes: bool
) -> None:
    from kraftd.operate.backup.cold import refuse_used, restore_cold

    command_context = invocation.command_context()
    layout = invocation.chosen(command_context).layout
    document = {"target": target.name, "backup": manifest.id, "state_dir": layout.state_dir}
    document |= {"cluster_id": manifest.cluster_id}
    refuse_used(layout.state_dir)
    if not dry_run:
        confirm(invocation, f"restore {manifest.id} into {layout.state_dir}", (), yes=yes)
        with interruption("nothing was changed."):
            restore_cold(layout, target, manifest, command_context)
    if invocation.json:
        invocation.print_result({**document, "dry_run": dry_run})
    elif not invocation.quiet:
        verb = "Would restore" if dry_run else "Restored"
        invocation.console().print(f"{verb} {manifest.id} into {layout.state_dir}")


def prune(
    context: typer.Context,
    target: TargetArgument,
    keep: Annotated[int, typer.Option("--keep", metavar="N", help="How many of the newest of each cluster to keep.")],
    scheduled: Annotated[bool, typer.Option("--scheduled", hidden=True)] = False,
    yes: Yes = False,
) -> None:
    """Remove all backups except the newest and those that they continue: lists what goes, then asks."""
    from kraftd.operate.backup.content import planned_prune
    from kraftd.operate.backup.content import prune as prune_backups
    from kraftd.units import human_size

    invocation: Invocation = context.obj
    place = _target(invocation, target)
    # Other clusters may keep theirs in the same place, and more of them.
    planned = planned_prune(place, keep, cluster_id=_cluster_id(invocation) if scheduled else None)
    if planned.removed:
        origins = origins_of((*planned.removed, *planned.kept))
        facts = [f"{each.id}  {origins[each.id]}  {human_size(each.size_bytes)}" for each in planned.removed]
        confirm(invocation, f"remove these from {place.name}", facts, yes=yes)
    result = prune_backups(place, keep, [each.id for each in planned.removed])
    if invocation.json:
        names = {"removed": [each.id for each in result.removed], "kept": [each.id for each in result.kept]}
        invocation.print_result({"target": result.target, **names, "unusable": result.unusable})
    elif not invocation.quiet:
        why = f"; newer ones continue {planned.continued} of them" if planned.continued else ""
        invocation.console().print(f"Removed {len(result.removed)}, kept {len(result.kept)}{why}")
        if result.unusable:
            invocation.console().print(f"Left alone, because they are not usable backups: {', '.join(result.unusable)}")


def _abandon(invocation: Invocation) -> None:
    from kraftd.operate.backup.restore import abandon

    begun = abandon(invocation.recorded())
    if invocation.json:
        invocation.print_result({"abandoned": begun.backup if begun else None})
    elif not invocation.quiet:
        text = "There is no interrupted restore"
        if begun:
            names = ", ".join(topic.name for topic in begun.topics)
            text = f"Forgot the restore of {begun.backup}; partly restored: {names}"
        invocation.console().print(text)


def _target(invocation: Invocation, text: str) -> "Target":
    from kraftd.operate.backup.target import open_target

    return open_target(text, invocation.command_context().cwd)


def _cluster_id(invocation: Invocation) -> str:
    """Return the id of the cluster in the state directory; empty where nothing was formatted in it."""
    formatted = invocation.recorded().store.manifest()
    return formatted.cluster_id if formatted else ""


def origins_of(manifests: "Sequence[BackupManifest]") -> dict[str, str]:
    """Return the cluster of each backup, by its id: the name, with the cluster's id where they are of several."""
    are_of_several = len({each.cluster_id for each in manifests}) > 1
    return {each.id: f"{each.cluster} ({each.cluster_id})" if are_of_several else each.cluster for each in manifests}


def _document(manifest: "BackupManifest") -> dict[str, Any]:
    return {
        "id": manifest.id,
        "kind": manifest.kind,
        "parent": manifest.parent,
        "created_at": manifest.created_at,
        "cluster": manifest.cluster,
        "cluster_id": manifest.cluster_id,
        "kafka_version": manifest.kafka_version,
        "topics": [topic.name for topic in manifest.topics],
        "groups": [group.group for group in manifest.groups],
        "records": manifest.records,
        "size_bytes": manifest.size_bytes,
        "gaps": manifest.gaps,
    }


def _planned_document(planned: "PlannedRestore") -> dict[str, Any]:
    restoration = planned.restoration
    topics = [
        {"topic": topic.name, "created": topic.is_created, "partitions": len(topic.bases)}
        for topic in restoration.topics
    ]
    return {
        "target": restoration.target,
        "backup": restoration.backup,
        "cluster": planned.chain[-1].cluster,
        "cluster_id": planned.chain[-1].cluster_id,
        "resumed": planned.is_resumed,
        "topics": topics,
        "groups": [group.group for group in restoration.groups],
        "notes": restoration.notes,
        "gaps": planned.gaps,
        "records": planned.records,
    }


def _plan_lines(planned: "PlannedRestore") -> "Sequence[str]":
    from kraftd.units import plural

    restoration = planned.restoration
    manifest = planned.chain[-1]
    origin = (
        ""
        if manifest.cluster_id == restoration.cluster_id
        else f" of the cluster {manifest.cluster} ({manifest.cluster_id})"
    )
    head = f"{restoration.backup}{origin}: {plural(planned.records, 'record')}"
    topics = [
        f"  topic {topic.name}: {plural(len(topic.bases), 'partition')}, "
        + ("is created" if topic.is_created else "exists")
        for topic in restoration.topics
    ]
    groups = [f"  group {group.group}: {plural(len(group.commits), 'offset')}" for group in restoration.groups]
    notes = [*restoration.notes, *planned.gaps]
    return [head, *topics, *groups, *(f"  {note}" for note in notes)]
