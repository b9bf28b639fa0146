"""Records from given offsets on, without a group, so that nobody's offsets move. Importing this is cheap.

``record_batches`` gives them one by one, to show; ``RecordReader`` in columns up to given ends, to keep: a loop over a
backup's records in Python would take twice the time.
"""

import contextlib
import math
import operator
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby, islice
from typing import Any, Protocol

from kraftd.errors import KraftdError, UnknownNameError
from kraftd.kafka.model import (
    Gap,
    KafkaRejectedError,
    KafkaUnavailableError,
    KafkaUnreachableError,
    OffsetRange,
    Records,
    TopicPartition,
)
from kraftd.kafka.records.gaps import GapFinder, is_damage
from kraftd.kafka.records.librdkafka import access_error, load_library, reader_settings
from kraftd.plan.plan import Access

_MOST_IN_A_BATCH = 10_000
_WAIT_S = 0.2

_BATCH_BYTES = 1024 * 1024
"""What one batch of records holds, about: little enough for memory, enough that the cost of a batch is small."""
_MOST_RECORDS = 5_000
_FIRST_RECORDS = 100
_PARALLEL = 4
"""How many partitions are read at the same time: each holds a batch in memory."""
_QUEUED_KIB = 2 * 1024
_POLL_S = 0.1
_METADATA_S = 5.0
_SILENT_S = 60.0
_FINAL = frozenset({"_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION"})
"""The errors of librdkafka itself that do not pass: it looks for brokers and leaders again, and continues."""
_LOOK_S = 0.5
"""How often positions are compared."""

OnGap = Callable[[Gap], None]
"""Takes offsets that cannot be read, each once, as soon as they are met."""


class UnreadableRecordsError(KraftdError):
    """A log is damaged; the text names the partition, the offsets and the reason, the details have them as ``gap``."""

    code = "unreadable_records"


class Message(Protocol):
    """A record as librdkafka returns it; the methods are confluent_kafka's."""

    def topic(self) -> str: ...  # noqa: D102
    def partition(self) -> int: ...  # noqa: D102
    def offset(self) -> int: ...  # noqa: D102
    def timestamp(self) -> tuple[int, int]: ...  # noqa: D102
    def key(self) -> bytes | None: ...  # noqa: D102
    def value(self) -> bytes | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Sources:
    """Where records come from.

    Attributes:
        consumer: Opens confluent_kafka's consumer with settings.
        finder: Makes what finds the damage in front of a reader.
        clock: Monotonic seconds.
    """

    consumer: Callable[[Mapping[str, Any]], Any] = lambda settings: load_library().Consumer(settings)
    finder: Callable[[Access], GapFinder] = GapFinder
    clock: Callable[[], float] = time.monotonic


_BROKERS = Sources()


def record_batches(
    access: Access,
    starts: Mapping[TopicPartition, int],
    *,
    until: Mapping[TopicPartition, int] | None,
    silent_limit_s: float,
    on_gap: OnGap,
    sources: Sources = _BROKERS,
) -> Iterator[Sequence[Message]]:
    """Yield the committed records of partitions from their offsets on, each partition in order.

    What is damaged is skipped, if anything after it can be read. Empty batches are yielded while nothing arrives.

    Args:
        access: The way to the cluster.
        starts: The first offset of each partition to read; where it was deleted, the first that is left.
        until: The offset after the last one to read of each; None to follow them, on and on.
        silent_limit_s: After how long without an answer of Kafka the reading ends, unless it follows.
        on_gap: Takes what cannot be read.
        sources: Where the records come from.

    Raises:
        KafkaUnreachableError: Kafka fell silent before the ends.
        UnknownNameError: The topic was deleted.
        KraftdError: A batch cannot be decoded, and no broker tells where it ends.
    """
    # By default the library rests for a second whenever it is ahead of the reader by as many records as it may be.
    consumer = sources.consumer(reader_settings(access, "kraftd-tail") | {"fetch.queue.backoff.ms": 10})
    try:
        reading = _Following(consumer, sources.finder(access), dict(starts), until, on_gap)
        yield from _batches(consumer, reading, None if until is None else silent_limit_s, sources.clock)
    finally:
        consumer.close()


def _batches(
    consumer: Any, reading: "_Following", silent_limit_s: float | None, clock: Callable[[], float]
) -> Iterator[Sequence[Message]]:
    """Yield what arrives until the ends are met; on and on where no silence is too long."""
    heard_s = clock()
    while reading.remaining or silent_limit_s is None:
        batch = reading.wanted(_arrived(consumer, _MOST_IN_A_BATCH, _WAIT_S))
        if batch:
            heard_s = clock()
        elif silent_limit_s is not None and clock() - heard_s > silent_limit_s:
            raise KafkaUnreachableError(
                f"cannot continue reading: Kafka did not answer for {silent_limit_s:g} s",
                hint="'kraftd status' shows which brokers run.",
            )
        yield reading.taken(batch)
        reading.pass_damage(clock())


def _arrived(consumer: Any, most: int, wait_s: float) -> list[Any]:
    """Return what has arrived, after a wait for the first message only: a wait for many would hold those back."""
    batch: list[Any] = consumer.consume(1, wait_s)
    return batch + consumer.consume(most, 0) if batch else batch


class _Following:
    """Partitions that are read to their ends, or on and on.

    Attributes:
        remaining: The partitions whose ends were not met yet.
    """

    def __init__(
        self,
        consumer: Any,
        finder: GapFinder,
        starts: dict[TopicPartition, int],
        until: Mapping[TopicPartition, int] | None,
        on_gap: OnGap,
    ) -> None:
        self._consumer = consumer
        self._finder = finder
        self._starts = starts
        self._until = until
        self._on_gap = on_gap
        self._ends: dict[TopicPartition, int] = {}
        self._behind_damage: dict[TopicPartition, int] = {}
        self._told: set[tuple[TopicPartition, int]] = set()
        self._look_at_s = 0.0
        self.remaining = set(starts)
        consumer.assign([load_library().TopicPartition(*place, offset) for place, offset in starts.items()])

    def wanted(self, batch: list[Any]) -> list[Any]:
        """Return the messages of partitions that are read still: others may be written to without a pause."""
        if self._until is None:
            return batch
        return [message for message in batch if (message.topic(), message.partition()) in self.remaining]

    def taken(self, batch: Sequence[Any]) -> list[Message]:
        """Return the records among messages; the others are ends of partitions, and errors."""
        return self._up_to_ends(self._records(batch))

    def _up_to_ends(self, records: list[Any]) -> list[Message]:
        """Leave out what has arrived after the ends.

        Nothing else tells for sure that an end was met: librdkafka does so only after a fetch without a record, and of
        a partition that is written to there may be none.
        """
        if self._until is None:
            return records
        kept: list[Message] = []
        for place, run in _runs(records):
            if run[-1].offset() + 1 < self._until[place]:
                kept += run
            else:
                self.remaining.discard(place)
                kept += [record for record in run if record.offset() < self._until[place]]
        return kept

    def _records(self, batch: Sequence[Any]) -> list[Any]:
        records = [message for message in batch if message.error() is None]
        if len(records) == len(batch):
            return self._new(records)
        records, damaged = [], set()
        for message in batch:
            error, place = message.error(), (message.topic(), message.partition())
            if place in damaged:
                # The library goes on within what is damaged.
                continue
            if error is None:
                records += self._new([message])
            elif is_damage(error):
                damaged.add(place)
                self._pass_reported(place, message.offset(), error)
            else:
                self._note(place, message.offset(), error)
        return records

    def _new(self, records: list[Any]) -> list[Any]:
        """Return the records that were not given yet: beside damage, the library may begin a log again."""
        if not self._behind_damage:
            return records
        new = []
        for record in records:
            place = record.topic(), record.partition()
            if record.offset() >= self._behind_damage.get(place, 0):
                new.append(record)
                if place in self._behind_damage:
                    self._behind_damage[place] = record.offset() + 1
        return new

    def pass_damage(self, now_s: float) -> None:
        """Pass the damage in front of which positions stay; compares them twice a second."""
        if now_s < self._look_at_s:
            return
        self._look_at_s = now_s + _LOOK_S
        for gap in self._finder.stalled(self._unread()):
            self._pass(gap)

    def _unread(self) -> dict[TopicPartition, int]:
        """Return the positions of the partitions that have, or may have, more records."""
        library = load_library()
        places = [library.TopicPartition(*place) for place in (self._starts if self._until is None else self.remaining)]
        found = {(each.topic, each.partition): each.offset for each in self._consumer.position(places)}
        # A position is negative before the first record.
        positions = {place: max(at, self._starts[place]) for place, at in found.items()}
        return {place: at for place, at in positions.items() if place in self.remaining or self._is_behind(place, at)}

    def _is_behind(self, place: TopicPartition, position: int) -> bool:
        _, end = self._consumer.get_watermark_offsets(load_library().TopicPartition(*place), cached=True)
        return bool(end > max(position, self._ends.get(place, 0)))

    def _note(self, place: TopicPartition, offset: int, error: Any) -> None:
        codes = load_library().KafkaError
        if error.code() == codes._PARTITION_EOF:  # noqa: SLF001 - a public constant
            self._ends[place] = offset
            self.remaining.discard(place)
        elif error.code() in {codes.UNKNOWN_TOPIC_OR_PART, codes._UNKNOWN_PARTITION, codes._UNKNOWN_TOPIC}:  # noqa: SLF001
            raise UnknownNameError(
                "cannot continue reading: the topic was deleted", hint="'kraftd topics' shows those that exist."
            )
        # A broker that is away comes back, or the reading falls silent.

    def _pass_reported(self, place: TopicPartition, offset: int, error: Any) -> None:
        gap = self._finder.reported(place, offset, error.str())
        if gap is not None:
            self._pass(gap)
        elif error.code() < 0:
            # The library would fetch the same batch forever; what the broker refuses, a new leader may have.
            raise KraftdError(
                f"cannot decode the batch at offset {offset} of partition {place[1]}: {error.str()}",
                hint="Read what follows it with --partition and --offset.",
                code="undecodable_batch",
            )

    def _pass(self, gap: Gap) -> None:
        place = gap.topic, gap.partition
        end = math.inf if self._until is None else self._until[place]
        if gap.begin < end and (place, gap.begin) not in self._told:
            self._told.add((place, gap.begin))
            self._on_gap(gap)
        if gap.is_end_known and gap.end < end:
            self._consumer.seek(load_library().TopicPartition(*place, gap.end))
            # Until the next record, the library tells the old position.
            self._starts[place] = gap.end
            self._behind_damage.setdefault(place, gap.begin)
        else:
            self.remaining.discard(place)


@dataclass(slots=True)
class _Reading:
    """A partition that is being read: where it is, and the messages that wait to fill a batch.

    Attributes:
        size_bytes: What the values of the messages hold.
        batch: How many of them fill a batch of records as large as those of the last one; fewer where they are larger.
    """

    end: int
    position: int
    messages: list[Any] = field(default_factory=list)
    size_bytes: int = 0
    batch: int = _FIRST_RECORDS
    is_done: bool = False

    @property
    def is_full(self) -> bool:
        """Whether what waits is to be given."""
        return self.is_done or len(self.messages) >= self.batch or self.size_bytes >= _BATCH_BYTES

    def add(self, messages: Sequence[Any]) -> None:
        """Take messages over; the length of one is that of its value, and map() calls for it through C."""
        self.messages += messages
        self.size_bytes += sum(map(len, messages))


class RecordReader:
    """Reads ranges of partitions; control records and records of aborted transactions are left out.

    Attributes:
        gaps: What could not be read so far, where that may be skipped.
    """

    def __init__(self, access: Access, *, may_pass_damage: bool = False, sources: Sources = _BROKERS) -> None:
        self._library = load_library()
        self._finder = sources.finder(access)
        self._may_pass_damage = may_pass_damage
        self.gaps: list[Gap] = []
        self._consumer = sources.consumer(
            reader_settings(access, "kraftd-backup")
            | {
                "isolation.level": "read_committed",
                "check.crcs": True,
                "fetch.message.max.bytes": 262144,
                # A fetch of what has been read to its end is answered after this time, and only then is one of what is
                # read next sent. With librdkafka's 500 ms, 200 partitions of a few records took 25 s.
                "fetch.wait.max.ms": 10,
                "queued.max.messages.kbytes": _QUEUED_KIB,
                "fetch.queue.backoff.ms": 5,
            }
        )

    def close(self) -> None:
        """End the connections."""
        self._consumer.close()

    def read(self, ranges: Mapping[TopicPartition, OffsetRange]) -> Iterator[tuple[TopicPartition, Records]]:
        """Yield the records of each range in batches, those of several partitions in turn.

        Raises:
            KafkaAccessError: The leaders do not answer for a minute, or a record cannot be read.
            UnreadableRecordsError: The log is damaged, and that may not be skipped.
        """
        waiting = iter([(each, found) for each, found in ranges.items() if found.begin < found.end])
        active: dict[TopicPartition, _Reading] = {}
        silent_s, at_once = 0.0, _FIRST_RECORDS
        if len({topic for topic, _ in ranges}) > 1:
            self._learn_leaders()
        while self._fill(active, waiting):
            messages = _arrived(self._consumer, at_once, _POLL_S)
            silent_s = 0.0 if messages else silent_s + _POLL_S
            if silent_s > _SILENT_S:
                names = ", ".join(sorted({name for name, _ in active}))
                raise KafkaUnavailableError(
                    f"cannot read {names}: nothing arrived for {_SILENT_S:g} s",
                    hint="'kraftd status' shows which brokers run.",
                )
            for place, run in _runs(messages):
                # What was fetched before its partition was left may still come.
                if (reading := active.get(place)) is not None:
                    self._take(place, reading, run)
            for gap in self._finder.stalled({place: each.position for place, each in active.items()}):
                self._pass(gap, active[gap.topic, gap.partition])
            for place, reading in active.items():
                if reading.messages and reading.is_full:
                    records = _columns(place, reading.messages)
                    reading.messages, reading.size_bytes, reading.batch = [], 0, _next_batch(records)
                    yield place, records
            at_once = min([reading.batch for reading in active.values()])

    def _learn_leaders(self) -> None:
        """Ask for the leaders of all topics at once; the reading itself waits for what has no answer.

        A topic that is assigned later waits for the library's next look at what it does not know, once a second.
        """
        with contextlib.suppress(self._library.KafkaException):
            self._consumer.list_topics(timeout=_METADATA_S)

    def _fill(
        self, active: dict[TopicPartition, _Reading], waiting: Iterator[tuple[TopicPartition, OffsetRange]]
    ) -> bool:
        """Leave the partitions that are done, and begin others; returns whether any is left."""
        done = [place for place, reading in active.items() if reading.is_done]
        if done:
            self._consumer.incremental_unassign([self._library.TopicPartition(*place) for place in done])
            for place in done:
                del active[place]
        begun = list(islice(waiting, _PARALLEL - len(active)))
        if begun:
            self._consumer.incremental_assign(
                [self._library.TopicPartition(*place, found.begin) for place, found in begun]
            )
            active.update({place: _Reading(found.end, found.begin) for place, found in begun})
        return bool(active)

    def _take(self, place: TopicPartition, reading: _Reading, messages: list[Any]) -> None:
        """Add the messages before the end; errors and the end of a partition come as messages too."""
        is_new = messages[0].offset() >= reading.position
        if is_new and not any(map(self._library.Message.error, messages)) and messages[-1].offset() + 1 < reading.end:
            reading.add(messages)
            reading.position = messages[-1].offset() + 1
            return
        for message in messages:
            error = message.error()
            if error is None and message.offset() < reading.position:
                # Beside damage, the library may begin again at the start of a log.
                continue
            if error is None and message.offset() < reading.end:
                reading.add([message])
            if error is None:
                reading.position = message.offset() + 1
                reading.is_done = reading.is_done or reading.position >= reading.end
            elif error.code() == self._library.KafkaError._PARTITION_EOF:  # noqa: SLF001 - a public constant
                # The last offsets may be those of control records, which are not given.
                reading.is_done = reading.is_done or message.offset() >= reading.end
            elif is_damage(error):
                # The library goes on within what is damaged.
                self._pass_reported(place, reading, message.offset(), error)
                return
            elif error.code() > 0 or error.name() in _FINAL:
                raise access_error(f"cannot read {place[0]}-{place[1]} at offset {message.offset()}", error)

    def _pass_reported(self, place: TopicPartition, reading: _Reading, offset: int, error: Any) -> None:
        gap = self._finder.reported(place, offset, error.str())
        if gap is None:
            raise access_error(f"cannot read {place[0]}-{place[1]} at offset {offset}", error)
        self._pass(gap, reading)

    def _pass(self, gap: Gap, reading: _Reading) -> None:
        begin, end = max(gap.begin, reading.position), min(gap.end, reading.end)
        if begin >= reading.end:
            # What cannot be read follows what is wanted.
            reading.is_done = True
            return
        # The library may report the same damage once more after it was skipped.
        if begin < end:
            found = replace(gap, begin=begin, end=end)
            if not self._may_pass_damage:
                raise UnreadableRecordsError(f"cannot read everything: {found}", details={"gap": asdict(found)})
            self.gaps.append(found)
            reading.position = end
        reading.is_done = not gap.is_end_known or reading.position >= reading.end
        if not reading.is_done:
            self._consumer.seek(self._library.TopicPartition(gap.topic, gap.partition, reading.position))


def _runs(messages: Sequence[Any]) -> Iterator[tuple[TopicPartition, list[Any]]]:
    """Yield the messages of one partition that came together; by calls through C, as these are many."""
    kind = load_library().Message
    places = zip(map(kind.topic, messages), map(kind.partition, messages), strict=True)
    for place, run in groupby(zip(places, messages, strict=True), operator.itemgetter(0)):
        yield place, [message for _, message in run]


def _columns(place: TopicPartition, messages: Sequence[Any]) -> Records:
    library = load_library()
    # Calls through C: a loop in Python takes twice the time, and a name that is not UTF-8 is raised at once.
    offsets = list(map(library.Message.offset, messages))
    times = list(map(library.Message.timestamp, messages))
    try:
        headers = list(map(library.Message.headers, messages))
    except (SystemError, UnicodeDecodeError) as error:
        # confluent-kafka does not give such a name; to leave it out would be a backup of something else.
        raise KafkaRejectedError(
            f"cannot read {place[0]}-{place[1]} between the offsets {offsets[0]} and {offsets[-1]}: "
            "the name of a header is not UTF-8",
            hint="Leave the topic out with --exclude.",
            code="unreadable_header",
        ) from error
    return Records(
        offsets,
        [time_ms if kind else -1 for kind, time_ms in times],
        [kind for kind, _ in times],
        list(map(library.Message.key, messages)),
        list(map(library.Message.value, messages)),
        {index: tuple(pairs) for index, pairs in enumerate(headers) if pairs} if any(headers) else {},
    )


def _next_batch(records: Records) -> int:
    return max(1, min(_MOST_RECORDS, _BATCH_BYTES * len(records) // max(records.size_bytes, 1)))
