"""The commands on records: tail, send."""

import gc
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from kraftd.cli.options import Invocation
from kraftd.cli.values import moment_s, regular_expression
from kraftd.errors import ConfigurationError, KraftdError
from kraftd.units import plural

if TYPE_CHECKING:
    from kraftd.kafka.model import Gap
    from kraftd.kafka.records.sending import NewRecord
    from kraftd.operate.data.record_format import Render
    from kraftd.operate.data.send import Sent
    from kraftd.operate.data.tail import Chosen, TailPlan, TailRange
    from kraftd.plan.plan import Access

_NEWEST = 10
_SILENT_LIMIT_S = 30.0
_SEND_TIMEOUT_S = 30.0
_ENDS = ("earliest", "latest")

Topic = Annotated[str, typer.Argument(metavar="TOPIC", help="A topic.")]
Follow = Annotated[bool, typer.Option("-f", "--follow", help="Keep printing records as they arrive, until Ctrl-C.")]
Count = Annotated[
    int | None,
    typer.Option("-n", "--lines", metavar="N", min=0, help="The newest N; with --offset or --since, N at most."),
]
Partitions = Annotated[
    list[int] | None,
    typer.Option("--partition", "-p", metavar="P", min=0, help="Only this partition; may be repeated."),
]
Offset = Annotated[
    str | None,
    typer.Option("--offset", metavar="OFFSET", help="From here on: earliest, latest, N, or -N from each end."),
]
Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="From then on: 10m ago, or an RFC 3339 time.")
]
Pattern = Annotated[
    str | None, typer.Option("--grep", metavar="REGEX", help="Only records in whose value it is found.")
]
Key = Annotated[str | None, typer.Option("--key", metavar="KEY", help="Only records with this key.")]
ShowHeaders = Annotated[bool, typer.Option("--headers", help="Show the headers before each value.")]
Template = Annotated[
    str | None, typer.Option("--format", metavar="TEMPLATE", help=r"Such as '{partition} {offset}\t{key}={value}'.")
]
Hex = Annotated[bool, typer.Option("--hex", help="Keys and values in hexadecimal.")]
Value = Annotated[str | None, typer.Argument(metavar="VALUE", help="The value; without it, each line of stdin is one.")]
NewKey = Annotated[str | None, typer.Option("--key", metavar="KEY", help="The key of every record.")]
NewHeaders = Annotated[
    list[str] | None, typer.Option("--header", metavar="NAME=VALUE", help="A header; may be repeated.")
]
NewPartition = Annotated[int | None, typer.Option("--partition", "-p", metavar="P", min=0, help="The partition.")]
Tombstone = Annotated[bool, typer.Option("--tombstone", help="No value: marks the key as deleted.")]
FromJson = Annotated[
    bool, typer.Option("--from-json", help="Each line of stdin is a record as 'tail --json' prints it.")
]


class InterruptedSendError(KraftdError):
    """The user pressed Ctrl-C; what was on its way is acknowledged or has failed."""

    exit_code: ClassVar[int] = 130
    code = "interrupted"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("tail")(tail)
    app.command("send")(send)


def tail(  # noqa: PLR0913, PLR0917 one parameter for each option is typer's way
    context: typer.Context,
    topic: Topic,
    follow: Follow = False,
    count: Count = None,
    partitions: Partitions = None,
    offset: Offset = None,
    since: Since = None,
    pattern: Pattern = None,
    key: Key = None,
    headers: ShowHeaders = False,
    template: Template = None,
    as_hex: Hex = False,
) -> None:
    """Print the newest records of a topic. Exact in a pipe, escaped on a terminal; --json prints a document a line.

    What is damaged in its log is skipped, and named on stderr; exit code 1.

    --timeout: how long the brokers may not answer (default 30s).
    """
    from kraftd.operate.data.access import opened
    from kraftd.operate.data.record_format import DEFAULT, WITH_HEADERS, Filter, Form, renderer
    from kraftd.operate.data.tail import planned_tail

    invocation: Invocation = context.obj
    sought = _bytes(pattern)
    chosen = Filter(_bytes(key), None if sought is None else regular_expression(sought))
    text = template if template is not None else WITH_HEADERS if headers else DEFAULT
    render = renderer(Form(text, as_json=invocation.json, as_hex=as_hex, for_people=sys.stdout.isatty()))
    cluster = invocation.any_plan()
    is_filtered = key is not None or pattern is not None
    wanted = range_of(count, partitions or (), (offset, since), cluster.clock.now_s(), is_filtered=is_filtered)
    with opened(cluster) as kafka:
        plan = planned_tail(kafka, topic, wanted)
    _print_records(invocation, cluster.plan.access, (plan, chosen.chosen, render), follow=follow)


def _print_records(
    invocation: Invocation, access: "Access", what: "tuple[TailPlan, Chosen, Render]", *, follow: bool
) -> None:
    from kraftd.kafka.records.gaps import REPAIR
    from kraftd.kafka.records.reading import UnreadableRecordsError, record_batches
    from kraftd.operate.data.tail import PassedGaps
    from kraftd.operate.data.tail import tail as read_tail

    plan, chosen, render = what

    def tell(gap: "Gap") -> None:
        if not invocation.json:
            invocation.console(stderr=True).print(f"kraftd: {gap}", style="bold red")

    gaps = PassedGaps(tell)
    limit_s = invocation.timeout_s or _SILENT_LIMIT_S
    read = partial(record_batches, access, silent_limit_s=limit_s, on_gap=gaps.add)
    # Records hold no cycles: to look for some among them took a quarter of the time.
    gc.disable()
    for batch in read_tail(read, plan, chosen, follow=follow):
        if batch:
            sys.stdout.buffer.write(render(batch))
            sys.stdout.buffer.flush()
    if gaps.found:
        raise UnreadableRecordsError(
            f"cannot read {plural(len(gaps.found), 'part')} of the topic: the log is damaged there",
            hint=f"All else was read. {REPAIR}",
            details={"gaps": [asdict(gap) for gap in gaps.found.values()]},
        )


def range_of(
    count: int | None,
    partitions: Sequence[int],
    place: tuple[str | None, str | None],
    now_s: float,
    *,
    is_filtered: bool,
) -> "TailRange":
    """Return which records the options want.

    Raises:
        ConfigurationError: The offset or the time is malformed, or both are given.
    """
    from kraftd.operate.data.tail import TailRange

    offset, since = place
    if offset is not None and since is not None:
        raise ConfigurationError("cannot read from two places: both --offset and --since are given", hint="Give one.")
    is_from_the_end = offset is None and since is None
    newest = _NEWEST if count is None and is_from_the_end and not is_filtered else count
    since_s = moment_s(since, now_s)
    since_ms = None if since_s is None else round(since_s * 1000)
    return TailRange(newest, tuple(partitions), _offset(offset), since_ms, is_filtered=is_filtered)


def _bytes(text: str | None) -> bytes | None:
    """Return an argument as the bytes that were typed."""
    return None if text is None else text.encode("utf-8", "surrogateescape")


def _offset(text: str | None) -> str | int | None:
    if text is None or text in _ENDS:
        return text
    try:
        return int(text)
    except ValueError:
        raise ConfigurationError(
            f"cannot read from the offset {text}: it is not an offset",
            hint="Use earliest, latest, an offset, or a number from the end: -100.",
        ) from None


def send(
    context: typer.Context,
    topic: Topic,
    value: Value = None,
    key: NewKey = None,
    headers: NewHeaders = None,
    partition: NewPartition = None,
    tombstone: Tombstone = False,
    from_json: FromJson = False,
) -> None:
    """Send records to a topic and wait until every in-sync replica has them.

    --timeout: how long a record may wait for that (default 30s).
    """
    from kraftd.kafka.records.sending import NewRecord
    from kraftd.operate.data.access import opened
    from kraftd.operate.data.send import check_target, parse_headers, records_of_json, records_of_lines

    invocation: Invocation = context.obj
    if sum((value is not None, tombstone, from_json)) > 1:
        raise ConfigurationError(
            "cannot send from several sources",
            hint="Give one of: a value, --tombstone, --from-json, or lines on stdin.",
        )
    if tombstone and key is None:
        raise ConfigurationError("cannot send a tombstone without a key", hint="Add --key.")
    pattern = NewRecord(_bytes(value), _bytes(key), parse_headers(headers or ()), partition)
    records: Iterable[NewRecord] = [pattern]
    if value is None and not tombstone:
        records = (records_of_json if from_json else records_of_lines)(sys.stdin.buffer, pattern)
    cluster = invocation.any_plan()
    with opened(cluster) as kafka:
        name = check_target(kafka, topic, partition)
    _print_sent(invocation, _sent(invocation, cluster.plan.access, name, records))


def _sent(invocation: Invocation, access: "Access", topic: str, records: "Iterable[NewRecord]") -> "Sent":
    from kraftd.kafka.records.sending import RecordSender
    from kraftd.operate.data.send import send as send_records

    with RecordSender(access, topic, timeout_s=invocation.timeout_s or _SEND_TIMEOUT_S) as sender:
        try:
            return send_records(sender, topic, records)
        except KeyboardInterrupt:
            sender.flush()
            raise InterruptedSendError(
                f"cannot continue sending: interrupted; {plural(sender.acknowledged, 'record')} were acknowledged",
                details={"acknowledged": sender.acknowledged},
            ) from None


def _print_sent(invocation: Invocation, sent: "Sent") -> None:
    if invocation.json:
        invocation.print_result(sent)
    elif not invocation.quiet:
        console = invocation.console()
        if len(sent.places) == 1:
            (place,) = sent.places
            offset = "an offset that is not known" if place.offset is None else f"offset {place.offset}"
            console.print(f"Acknowledged: {sent.topic}, partition {place.partition}, {offset}")
        else:
            console.print(f"Acknowledged: {plural(sent.acknowledged, 'record')} in {sent.topic}")
