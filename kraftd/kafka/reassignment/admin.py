"""The administrator that also moves partitions from broker to broker."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from kraftd.kafka.administration.administrator import Administrator
from kraftd.kafka.model import Failure, KafkaRejectedError, KafkaUnavailableError, TopicPartition
from kraftd.kafka.reassignment import requests
from kraftd.kafka.reassignment.requests import Reassignment
from kraftd.kafka.wire import Request, Response

V = TypeVar("V")


class ReassigningAdmin(Administrator):
    """A cluster's administrator for changes of its replicas."""

    def reassign(self, targets: Mapping[TopicPartition, tuple[int, ...]]) -> dict[TopicPartition, Failure]:
        """Give partitions other replicas, the preferred leader first; return the reason of each refusal.

        A reassignment of the same partition that is under way is replaced.

        Raises:
            KafkaAccessError: No broker answers, or none of it is accepted.
        """
        request = requests.reassign_request(targets, self._timeout_s)
        return _checked("cannot reassign partitions", requests.reassign_failures(self._any(request), self._opened))

    def reassignments(self) -> dict[TopicPartition, Reassignment]:
        """Return the reassignments that are under way.

        Raises:
            KafkaAccessError: No broker answers, or the one asked knows no controller.
        """
        response = self._any(requests.reassignments_request(self._timeout_s))
        return _checked("cannot list the reassignments", requests.reassignments_in(response, self._opened))

    def own_settings(self, names: Iterable[str]) -> dict[str, dict[str, str | None]]:
        """Return the settings that topics have themselves, by topic; those that follow the brokers are absent.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        names = tuple(names)
        found = self.configs(names).values if names else {}
        return {name: {each.name: each.value for each in entries if each.is_own} for name, entries in found.items()}

    def alter_topics(self, changes: Mapping[str, Mapping[str, str | None]]) -> dict[str, Failure]:
        """Set settings of topics and, where one is None, give the topic that of the brokers; return the refusals.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        found = {name: self.alter_configs(name, values) for name, values in changes.items()}
        return {name: failure for name, failure in found.items() if failure is not None}

    def unregister(self, node_id: int) -> Failure | None:
        """Make the cluster forget a broker that has ended; return the reason of a refusal.

        Raises:
            KafkaUnreachableError: No broker answers.
        """
        response = self._any(requests.unregister_request(node_id))
        return self._opened.failure_of(response.error_code, response.error_message)

    def _any(self, request: Request) -> Response:
        return self._opened.request_any(request)


def _checked(what: str, found: dict[TopicPartition, V] | Failure) -> dict[TopicPartition, V]:
    if isinstance(found, Failure):
        kind = KafkaUnavailableError if found.retriable else KafkaRejectedError
        raise kind(f"{what}: {found.text}", details={"error": found.error})
    return found
