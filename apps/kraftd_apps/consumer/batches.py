"""Record batches as they are in the log, over kafka-python: librdkafka hands out no bytes of what it cannot decode.

kafka-python takes 0.1 s to load, and most consumers never need it: this module is imported when it is first needed.
"""

import logging
import struct
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from kafka import errors as kafka_errors
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.protocol.consumer import FetchRequest
from kafka.protocol.metadata import MetadataRequest
from kafka.record.util import calc_crc32c

from kraftd_apps.common.kafka import KafkaSettings
from kraftd_apps.consumer.damage import DAMAGED, MISPLACED, NOT_FOUND, REFUSED, UNKNOWN_FORMAT, Batch

for _name in ("kafka.net", "kafka.cluster"):
    # What fails is raised, and logged by the caller.
    logging.getLogger(_name).setLevel(logging.CRITICAL)

# Base offset, length, leader epoch, magic, checksum, attributes, last offset delta.
_HEADER = struct.Struct(">qiibIhi")
_LENGTH_FROM = 12
_OLD_CHECKED_FROM = 16
_CHECKED_FROM = 21
_MAGIC = 2
_CLIENT_ID = "kraftd-consumer-batches"
_MOST_BYTES = 100_000_000
_BROKER_TIMEOUT_S = 1.0
_FETCH_VERSIONS = (4, 12)
"""Later ones name topics by id."""
_METADATA_VERSIONS = (4, 9)
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
    net = NetworkSelector(client_id=_CLIENT_ID)
    try:
        manager = KafkaConnectionManager(net, **_connection(kafka, timeout_s))
        try:
            work = _batch_at(manager, kafka.topic, partition, offset)
            found: Batch | None = manager.run(_within, manager, work, timeout_s)
        finally:
            manager.close()
    except kafka_errors.KafkaTimeoutError as error:
        raise _failure(KafkaError._TIMED_OUT, error) from error  # noqa: SLF001 - a public constant
    except _ERRORS as error:
        code = error.errno if isinstance(error, kafka_errors.BrokerResponseError) else KafkaError._TRANSPORT  # noqa: SLF001
        raise _failure(code, error) from error
    finally:
        net.close()
    return found


async def _within(manager: KafkaConnectionManager, work: Any, timeout_s: float) -> Any:
    return await manager.wait_for(manager.call_soon(work), timeout_s * 1000)


@dataclass(frozen=True, slots=True)
class Place:
    """What a broker answers at an offset: a batch, the end of the log, or neither, which is a fault."""

    batch: Batch | None = None
    fault: str = ""


Look = Callable[[int], Awaitable[Place]]
"""Returns what is at an offset of a partition; raises OffsetOutOfRangeError beyond its end."""


async def batch_at(look: Look, offset: int) -> Batch | None:
    """Return the batch at an offset; where the broker finds none, all offsets up to the next that it can read.

    A broker looks from the last entry of its index before an offset, of which there is one for every 4 KiB, so that a
    header without a sensible length hides only what follows up to the next entry.
    """
    place = await look(offset)
    if not place.fault:
        return place.batch
    end, is_readable = await _readable_after(look, offset)
    # A leader that has just been elected may answer nothing for a moment.
    place = await look(offset)
    return Batch(b"", offset, end, place.fault, is_end_known=is_readable) if place.fault else place.batch


async def _readable_after(look: Look, offset: int) -> tuple[int, bool]:
    """Return the first offset after a damaged one that can be read, and whether there is one; else the log's end."""
    step, low, high, is_readable = 1, offset, offset, False
    while high - low != 1:
        middle = low + step if high == low else (low + high) // 2
        try:
            place = await look(middle)
        except kafka_errors.OffsetOutOfRangeError:
            place = Place()
        if place.fault or (place.batch is not None and place.batch.fault):
            low, high, step = middle, max(middle, high), step * 2
        else:
            high, is_readable = middle, place.batch is not None
    return high, is_readable


async def _batch_at(manager: KafkaConnectionManager, topic: str, partition: int, offset: int) -> Batch | None:
    leader = await _leader(manager, topic, partition)
    return await batch_at(partial(_place, manager, leader, topic, partition), offset)


async def _place(manager: KafkaConnectionManager, leader: int, topic: str, partition: int, offset: int) -> Place:
    """Return what is at an offset; the first batch comes whole, whatever the limits."""
    limits = {"max_bytes": 1, "min_bytes": 0, "max_wait_ms": 0}
    versions = dict(zip(("min_version", "max_version"), _FETCH_VERSIONS, strict=True))
    asked = FetchRequest.FetchTopic.FetchPartition(partition=partition, fetch_offset=offset, partition_max_bytes=1)
    topics = [FetchRequest.FetchTopic(topic=topic, partitions=[asked])]
    response = await _send(manager, leader, FetchRequest(topics=topics, isolation_level=0, **limits, **versions))
    _check(response.error_code)
    if not response.responses:
        raise kafka_errors.KafkaTimeoutError("the broker throttles this client")
    return place_of(response.responses[0].partitions[0], offset)


def place_of(answer: Any, offset: int) -> Place:
    """Return what a partition's answer says of an offset.

    Raises:
        BrokerResponseError: The broker refuses for another reason than damage.
    """
    if answer.error_code == kafka_errors.CorruptRecordError.errno:
        return Place(fault=REFUSED)
    _check(answer.error_code)
    batch = first_batch(bytes(answer.records or b""), offset, answer.high_watermark, calc_crc32c)
    return Place(batch, NOT_FOUND if batch is None and offset < answer.high_watermark else "")


async def _leader(manager: KafkaConnectionManager, topic: str, partition: int) -> int:
    """Return the id of the partition's leader, asking the bootstrap servers one after the other."""
    versions = dict(zip(("min_version", "max_version"), _METADATA_VERSIONS, strict=True))
    topics = [MetadataRequest.MetadataRequestTopic(name=topic)]
    request = MetadataRequest(topics=topics, allow_auto_topic_creation=False, **versions)
    failure: Exception = kafka_errors.KafkaConnectionError("no bootstrap server")
    for broker in manager.cluster.bootstrap_brokers():
        try:
            metadata = await _within(manager, _send(manager, broker.node_id, request), _BROKER_TIMEOUT_S)
        except _ERRORS as error:
            failure = error
            continue
        manager.cluster.update_metadata(metadata)
        leaders = {each.partition_index: each.leader_id for found in metadata.topics for each in found.partitions}
        if partition not in leaders:
            raise kafka_errors.UnknownTopicOrPartitionError
        return int(leaders[partition])
    raise failure


async def _send(manager: KafkaConnectionManager, name: Any, request: Any) -> Any:
    # Otherwise a lost connection starts the library's own loop of metadata requests.
    return await manager.get_connection(name, refresh_metadata_on_err=False).send_request(request)


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


def first_batch(records: bytes, offset: int, log_end: int, checksum: Callable[[memoryview], int]) -> Batch | None:
    """Return the first batch of fetched bytes; None if there is none.

    The end of a damaged batch is what its damaged header says, but after the offset and within the log.

    Args:
        records: What a broker answered.
        offset: The offset from which it was asked to read.
        log_end: The next offset of the partition.
        checksum: CRC-32C.
    """
    if len(records) < _HEADER.size:
        return None
    base, length, old_checksum, magic, stored, _, last_delta = _HEADER.unpack_from(records)
    content = records[: _LENGTH_FROM + max(0, length)]
    last = base + last_delta
    fault = ""
    if magic == _MAGIC:
        fault = DAMAGED if checksum(memoryview(content)[_CHECKED_FROM:]) != stored else ""
    elif 0 <= magic < _MAGIC:
        # The old formats have one offset, which is the last of a compressed message.
        base, last = offset, base
        fault = DAMAGED if zlib.crc32(content[_OLD_CHECKED_FROM:]) != old_checksum & 0xFFFFFFFF else ""
    else:
        fault = UNKNOWN_FORMAT
    if not fault and not offset <= last < log_end:
        fault = MISPLACED
    return Batch(content, min(base, offset) if fault else base, min(max(last, offset) + 1, log_end), fault)
