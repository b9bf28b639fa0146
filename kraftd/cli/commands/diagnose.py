"""The commands for when something is wrong: events."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from kraftd.cli.options import Invocation, parse_since
from kraftd.errors import ConfigurationError
from kraftd.escapes import escaped_json

if TYPE_CHECKING:
    from kraftd.host.events import Event

_EXAMPLES = "Give a duration such as 10m or 24h, or a time such as 2026-01-31T12:00:00Z."


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("events")(events)


def events(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Follow the events as they are recorded.")] = False,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only later ones: 10m, or 2026-01-31T12:00:00Z.")
    ] = None,
) -> None:
    """Show what happened to the cluster, oldest first, in UTC; --json prints a document for each on a line."""
    from kraftd.operate.diagnose.events import events_since, follow_events

    invocation: Invocation = context.obj
    cluster = invocation.recorded()
    since_s = _since_s(since, cluster.clock.now_s())
    directory = cluster.layout.events
    found = follow_events(directory, since_s, cluster.clock) if follow else events_since(directory, since_s)
    for event in found:
        invocation.print_lines(_event_line(event, as_json=invocation.json))


def _since_s(text: str | None, now_s: float) -> float:
    if text is None:
        return 0.0
    try:
        return parse_since(text, now_s)
    except ValueError as error:
        raise ConfigurationError(f"cannot use --since {text}: {error}", hint=_EXAMPLES, code="bad_since") from error


def _event_line(event: "Event", *, as_json: bool) -> str:
    if as_json:
        return escaped_json(json.dumps(asdict(event), ensure_ascii=False))
    return f"{event.at}  {event.writer:<8}  {event.program or '-':<14}  {event.kind:<15}  {event.text}"
