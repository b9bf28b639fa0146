"""An event as a line, for people and for programs."""

import json
from dataclasses import asdict

from kraftd.escapes import escaped_json
from kraftd.host.events import COMMANDS, Event


def event_line(event: Event, *, as_json: bool) -> str:
    """Return an event as a line of columns, or as a JSON document on a line."""
    if as_json:
        return escaped_json(json.dumps(asdict(event), ensure_ascii=False))
    # Who a daemon runs as says nothing; of a command it does.
    by = f"  by {event.who}" if event.writer == COMMANDS and event.who else ""
    return f"{event.at}  {event.writer:<8}  {event.program or '-':<14}  {event.kind:<15}  {event.text}{by}"
