"""Creation of declared topics, with a wait until they are usable."""

from collections.abc import Mapping, Sequence
from itertools import cycle

from kraftd.clock import Clock
from kraftd.kafka.model import Failure, Partial, TopicOutcome, TopicState
from kraftd.kafka.topics import (
    ALREADY_EXISTS,
    brokers_in,
    creation_failures_in,
    creation_request,
    differences,
    metadata_request,
    not_ready,
    topics_in,
)
from kraftd.kafka.wire import Request, Response, Wire
from kraftd.plan.plan import Topic

_POLL_S = 0.01
_RETRY_S = 0.1
_UNCLEAR = frozenset({"TIMED_OUT", "CONNECTION_FAILED", "REQUEST_TIMED_OUT"})
"""The errors after which a topic may have been created, or still will be."""


class TopicCreation:
    """Creates the missing ones of the declared topics and waits until all are usable."""

    def __init__(self, wire: Wire, clock: Clock, declared: Sequence[Topic], limit_s: float) -> None:
        self._wire = wire
        self._clock = clock
        self._declared = declared
        self._limit_s = limit_s
        self._names = [topic.name for topic in declared]

    def run(self) -> tuple[TopicOutcome, ...]:
        """Return the outcome of each topic, in the order of declaration.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        deadline_s = self._clock.monotonic_s() + self._limit_s
        metadata = self._first_metadata(deadline_s)
        self._wire.add_brokers(metadata)
        broker_ids = [broker.node_id for broker in brokers_in(metadata)]
        before = topics_in(metadata, self._wire).values
        missing = [topic for topic in self._declared if topic.name not in before]
        created, failures = self._create(missing, broker_ids, deadline_s)
        if missing and broker_ids:
            self._prepare_clients(broker_ids)
        expected = [name for name in self._names if name not in failures]
        states, reasons = self._wait(expected, broker_ids, deadline_s)
        failures |= {name: Failure("NOT_READY", reason, retriable=True) for name, reason in reasons.items()}
        others = {name: state for name, state in {**states, **before}.items() if name not in created}
        return tuple(
            TopicOutcome(
                name=topic.name,
                created=topic.name in created,
                differences=differences(topic, others[topic.name]) if topic.name in others else (),
                failure=failures.get(topic.name),
            )
            for topic in self._declared
        )

    def _first_metadata(self, deadline_s: float) -> Response:
        """Return metadata with brokers: a broker that just opened its port may not even know itself."""
        while True:
            metadata = self._wire.request_any(metadata_request(self._names))
            if brokers_in(metadata) or self._clock.monotonic_s() >= deadline_s:
                return metadata
            self._clock.sleep(_POLL_S)

    def _create(
        self, missing: Sequence[Topic], broker_ids: Sequence[int], deadline_s: float
    ) -> tuple[set[str], dict[str, Failure]]:
        """Return the names of the created topics, and the failures by topic; any broker forwards to the controller.

        A topic that exists by now is in neither: somebody else made it, but for one that an unclear request had made.
        """
        created: set[str] = set()
        unclear: set[str] = set()
        refused: dict[str, Failure] = {}
        pending: dict[str, Failure] = {}
        todo = list(missing)
        for node_id in cycle(broker_ids):
            remaining_s = deadline_s - self._clock.monotonic_s()
            if not todo or remaining_s <= 0:
                break
            if pending:
                self._clock.sleep(_RETRY_S)
            found = self._create_through(node_id, todo, remaining_s)
            existing = {name for name, failure in found.items() if failure.error == ALREADY_EXISTS}
            created |= {topic.name for topic in todo if topic.name not in found} | (existing & unclear)
            refused |= {name: each for name, each in found.items() if not each.retriable and name not in existing}
            pending = {name: failure for name, failure in found.items() if failure.retriable}
            unclear |= {name for name, failure in pending.items() if failure.error in _UNCLEAR}
            todo = [topic for topic in todo if topic.name in pending]
        return created, refused | pending

    def _create_through(self, node_id: int, topics: Sequence[Topic], remaining_s: float) -> dict[str, Failure]:
        (answer,) = self._wire.request_each([(node_id, creation_request(topics, remaining_s))])
        if isinstance(answer, Failure):
            return {topic.name: answer for topic in topics}
        return creation_failures_in(answer, self._wire)

    def _prepare_clients(self, broker_ids: Sequence[int]) -> None:
        """Trigger the work that the first clients would otherwise wait for; the responses do not matter.

        Each broker fetches its block of producer ids. That also writes to the metadata log, and before Kafka 4.1 the
        other nodes learn of the topics only with the next write, or after 0.5 s: measured 60 ms instead of 330 ms.
        One broker creates the offsets topic while the apps load: a consumer that finds it missing retries only after
        0.5 s.
        """
        producer_ids = Request("InitProducerId", {"transactional_id": None, "transaction_timeout_ms": 60_000})
        coordinator = Request("FindCoordinator", {"key_type": 0, "coordinator_keys": ["any"]}, min_version=4)
        self._wire.request_each([*((node_id, producer_ids) for node_id in broker_ids), (broker_ids[0], coordinator)])

    def _wait(
        self, names: Sequence[str], broker_ids: Sequence[int], deadline_s: float
    ) -> tuple[Mapping[str, TopicState], dict[str, str]]:
        """Poll every broker until all of them know the topics and their leaders.

        One broker is not enough: with Kafka 3.9 the others may learn of a topic up to 0.5 s later, and a leader that
        does not yet know its role refuses the first records.
        """
        states: dict[str, TopicState] = {}
        asked = list(broker_ids)
        while names:
            answers = self._wire.request_each([(node_id, metadata_request(names)) for node_id in asked])
            views: dict[int, Partial[str, TopicState]] = {}
            alive: set[int] = set()
            for node_id, answer in zip(asked, answers, strict=True):
                if not isinstance(answer, Failure):
                    self._wire.add_brokers(answer)
                    views[node_id] = topics_in(answer, self._wire)
                    states |= views[node_id].values
                    alive |= {broker.node_id for broker in brokers_in(answer)}
            # A broker that has just started may know only itself.
            asked = sorted(alive) or asked
            reasons = not_ready(names, views) if views else dict.fromkeys(names, "no broker answers")
            if not reasons or self._clock.monotonic_s() >= deadline_s:
                return states, reasons
            self._clock.sleep(_POLL_S)
        return states, {}
