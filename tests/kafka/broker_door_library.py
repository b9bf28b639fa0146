"""kafka-python as it is, to show what it does; imported here so that its warning meets no test."""

import warnings

from tests.kafka.broker_door_nodes import wait_until

with warnings.catch_warnings():
    # kafka-python 3.0 reads its schemas with a function that Python 3.11 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka import KafkaAdminClient, KafkaProducer, OffsetAndMetadata, TopicPartition
    from kafka.errors import (
        CoordinatorNotAvailableError,
        KafkaError,
        NoError,
        NotCoordinatorError,
        UnknownTopicOrPartitionError,
    )
    from kafka.protocol.consumer import OffsetSpec

__all__ = [
    "CoordinatorNotAvailableError",
    "KafkaAdminClient",
    "KafkaError",
    "KafkaProducer",
    "NotCoordinatorError",
    "OffsetAndMetadata",
    "OffsetSpec",
    "TopicPartition",
    "UnknownTopicOrPartitionError",
    "commit",
]


def commit(client, group, offsets):
    """Commit offsets by (topic, partition), and wait while the coordinator is not there yet."""
    commits = {TopicPartition(*key): OffsetAndMetadata(offset, "", -1) for key, offset in offsets.items()}

    def committed():
        try:
            return set(client.alter_group_offsets(group, commits).values()) == {NoError}
        except (CoordinatorNotAvailableError, NotCoordinatorError):
            return False

    wait_until(committed)
