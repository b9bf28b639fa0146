"""A wire whose brokers answer from a script."""

from collections import Counter
from types import SimpleNamespace

from kraftd.kafka.model import Failure, KafkaUnreachableError

CODES = {
    1: ("OFFSET_OUT_OF_RANGE", False),
    2: ("CORRUPT_MESSAGE", True),
    3: ("UNKNOWN_TOPIC_OR_PARTITION", True),
    6: ("NOT_LEADER_OR_FOLLOWER", True),
    15: ("COORDINATOR_NOT_AVAILABLE", True),
    16: ("NOT_COORDINATOR", True),
    25: ("UNKNOWN_MEMBER_ID", False),
    36: ("TOPIC_ALREADY_EXISTS", False),
    38: ("INVALID_REPLICATION_FACTOR", False),
    41: ("NOT_CONTROLLER", True),
    69: ("GROUP_ID_NOT_FOUND", False),
    80: ("PREFERRED_LEADER_NOT_AVAILABLE", True),
    84: ("ELECTION_NOT_NEEDED", True),
}
TIMED_OUT = Failure("TIMED_OUT", "no answer within 3 s", retriable=True)


def failure(code, message=None):
    name, retriable = CODES[code]
    return Failure(name, message or name.lower().replace("_", " "), retriable)


def record(**fields):
    return SimpleNamespace(**fields)


class FakeWire:
    """Answers by (node id, api), or by api for any node.

    An answer is a record, a Failure, a list of these to be used up one by one (the last one stays), or a function of
    the request.
    """

    def __init__(self, answers):
        self.answers = answers
        self.asked = []
        self.learned = []
        self.requests = Counter()
        self.closed = False

    def request_each(self, requests):
        return [self._answer(node_id, request) for node_id, request in requests]

    def request_each_timed(self, requests):
        return [(answer, 0.25) for answer in self.request_each(requests)]

    def request_any(self, request):
        answer = self._answer(None, request)
        if isinstance(answer, Failure):
            raise KafkaUnreachableError(f"cannot reach Kafka: {answer.text}")
        return answer

    def checksum(self, content):
        return 0

    def add_brokers(self, metadata):
        self.learned.append([broker.node_id for broker in metadata.brokers])

    def failure_of(self, error_code, message=None):
        return None if error_code == 0 else failure(error_code, message)

    def assigned_partitions(self, assignment):
        return assignment

    def record_batch(self, value, time_ms):
        return (value, time_ms)

    def record_values(self, batches):
        return batches

    def close(self):
        self.closed = True

    def _answer(self, node_id, request):
        self.asked.append((node_id, request))
        self.requests[request.api] += 1
        answer = self.answers.get((node_id, request.api), self.answers.get(request.api))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return answer(request) if callable(answer) else answer


def metadata(topics=(), brokers=(1, 2)):
    return record(
        brokers=[record(node_id=node_id, host="127.0.0.1", port=9091 + node_id) for node_id in brokers],
        topics=list(topics),
    )


def topic(name, *partitions, error_code=0, internal=False):
    """A topic of a Metadata response; partitions are (leader, replicas, in sync) in order of index."""
    return record(
        name=name,
        topic_id=None,
        error_code=error_code,
        is_internal=internal,
        partitions=[
            record(partition_index=index, error_code=0, leader_id=leader, replica_nodes=replicas, isr_nodes=in_sync)
            for index, (leader, replicas, in_sync) in enumerate(partitions)
        ],
    )
