"""What librdkafka cannot do, over kafka-python: the bytes of a batch that it cannot decode, and a leave for a member.

kafka-python takes 0.1 s to load, and most consumers never need it: this module is imported when it is first needed.
"""

import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from kafka import errors as kafka_errors
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.protocol.consumer import FetchRequest, LeaveGroupRequest
from kafka.protocol.metadata import CoordinatorType, FindCoordinatorRequest, MetadataRequest
from kafka.record.util import calc_crc32c

from kraftd.damage import Batch, Place, batch_at, place_of
from kraftd_apps.common.settings import KafkaSettings

for _name in ("kafka.net", "kafka.cluster", "kafka.future"):
    # What fails is raised, and logged by the caller.
    logging.getLogger(_name).setLevel(logging.CRITICAL)

_CLIENT_ID = "kraftd-consumer-batches"
_MOST_BYTES = 100_000_000
_BROKER_TIMEOUT_S = 1.0
_FETCH_VERSIONS = (4, 12)
"""Later ones name topics by id."""
_METADATA_VERSIONS = (4, 9)
_FIND_COORDINATOR_VERSIONS = (1, 3)
"""Later ones ask for several groups at once."""
_LEAVE_VERSIONS = (3, 4)
_GONE = {kafka_errors.UnknownMemberIdError.errno, kafka_errors.GroupIdNotFoundError.errno}
_PROPERTIES = {
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
}
"""The properties of librdkafka that kafka-python needs too, and its names of them."""
# The library raises RuntimeError where a connection is closed during a request.
_ERRORS = (kafka_errors.KafkaError, OSError, RuntimeError, ValueError)


def fetch_batch(kafka: KafkaSettings, partition: int, offset: int, timeout_s: float) -> Batch | None:
    """Return the batch of a partition that contains an offset, or the next one; None at the end of the log. Blocks.

    Opens a connection for each call, because damage is rare.

    Raises:
        KafkaException: The brokers do not answer in time, or refuse.
    """
    with _connected(kafka, timeout_s) as (manager, answer):
        leader = answer(_leader(manager, kafka.topic, partition))
        return batch_at(lambda at: answer(_place(manager, leader, kafka.topic, partition, at)), offset)


def leave_group(kafka: KafkaSettings, group: str, member_id: str, timeout_s: float) -> None:
    """Take a member of the classic protocol out of its group, as its own leave would; nothing if it is not one. Blocks.

    Raises:
        KafkaException: The brokers do not answer in time, or refuse.
    """
    with _connected(kafka, timeout_s) as (manager, answer):
        answer(_leave(manager, group, member_id))


Answer = Callable[[Coroutine[Any, Any, Any]], Any]
"""Returns what a request in preparation is answered."""


@contextmanager
def _connected(kafka: KafkaSettings, timeout_s: float) -> Iterator[tuple[KafkaConnectionManager, Answer]]:
    """Connect, and close the connections afterwards; all answers together take this time at most."""
    net = NetworkSelector(client_id=_CLIENT_ID)
    try:
        manager = KafkaConnectionManager(net, **_connection(kafka, timeout_s))
        deadline_s = time.monotonic() + timeout_s

        def answer(work: Coroutine[Any, Any, Any]) -> Any:
            return manager.run(_within, manager, work, max(0.0, deadline_s - time.monotonic()))

        try:
            yield manager, answer
        finally:
            manager.close()
    except kafka_errors.KafkaTimeoutError as error:
        raise _failure(KafkaError._TIMED_OUT, error) from error  # noqa: SLF001 - a public constant
    except _ERRORS as error:
        code = error.errno if isinstance(error, kafka_errors.BrokerResponseError) else KafkaError._TRANSPORT  # noqa: SLF001
        raise _failure(code, error) from error
    finally:
        net.close()


async def _within(manager: KafkaConnectionManager, work: Any, timeout_s: float) -> Any:
    return await manager.wait_for(manager.call_soon(work), timeout_s * 1000)


async def _place(manager: KafkaConnectionManager, leader: int, topic: str, partition: int, offset: int) -> Place:
    """Return what is at an offset; the first batch comes whole, whatever the limits."""
    limits = {"max_bytes": 1, "min_bytes": 0, "max_wait_ms": 0}
    asked = FetchRequest.FetchTopic.FetchPartition(partition=partition, fetch_offset=offset, partition_max_bytes=1)
    topics = [FetchRequest.FetchTopic(topic=topic, partitions=[asked])]
    response = await _send(
        manager, leader, FetchRequest(topics=topics, isolation_level=0, **limits, **_between(_FETCH_VERSIONS))
    )
    _check(response.error_code)
    if not response.responses:
        raise kafka_errors.KafkaTimeoutError("the broker throttles this client")
    found = response.responses[0].partitions[0]
    place = place_of(found, offset, calc_crc32c)
    if place is None:
        raise kafka_errors.for_code(found.error_code)
    return place


async def _leader(manager: KafkaConnectionManager, topic: str, partition: int) -> int:
    """Return the id of the partition's leader, asking the bootstrap servers one after the other."""
    topics = [MetadataRequest.MetadataRequestTopic(name=topic)]
    request = MetadataRequest(topics=topics, allow_auto_topic_creation=False, **_between(_METADATA_VERSIONS))
    metadata = await _send_to_any(manager, request)
    manager.cluster.update_metadata(metadata)
    leaders = {each.partition_index: each.leader_id for found in metadata.topics for each in found.partitions}
    if partition not in leaders:
        raise kafka_errors.UnknownTopicOrPartitionError
    return int(leaders[partition])


async def _leave(manager: KafkaConnectionManager, group: str, member_id: str) -> None:
    found = await _send_to_any(manager, FindCoordinatorRequest(key=group, **_between(_FIND_COORDINATOR_VERSIONS)))
    coordinator = manager.cluster.add_coordinator(found, CoordinatorType.GROUP, group)
    members = [LeaveGroupRequest.MemberIdentity(member_id=member_id)]
    request = LeaveGroupRequest(group_id=group, members=members, **_between(_LEAVE_VERSIONS))
    response = await _send(manager, coordinator, request)
    for code in (response.error_code, *(member.error_code for member in response.members)):
        if code not in _GONE:
            _check(code)


async def _send_to_any(manager: KafkaConnectionManager, request: Any) -> Any:
    """Return the answer of the first bootstrap server that answers."""
    failure: Exception = kafka_errors.KafkaConnectionError("no bootstrap server")
    for broker in manager.cluster.bootstrap_brokers():
        try:
            return await _within(manager, _send(manager, broker.node_id, request), _BROKER_TIMEOUT_S)
        except _ERRORS as error:
            failure = error
    raise failure


async def _send(manager: KafkaConnectionManager, name: Any, request: Any) -> Any:
    # Otherwise a lost connection starts the library's own loop of metadata requests.
    return await manager.get_connection(name, refresh_metadata_on_err=False).send_request(request)


def _between(versions: tuple[int, int]) -> dict[str, int]:
    return dict(zip(("min_version", "max_version"), versions, strict=True))


def _check(error_code: int) -> None:
    if error_code:
        raise kafka_errors.for_code(error_code)


def _connection(kafka: KafkaSettings, timeout_s: float) -> dict[str, Any]:
    properties = {_PROPERTIES[name]: value for name, value in kafka.client_config.items() if name in _PROPERTIES}
    if "security_protocol" in properties:
        properties["security_protocol"] = str(properties["security_protocol"]).upper()
    return {
        "bootstrap_servers": kafka.bootstrap_servers.split(","),
        "client_id": _CLIENT_ID,
        "request_timeout_ms": round(timeout_s * 1000),
        "socket_connection_setup_timeout_ms": round(_BROKER_TIMEOUT_S * 1000),
        "receive_message_max_bytes": _MOST_BYTES,
        **properties,
    }


def _failure(code: int, error: Exception) -> KafkaException:
    return KafkaException(KafkaError(code, str(error)))
