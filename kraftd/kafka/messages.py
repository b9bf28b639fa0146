"""Conversion between kraftd's values and kafka-python's messages, records and errors."""

import struct
from collections.abc import Mapping
from typing import Any

from kafka import errors as kafka_errors
from kafka.protocol.admin import (
    AlterPartitionReassignmentsRequest,
    CreatePartitionsRequest,
    CreateTopicsRequest,
    DeleteGroupsRequest,
    DeleteRecordsRequest,
    DeleteTopicsRequest,
    DescribeConfigsRequest,
    DescribeGroupsRequest,
    DescribeLogDirsRequest,
    DescribeQuorumRequest,
    ElectLeadersRequest,
    IncrementalAlterConfigsRequest,
    ListGroupsRequest,
    ListPartitionReassignmentsRequest,
    UpdateFeaturesRequest,
)
from kafka.protocol.admin.transactions import (
    DescribeProducersRequest,
    DescribeTransactionsRequest,
    ListTransactionsRequest,
)
from kafka.protocol.consumer import (
    FetchRequest,
    ListOffsetsRequest,
    OffsetCommitRequest,
    OffsetDeleteRequest,
    OffsetFetchRequest,
)
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment
from kafka.protocol.metadata import ApiVersionsRequest, FindCoordinatorRequest, MetadataRequest
from kafka.protocol.producer import InitProducerIdRequest, ProduceRequest
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder
from kafka.record.util import calc_crc32c

from kraftd.kafka import schemas
from kraftd.kafka.model import Failure, TopicPartition
from kraftd.kafka.wire import Request

_MESSAGES = {
    "AlterPartitionReassignments": AlterPartitionReassignmentsRequest,
    "ApiVersions": ApiVersionsRequest,
    "ConsumerGroupDescribe": schemas.ConsumerGroupDescribeRequest,
    "CreatePartitions": CreatePartitionsRequest,
    "CreateTopics": CreateTopicsRequest,
    "DeleteGroups": DeleteGroupsRequest,
    "DeleteRecords": DeleteRecordsRequest,
    "DeleteTopics": DeleteTopicsRequest,
    "DescribeConfigs": DescribeConfigsRequest,
    "DescribeGroups": DescribeGroupsRequest,
    "DescribeLogDirs": DescribeLogDirsRequest,
    "DescribeProducers": DescribeProducersRequest,
    "DescribeQuorum": DescribeQuorumRequest,
    "DescribeShareGroupOffsets": schemas.DescribeShareGroupOffsetsRequest,
    "DescribeTransactions": DescribeTransactionsRequest,
    "ElectLeaders": ElectLeadersRequest,
    "Fetch": FetchRequest,
    "FindCoordinator": FindCoordinatorRequest,
    "IncrementalAlterConfigs": IncrementalAlterConfigsRequest,
    "InitProducerId": InitProducerIdRequest,
    "ListGroups": ListGroupsRequest,
    "ListOffsets": ListOffsetsRequest,
    "ListPartitionReassignments": ListPartitionReassignmentsRequest,
    "ListTransactions": ListTransactionsRequest,
    "Metadata": MetadataRequest,
    "OffsetCommit": OffsetCommitRequest,
    "OffsetDelete": OffsetDeleteRequest,
    "OffsetFetch": OffsetFetchRequest,
    "Produce": ProduceRequest,
    "ShareGroupDescribe": schemas.ShareGroupDescribeRequest,
    "StreamsGroupDescribe": schemas.StreamsGroupDescribeRequest,
    "UnregisterBroker": schemas.UnregisterBrokerRequest,
    "UpdateFeatures": UpdateFeaturesRequest,
}
_BATCH_OVERHEAD_BYTES = 1024
_NO_VERSIONS: Mapping[str, int | None] = {}


def message_of(request: Request) -> Any:
    """Return a request as the library's message."""
    versions = {"min_version": request.min_version, "max_version": request.max_version}
    return _message(_MESSAGES[request.api], request.fields, versions)


class KafkaMessages:
    """The part of a Wire that decodes error codes and bytes."""

    def failure_of(self, error_code: int, message: str | None = None) -> Failure | None:
        """Return Kafka's error code as a Failure, None for success."""
        if error_code == 0:
            return None
        known = kafka_errors.for_code(error_code)
        name = known.message if known.errno in kafka_errors.kafka_errors else f"ERROR_{error_code}"
        return Failure(name, message or name.lower().replace("_", " "), retriable=known.retriable)

    def assigned_partitions(self, assignment: bytes) -> tuple[TopicPartition, ...] | None:
        """Return the partitions in a classic member's assignment; None if it is malformed."""
        if not assignment:
            return ()
        try:
            decoded = ConsumerProtocolAssignment.decode(assignment)
        except (ValueError, IndexError, struct.error):
            return None
        return tuple(
            sorted((topic.topic, index) for topic in decoded.assigned_partitions for index in topic.partitions)
        )

    def record_batch(self, value: bytes, time_ms: int) -> bytes:
        """Return a batch of one record without a key, as brokers store it."""
        builder = MemoryRecordsBuilder(magic=2, compression_type=0, batch_size=len(value) + _BATCH_OVERHEAD_BYTES)
        builder.append(time_ms, None, value)
        builder.close()
        return bytes(builder.buffer())

    def checksum(self, content: memoryview) -> int:
        """Return the CRC-32C of a batch's bytes."""
        found: int = calc_crc32c(content)
        return found

    def record_values(self, batches: bytes) -> list[bytes | None]:
        """Return the value of each record in fetched batches."""
        values = []
        records = MemoryRecords(batches)
        while (batch := records.next_batch()) is not None:
            values += [record.value for record in batch]
        return values


def _message(container: Any, fields: Mapping[str, Any], versions: Mapping[str, int | None] = _NO_VERSIONS) -> Any:
    """Return a structure of the protocol, with its nested structures."""
    values = {}
    for name, value in fields.items():
        field = container.fields[name]
        nested = value is not None and field.is_struct_array()
        values[name] = [_message(field.data_class, item) for item in value] if nested else value
    return container(**values, **versions)
