"""`kraftd top`: the cluster on one screen, from a health or status document. No I/O."""

from collections.abc import Iterator
from typing import Literal

from rich.console import Group, RenderableType

from kraftd.cli.output import status_head
from kraftd.cli.terminal import Table, Text, name_text
from kraftd.health.lag.status import LagStatus
from kraftd.health.programs.state import ServiceState
from kraftd.health.report.documents import BrokerView, GroupSummary, HealthDocument, StatusDocument, TimeLag
from kraftd.units import count, duration, human_size, latency, rate

_STATUS_STYLES = {LagStatus.OK: "green", LagStatus.WARN: "yellow", LagStatus.EMPTY: "yellow"}
_STATE_STYLES = {
    ServiceState.READY: "green",
    ServiceState.STARTING: "yellow",
    ServiceState.PAUSED: "yellow",
    ServiceState.STOPPED: "dim",
}
_BAD = "bold red"
_MOST_ROWS = 20
_UNKNOWN = Text("?", style="dim italic")


def top_view(document: StatusDocument, *, keys: bool) -> RenderableType:
    """Return the screen of ``kraftd top``.

    Args:
        document: The daemon's health document, or the document of a status without the daemon.
        keys: Whether to name the keys.
    """
    return Group(*_parts(document, keys=keys))


def _parts(document: StatusDocument, *, keys: bool) -> Iterator[RenderableType]:
    yield status_head(document)
    yield _line(document, keys=keys)
    for reason in document.reasons[:5]:
        yield Text(f"  {reason}", style="yellow")
    yield Text()
    yield _programs(document)
    if not isinstance(document, HealthDocument):
        yield Text()
        yield Text(
            "The daemon does not answer, so Kafka's state is not known; 'kraftd why kraftd' explains it",
            style="yellow",
        )
        return
    yield Text()
    yield _brokers(document)
    yield Text()
    yield _groups(document)
    yield Text()
    yield _topics(document)


def _line(document: StatusDocument, *, keys: bool) -> Text:
    parts = []
    if isinstance(document, HealthDocument):
        quorum = document.quorum
        leader = "?" if quorum is None else "none" if quorum.leader_id is None else quorum.leader_id
        epoch = "?" if quorum is None or quorum.leader_epoch is None else quorum.leader_epoch
        voters = quorum.voters if quorum else ()
        lags = [voter.lag_records for voter in voters if voter.lag_records is not None]
        behind = "?" if not lags or len(lags) < len(voters) else count(max(lags))
        produced = document.produced_per_s
        parts = [
            f"seen {duration(document.age_s)} ago",
            f"quorum leader {leader}, epoch {epoch}, voters at most {behind} behind",
            f"in {'?' if produced is None else rate(produced)}",
        ]
    return Text(" · ".join([*parts, *(["q ends"] if keys else [])]), style="dim")


def _table(*columns: str, numbers: tuple[str, ...], is_folded: bool = False) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    overflow: Literal["fold", "ellipsis"] = "fold" if is_folded else "ellipsis"
    for column in columns:
        justify: Literal["right", "left"] = "right" if column in numbers else "left"
        table.add_column(column, justify=justify, no_wrap=not is_folded, overflow=overflow)
    return table


def _programs(document: StatusDocument) -> Table:
    numbers = ("PID", "UPTIME", "CPU", "MEMORY", "FILES", "RESTARTS")
    table = _table("PROGRAM", "STATE", *numbers, numbers=numbers)
    usages = {usage.name: usage for usage in document.programs} if isinstance(document, HealthDocument) else {}
    for node in document.nodes:
        usage = usages.get(node.name)
        cores = usage.cpu_cores if usage else None
        resident = usage.resident_bytes if usage else None
        files = usage.open_files if usage else None
        table.add_row(
            node.name,
            Text(node.service_state, style=_STATE_STYLES.get(node.service_state, _BAD)),
            str(node.pid or "-"),
            "-" if node.uptime_s is None else duration(node.uptime_s),
            _UNKNOWN if cores is None else f"{cores * 100:.0f} %",
            _UNKNOWN if resident is None else human_size(resident),
            _UNKNOWN if files is None else str(files),
            str(node.restarts),
        )
    return table


def _brokers(document: HealthDocument) -> Table:
    numbers = ("LEADS", "IN SYNC", "ANSWERS IN", "ROUND TRIP", "DISK")
    table = _table("BROKER", "UP", *numbers, numbers=numbers)
    for broker in document.brokers:
        used_bytes = [disk.used_bytes for disk in broker.disks or ()]
        known_bytes = [used for used in used_bytes if used is not None]
        table.add_row(
            broker.name,
            Text("yes", style="green") if broker.up else Text("no", style=_BAD),
            _known(broker.leads),
            _UNKNOWN if broker.in_sync is None else f"{broker.in_sync}/{broker.replicas}",
            _UNKNOWN if broker.answer_s is None else latency(broker.answer_s),
            _round_trip(broker),
            human_size(sum(known_bytes)) if known_bytes and known_bytes == used_bytes else _UNKNOWN,
        )
    return table


def _round_trip(broker: BrokerView) -> Text:
    trip, age_s = broker.round_trip, broker.canary_age_s
    if trip is None:
        return _UNKNOWN
    took = latency(trip.write_s + trip.read_s)
    return Text(took if age_s is None else f"{took}, {duration(age_s)} ago")


def _groups(document: HealthDocument) -> RenderableType:
    if document.groups is None:
        return Text(f"Groups are not known: {_why(document, 'groups', 'lag')}", style="yellow")
    table = groups_table()
    # The groups to check first: those with unknown lag, then the greatest.
    order = sorted(document.groups, key=lambda each: (each.lag is not None, -(each.lag or 0), each.group))
    for group in order[:_MOST_ROWS]:
        add_group(table, group)
    return table


def groups_table(*, is_folded: bool = False) -> Table:
    """Return an empty table of groups.

    Args:
        is_folded: Whether what is too wide takes further lines; otherwise it is cut.
    """
    columns = ("GROUP", "STATE", "MEMBERS", "LAG", "TIME LAG", "KEEPS UP")
    return _table(*columns, numbers=("MEMBERS", "LAG", "TIME LAG"), is_folded=is_folded)


def add_group(table: Table, group: GroupSummary) -> None:
    """Add a group's row."""
    table.add_row(
        name_text(group.group),
        _UNKNOWN if group.state is None else Text(group.state),
        _known(group.members),
        _UNKNOWN if group.lag is None else count(group.lag),
        time_lag(group.time_lag),
        lag_status(group.status),
    )


def time_lag(age: TimeLag | None) -> Text:
    """Return how long the oldest unread record waits, as text."""
    if age is None:
        return _UNKNOWN
    if age.at_most_s is None:
        return Text(f"over {duration(age.at_least_s)}")
    return Text("none" if age.at_most_s == 0 else duration(age.estimate_s))


def lag_status(status: LagStatus | None) -> Text:
    """Return a group's lag status as text."""
    return Text("-", style="dim") if status is None else Text(status, style=_STATUS_STYLES.get(status, _BAD))


def _topics(document: HealthDocument) -> RenderableType:
    if document.topics is None:
        return Text(f"Topics are not known: {_why(document, 'topics')}", style="yellow")
    numbers = ("PARTITIONS", "NO LEADER", "NOT IN SYNC", "OFFSETS", "IN")
    table = _table("TOPIC", *numbers, numbers=numbers)
    order = sorted(document.topics, key=lambda each: (-(each.produced_per_s or 0), each.topic))
    for topic in order[:_MOST_ROWS]:
        produced, offsets = topic.produced_per_s, topic.offsets
        table.add_row(
            name_text(topic.topic),
            str(topic.partitions),
            Text(str(topic.without_leader), style="bold red" if topic.without_leader else ""),
            Text(str(topic.under_replicated), style="yellow" if topic.under_replicated else ""),
            _UNKNOWN if offsets is None else count(offsets),
            _UNKNOWN if produced is None else rate(produced),
        )
    return table


def _why(document: HealthDocument, *parts: str) -> str:
    failures = document.failures
    return next((failures[part] for part in parts if part in failures), "they were not read yet")


def _known(number: int | None) -> Text:
    return _UNKNOWN if number is None else Text(str(number))
