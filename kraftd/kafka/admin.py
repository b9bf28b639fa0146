"""The administrator of a running cluster: calls bounded in time, with partial results if a part of it is down.

Importing this module does not import kafka-python; opening a KafkaAdmin does.
"""

import operator
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

from kraftd import damage
from kraftd.clock import Clock, SystemClock
from kraftd.kafka import groups as group_calls
from kraftd.kafka import quorum as quorum_calls
from kraftd.kafka import topics as topic_calls
from kraftd.kafka.creation import TopicCreation
from kraftd.kafka.log import (
    LATEST,
    IsolationLevel,
    Question,
    batches_from,
    describe_log_dirs,
    mixed_offsets,
    offsets_at,
    open_transactions,
    place_at,
)
from kraftd.kafka.model import (
    BrokerEndpoint,
    ClusterMetadata,
    Failure,
    FetchedBatches,
    Groups,
    GroupState,
    KafkaAccessError,
    KafkaRejectedError,
    KafkaUnavailableError,
    LogDir,
    OpenTransaction,
    Partial,
    Partition,
    Quorum,
    RoundTrip,
    TopicOutcome,
    TopicPartition,
    TopicState,
)
from kraftd.kafka.round_trip import round_trips
from kraftd.kafka.wire import NO_LEADER, Wire
from kraftd.plan.kinds import MIN_IN_SYNC_REPLICAS
from kraftd.plan.plan import Access, Topic


def load_client() -> None:
    """Import kafka-python now, so that the first open() is fast."""
    with warnings.catch_warnings():
        # kafka-python 3.0 loads its schemas with a function that Python 3.11 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        import kraftd.kafka.connection  # noqa: F401, PLC0415 - 0.15 s of CPU, not for 'kraftd status'


Connect = Callable[[Access, float, str], Wire]
"""Makes an open wire from the access to a cluster, a time limit in seconds and a client id."""


class KafkaAdmin:
    """One cluster's administrator: a context manager, usable from several threads.

    A call raises if it has nothing at all to return; if a broker, topic, partition or group fails, its value is absent
    and the reason is among the failures.
    """

    def __init__(
        self,
        access: Access,
        *,
        timeout_s: float = 3.0,
        client_id: str = "kraftd",
        clock: Clock | None = None,
        connect: Connect | None = None,
    ) -> None:
        """Store the arguments; open() connects.

        The time limit is that of one request; a call makes up to three rounds of
        requests. create_topics waits with the clock. Tests replace kafka-python through connect.
        """
        self._access = access
        self._timeout_s = timeout_s
        self._client_id = client_id
        self._clock = clock or SystemClock()
        self._connect = connect or _connect_kafka_python
        self._wire: Wire | None = None

    def open(self) -> None:
        """Load kafka-python and start its thread; does not need a running broker."""
        if self._wire is None:
            self._wire = self._connect(self._access, self._timeout_s, self._client_id)

    def close(self) -> None:
        """Close every connection; the administrator can be opened again."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def requests(self) -> Mapping[str, int]:
        """Return the number of requests since open(), by Kafka's name of the API; empty before it."""
        return dict(self._wire.requests) if self._wire is not None else {}

    def brokers(self) -> tuple[BrokerEndpoint, ...]:
        """Return the brokers that the cluster counts as alive, killed ones until their session times out.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        return self.metadata(()).brokers

    def topics(self, names: Iterable[str] | None = None) -> Partial[str, TopicState]:
        """Return the named topics, or all; a topic that does not exist is a failure.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        return self.metadata(names).topics

    def metadata(self, names: Iterable[str] | None = None) -> ClusterMetadata:
        """Return the live brokers and the named topics, or all, in one request.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        response = self._opened.request_any(topic_calls.metadata_request(names))
        self._opened.add_brokers(response)
        return ClusterMetadata(topic_calls.brokers_in(response), topic_calls.topics_in(response, self._opened))

    def quorum(self) -> Quorum:
        """Return the controllers' quorum.

        Raises:
            KafkaUnreachableError: No broker answers.
            KafkaUnavailableError: The broker knows no leader of the quorum.
        """
        found = quorum_calls.quorum_in(self._opened.request_any(quorum_calls.quorum_request()), self._opened)
        if isinstance(found, Failure):
            raise access_error("cannot read the state of the quorum", found)
        return found

    def create_topics(self, declared: Sequence[Topic], limit_s: float) -> tuple[TopicOutcome, ...]:
        """Create the missing topics and wait until every partition has a leader that every broker knows.

        An existing topic is not changed; its outcome lists the differences from its declaration.
        A topic that is not ready after limit_s has a failure in its outcome.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        return TopicCreation(self._opened, self._clock, declared, limit_s).run()

    def add_partitions(
        self, topic: TopicState, added: Sequence[Sequence[int]], through: int, *, validate_only: bool = False
    ) -> Failure | None:
        """Add a partition to a topic for each list of replicas; existing partitions are not changed.

        The request goes through one broker, by its node id. Returns the reason of a refusal; None for success.
        """
        request = topic_calls.create_partitions_request(topic, added, self._timeout_s, validate_only=validate_only)
        (answer,) = self._opened.request_each([(through, request)])
        return answer if isinstance(answer, Failure) else topic_calls.create_partitions_failure(answer, self._opened)

    def min_in_sync_replicas(self, names: Iterable[str]) -> Partial[str, int]:
        """Return the effective min.insync.replicas of topics.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        names = tuple(names)
        if not names:
            return Partial()
        response = self._opened.request_any(topic_calls.settings_request(names, [MIN_IN_SYNC_REPLICAS]))
        settings = topic_calls.settings_in(response, self._opened)
        values = {name: int(of_topic[MIN_IN_SYNC_REPLICAS]) for name, of_topic in settings.values.items()}
        return Partial(values, settings.failures)

    def groups(self, brokers: Iterable[BrokerEndpoint] | None = None) -> Groups:
        """Return every group, with the members of classic, consumer, share and streams groups.

        The brokers are those of this cycle's metadata; without them, metadata is requested.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        asked = self.brokers() if brokers is None else brokers
        return group_calls.list_groups(self._opened, [broker.node_id for broker in asked])

    def committed(self, groups: Iterable[GroupState]) -> Partial[str, dict[TopicPartition, int]]:
        """Return every committed offset of each group but share groups, by group; request end offsets only after these.

        The groups come from groups(), in this cycle, because they carry their coordinators.
        """
        return group_calls.committed(self._opened, groups, operator.attrgetter("committed_offset"))

    def end_offsets(
        self,
        partitions: Iterable[Partition],
        isolation_level: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
    ) -> Partial[TopicPartition, int]:
        """Return the next offset of each partition, or with READ_COMMITTED its last stable offset.

        The partitions come from topics(), in this cycle, because they carry their leaders.
        """
        return offsets_at(self._opened, partitions, LATEST, isolation_level)

    def mixed_offsets(self, questions: Iterable[Question]) -> Partial[TopicPartition, int]:
        """Return start offsets of some partitions and offsets at times of others, in one round of requests.

        A partition without a record at its time or later is absent, without a failure.
        """
        return mixed_offsets(self._opened, questions, IsolationLevel.READ_UNCOMMITTED)

    def batches_from(self, questions: Iterable[tuple[Partition, int]]) -> Partial[TopicPartition, FetchedBatches]:
        """Return the headers of the next batches from an offset of each partition on, in one round of requests."""
        return batches_from(self._opened, questions)

    def look_into(self, place: TopicPartition) -> damage.Look:
        """Return the function that tells what is at an offset of a partition; it raises KafkaAccessError.

        Raises:
            KafkaAccessError: No broker answers, or the partition is not known.
        """
        topic, index = place
        found = self.metadata([topic]).topics
        partitions = found.values[topic].partitions if topic in found.values else ()
        partition = next((each for each in partitions if each.partition == index), None)
        if partition is None:
            raise access_error(f"cannot read the log of {topic}-{index}", found.failures.get(topic, NO_LEADER))

        def look(offset: int) -> damage.Place:
            answer = place_at(self._opened, partition, offset)
            if isinstance(answer, Failure):
                raise access_error(f"cannot read the log of {topic}-{index}", answer)
            return answer

        return look

    def open_transactions(
        self, partitions: Iterable[Partition], brokers: Iterable[BrokerEndpoint]
    ) -> Partial[TopicPartition, OpenTransaction]:
        """Return the oldest open transaction of each partition, in up to three rounds of requests."""
        return open_transactions(self._opened, partitions, [broker.node_id for broker in brokers])

    def log_dirs(self, brokers: Iterable[BrokerEndpoint]) -> Partial[int, tuple[LogDir, ...]]:
        """Return each broker's log directories, by node id."""
        return describe_log_dirs(self._opened, [broker.node_id for broker in brokers])

    def round_trips(self, partitions: Sequence[Partition], value: bytes) -> Partial[int, RoundTrip]:
        """Write a value through each broker to the canary topic and read it back; see round_trip."""
        return round_trips(self._opened, partitions, value, self._clock.now_s(), self._timeout_s)

    @property
    def _opened(self) -> Wire:
        if self._wire is None:
            raise RuntimeError("KafkaAdmin is used before open()")
        return self._wire


def _connect_kafka_python(access: Access, timeout_s: float, client_id: str) -> Wire:
    load_client()
    from kraftd.kafka.connection import KafkaPythonWire  # noqa: PLC0415 - as in load_client

    wire = KafkaPythonWire(access, timeout_s=timeout_s, client_id=client_id)
    wire.open()
    return wire


def access_error(what: str, failure: Failure) -> KafkaAccessError:
    """Return the error of a call that has nothing to return, because Kafka refused it."""
    kind = KafkaUnavailableError if failure.retriable else KafkaRejectedError
    hint = "'kraftd status' shows which brokers run." if failure.retriable else ""
    return kind(f"{what}: {failure.text}", hint=hint, details={"error": failure.error})
