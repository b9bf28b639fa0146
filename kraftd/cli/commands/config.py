"""The commands about the configuration and the runtime."""

import difflib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

import kraftd
from kraftd.cli.options import Invocation, json_for_stdout
from kraftd.errors import ConfigurationError, known_names


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("init")(init)
    app.command("config")(config)
    app.command("plan")(plan)
    app.command("render")(render)
    app.command("setup")(setup)
    app.command("version")(version)


def init(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    stdout: Annotated[bool, typer.Option("--stdout", help="Print it instead.")] = False,
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="NAME", help="Set the values of a profile: ci, laptop, vm or prod."),
    ] = None,
) -> None:
    """Write kraftd.toml: every setting, commented out, with its default; or the values of a profile."""
    from kraftd.host.files import hint_names_setting, write_atomically
    from kraftd.operate.selection import CONFIG_FILE

    invocation: Invocation = context.obj
    text = _sample(profile)
    if stdout:
        invocation.print_lines(text, newline=False)
        return
    path = invocation.config or Path(CONFIG_FILE)
    if path.exists() and not force:
        raise ConfigurationError(f"cannot write {path}: it exists", hint="Add --force to overwrite it.")
    # A link to a file that is kept elsewhere stays one.
    target = Path(os.path.realpath(path))
    with hint_names_setting(target, "--config"):
        write_atomically(target, text)
    if invocation.json:
        invocation.print_result({"written": target, "profile": profile})
    else:
        invocation.console().print(f"Wrote {path}" + (f", with the profile {profile}" if profile else ""))


def _sample(profile: str | None) -> str:
    from kraftd.render.sample import PROFILES, SAMPLE, sample_of

    if profile is None:
        return SAMPLE
    profiles = {each.name: each for each in PROFILES}
    if profile not in profiles:
        raise ConfigurationError(
            f"cannot find the profile {profile}", hint=known_names(profile, [*profiles]), code="unknown_profile"
        )
    return sample_of(profiles[profile])


def config(context: typer.Context) -> None:
    """Show every setting, its value and where that came from."""
    from kraftd.cli.terminal import plain_table
    from kraftd.operate.configuring import absent_tools, installed_tools
    from kraftd.operate.selection import read_configuration
    from kraftd.plan.secrets import masked_value
    from kraftd.render.sample import toml_value

    invocation: Invocation = context.obj
    command_context = invocation.command_context()
    configuration, origin = read_configuration(invocation.selection, command_context)
    notes = tuple(absent_tools(configuration, installed_tools(configuration, command_context)).values())
    rows = [
        {"key": key, "value": masked_value(key, value), "origin": source} for key, value, source in configuration.rows()
    ]
    if invocation.json:
        invocation.print_result({"file": origin, "settings": rows, "notes": notes})
        return
    table = plain_table("KEY", "VALUE", "FROM")
    for row in rows:
        table.add_row(row["key"], toml_value(row["value"]), row["origin"])
    console = invocation.console()
    console.print(table)
    console.print_notes(notes)


def plan(context: typer.Context) -> None:
    """Show the plan of the configuration: nodes, ports, topics, programs. Writes nothing."""
    from kraftd.cli.terminal import plain_table
    from kraftd.operate.configuring import plan_for
    from kraftd.plan.plan_json import plan_json
    from kraftd.plan.secrets import without_secrets
    from kraftd.units import format_size

    invocation: Invocation = context.obj
    command_context = invocation.command_context()
    configured = plan_for(invocation.chosen(command_context), command_context)
    made = configured.plan
    if invocation.json:
        sys.stdout.write(json_for_stdout(plan_json(without_secrets(made))))
        return
    console = invocation.console()
    console.print(f"Cluster {made.cluster}: Kafka {made.kafka_version} in {made.layout.state_dir}")
    nodes = plain_table("NODE", "ID", "ROLES", "HEAP")
    for node in made.nodes:
        nodes.add_row(node.name, str(node.node_id), ", ".join(node.roles), format_size(node.heap_bytes))
    ports = plain_table("PORT", "OF")
    for port in sorted(made.ports, key=lambda each: each.number):
        ports.add_row(str(port.number), port.owner)
    topics = plain_table("TOPIC", "PARTITIONS", "REPLICAS")
    for topic in made.topics:
        replicas = ",".join(":".join(str(broker) for broker in each) for each in topic.assignment)
        topics.add_row(topic.name, str(topic.partitions), replicas)
    for table in (nodes, topics, ports):
        console.print(table)
    console.print_notes(configured.absent.values())


def render(
    context: typer.Context,
    diff: Annotated[bool, typer.Option("--diff", help="Compare with the files on disk.")] = False,
    prometheus: Annotated[
        bool, typer.Option("--prometheus", help="Instead, the configuration for a Prometheus of your own.")
    ] = False,
    systemd: Annotated[
        bool, typer.Option("--systemd", help="Instead, a systemd unit that keeps the cluster in the foreground.")
    ] = False,
    user: Annotated[bool, typer.Option("--user", help="With --systemd: for your own service manager.")] = False,
) -> None:
    """Show the files that a start writes, without their secrets. Writes nothing."""
    from kraftd.operate.render import prometheus_configuration, rendered, service_unit

    invocation: Invocation = context.obj
    command_context = invocation.command_context()
    if user and not systemd:
        raise ConfigurationError("cannot use --user without --systemd", hint="Add --systemd.", code="usage")
    chosen = invocation.chosen(command_context)
    if systemd:
        _print_text(invocation, service_unit(chosen, invocation.selection, command_context, is_system=not user))
    elif prometheus:
        _print_text(invocation, prometheus_configuration(chosen, command_context))
    else:
        _print_files(invocation, rendered(chosen, command_context), diff=diff)


def _print_files(invocation: Invocation, files: Mapping[Path, str], *, diff: bool) -> None:
    from kraftd.host.files import read_text
    from kraftd.plan.secrets import masked_text

    if invocation.json:
        documents = [
            {"path": path, "text": masked_text(path.name, text), "changed": read_text(path) != text}
            for path, text in files.items()
        ]
        invocation.print_result({"files": documents})
        return
    for path, text in files.items():
        if diff:
            before = masked_text(path.name, read_text(path) or "").splitlines(keepends=True)
            after = masked_text(path.name, text).splitlines(keepends=True)
            changes = difflib.unified_diff(before, after, str(path), f"{path} (rendered)")
            invocation.print_lines("".join(changes), newline=False)
        else:
            invocation.print_lines(f"==> {path} <==\n{masked_text(path.name, text)}")


def _print_text(invocation: Invocation, text: str) -> None:
    if invocation.json:
        invocation.print_result({"text": text})
    else:
        invocation.print_lines(text, newline=False)


def setup(context: typer.Context) -> None:
    """Fetch and check Kafka's jars, and make the start-up archive. Needed once; start does the first part itself."""
    from kraftd.operate.configuring import plan_for
    from kraftd.operate.setup import set_up

    invocation: Invocation = context.obj
    command_context = invocation.command_context()
    result = set_up(plan_for(invocation.chosen(command_context), command_context).plan, command_context)
    if invocation.json:
        invocation.print_result({"setup": result})
        return
    console = invocation.console()
    archive = "with its start-up archive" if result.archive else "without a start-up archive"
    console.print(
        f"Kafka {result.kafka_version} ({result.jars} jars) and Java {result.java} are ready, {archive}, "
        f"in {result.cache}",
    )
    console.print_notes(result.notes)


def version(context: typer.Context) -> None:
    """Show the versions of kraftd, and of the Kafka that it runs."""
    from kraftd.runtime.jars import locked_versions

    invocation: Invocation = context.obj
    if invocation.json:
        versions = {"kraftd": kraftd.__version__, "kafka": locked_versions()}
        invocation.print_result(versions)
    else:
        invocation.print_lines(f"kraftd {kraftd.__version__} (Kafka {', '.join(locked_versions())})")
