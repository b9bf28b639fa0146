"""What a scratch broker is used for while its archive is trained: the calls of a node's first minute."""

from kraftd.errors import KraftdError

_TOPIC = "scratch"
_RECORDS = 20
_TIMEOUT_S = 15.0


def run_workload(bootstrap_servers: str) -> None:
    """Create a topic, write to it and read it back in a group, so that the classes for that are in the archive.

    Raises:
        KraftdError: The broker does not do it.
    """
    # Imported here: kafka-python takes longer to import than a start that trains nothing should wait.
    from kafka.errors import KafkaError  # noqa: PLC0415 - see above

    try:
        _create_topic(bootstrap_servers)
        _write(bootstrap_servers)
        _read(bootstrap_servers)
    except KafkaError as error:
        raise KraftdError(f"cannot use the scratch broker at {bootstrap_servers}: {error}") from error


def _create_topic(bootstrap_servers: str) -> None:
    from kafka.admin import KafkaAdminClient, NewTopic  # noqa: PLC0415 - see run_workload

    admin = KafkaAdminClient(bootstrap_servers=bootstrap_servers)
    admin.create_topics([NewTopic(_TOPIC, num_partitions=1, replication_factor=1)])
    admin.close()


def _write(bootstrap_servers: str) -> None:
    from kafka import KafkaProducer  # noqa: PLC0415 - see run_workload

    producer = KafkaProducer(bootstrap_servers=bootstrap_servers, compression_type="gzip", enable_idempotence=True)
    for number in range(_RECORDS):
        producer.send(_TOPIC, b"%d" % number)
    producer.flush(timeout=_TIMEOUT_S)
    producer.close()


def _read(bootstrap_servers: str) -> None:
    from kafka import KafkaConsumer  # noqa: PLC0415 - see run_workload

    consumer = KafkaConsumer(
        _TOPIC,
        bootstrap_servers=bootstrap_servers,
        group_id=_TOPIC,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    consumer.poll(timeout_ms=int(_TIMEOUT_S * 1000))
    consumer.commit()
    consumer.close()
