"""kafka-python as it is, to show what it does; imported here so that its warning meets no test."""

import contextlib
import warnings

from kraftd.kafka.admin import load_client
from kraftd.kafka.log import EARLIEST
from tests.harness import eventually

with warnings.catch_warnings():
    # kafka-python 3.0 reads its schemas with a function that Python 3.11 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka import KafkaAdminClient, KafkaProducer, OffsetAndMetadata, TopicPartition
    from kafka.admin import ConfigResource, ConfigResourceType
    from kafka.errors import (
        CoordinatorNotAvailableError,
        KafkaError,
        NoError,
        NotCoordinatorError,
        UnknownTopicOrPartitionError,
    )
    from kafka.protocol.consumer import OffsetSpec

__all__ = [
    "ConfigResource",
    "ConfigResourceType",
    "CoordinatorNotAvailableError",
    "KafkaError",
    "KafkaProducer",
    "NotCoordinatorError",
    "OffsetAndMetadata",
    "OffsetSpec",
    "TopicPartition",
    "UnknownTopicOrPartitionError",
    "commit",
    "library_client",
    "offsets_at",
    "partitions_of",
    "produce",
    "start_offsets",
]


@contextlib.contextmanager
def library_client(bootstrap_servers, **options):
    """The library's own admin client; its sockets are kraftd's, which are closed when a broker refuses them.

    The library leaves those to the garbage collector, whose warning would fail whichever test runs at that moment.
    """
    load_client()
    client = KafkaAdminClient(bootstrap_servers=bootstrap_servers.split(","), proxy_url="direct://", **options)
    try:
        yield client
    finally:
        client.close()


def commit(client, group, offsets):
    """Commit offsets by (topic, partition), and wait while the coordinator is not there yet."""
    commits = {TopicPartition(*key): OffsetAndMetadata(offset, "", -1) for key, offset in offsets.items()}

    def committed():
        try:
            return set(client.alter_group_offsets(group, commits).values()) == {NoError}
        except (CoordinatorNotAvailableError, NotCoordinatorError):
            return False

    eventually(committed)


def produce(nodes, topic, counts):
    """Write so many records to each partition."""
    producer = KafkaProducer(bootstrap_servers=nodes.bootstrap_servers.split(","))
    try:
        futures = [
            producer.send(topic.name, b"x", partition=partition)
            for partition, count in counts.items()
            for _ in range(count)
        ]
        for future in futures:
            future.get(20)
    finally:
        producer.close()


def partitions_of(admin, *names):
    return [partition for topic in admin.topics(names).values.values() for partition in topic.partitions]


def start_offsets(admin, partitions):
    """Ask the leaders for the first offset that each partition still has."""
    return admin.mixed_offsets([(partition, EARLIEST) for partition in partitions])


def offsets_at(admin, partitions, time_s):
    """Ask the leaders for each partition's first offset that is not older than a time."""
    return admin.mixed_offsets([(partition, round(time_s * 1000)) for partition in partitions])
