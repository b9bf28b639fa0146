"""The load of a scratch broker while its archive is trained: what the apps do, through the client of the apps.

Imported by a training only: the client costs a start 25 ms.
"""

from collections.abc import Iterable
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from kraftd.errors import KraftdError
from kraftd.plan.plan import Access

_TOPIC = "scratch"
_RECORDS = 20
_TIMEOUT_S = 60.0


def run_workload(access: Access) -> None:
    """Create a topic, write to it and read it back in a group, so that the archive has the classes for that.

    Raises:
        KraftdError: The broker refuses, or does not answer in time.
    """
    client = {"bootstrap.servers": access.bootstrap_servers, **dict(access.properties), "log_level": 0}
    try:
        _create_topic(client)
        _write(client)
        _read(client)
    except KafkaException as error:
        raise KraftdError(f"cannot use the scratch broker at {access.bootstrap_servers}: {error}") from error


def _create_topic(client: dict[str, Any]) -> None:
    admin = AdminClient(client)
    _wait_for(admin.create_topics([NewTopic(_TOPIC, num_partitions=1, replication_factor=1)]).values())
    _wait_for([admin.describe_cluster(), admin.list_consumer_groups()])


def _write(client: dict[str, Any]) -> None:
    producer = Producer({**client, "enable.idempotence": True, "compression.type": "gzip"})
    for number in range(_RECORDS):
        producer.produce(_TOPIC, b"%d" % number)
    left = producer.flush(_TIMEOUT_S)
    if left:
        raise KraftdError(f"cannot write to the scratch broker: {left} records are not acknowledged")


def _read(client: dict[str, Any]) -> None:
    consumer = Consumer({**client, "group.id": _TOPIC, "auto.offset.reset": "earliest", "enable.auto.commit": False})
    try:
        consumer.subscribe([_TOPIC])
        messages = consumer.consume(_RECORDS, _TIMEOUT_S)
        if len(messages) < _RECORDS:
            raise KraftdError(f"cannot read from the scratch broker: {len(messages)} of {_RECORDS} records came")
        consumer.commit(asynchronous=False)
    finally:
        consumer.close()


def _wait_for(futures: Iterable[Any]) -> None:
    for future in futures:
        future.result(_TIMEOUT_S)
