"""The APIs that kafka-python 3.0 lacks, with the schemas of their first versions in the protocol guides of Kafka.

ConsumerGroupDescribe describes groups of the consumer protocol (KIP-848), ShareGroupDescribe share groups (KIP-932), of
which DescribeShareGroupOffsets tells where they read; UnregisterBroker forgets a broker.
"""

from typing import Any

from kafka.protocol.api_message import ApiMessage

_Field = dict[str, Any]


def _field(name: str, kind: str, *fields: _Field, nullable: bool = False) -> _Field:
    described: _Field = {"name": name, "type": kind, "versions": "0+"}
    if nullable:
        described |= {"nullableVersions": "0+", "default": "null"}
    return described | {"fields": list(fields)} if fields else described


def _message(api_key: int, api: str, kind: str, *fields: _Field, version: int = 0) -> _Field:
    versions = {"validVersions": str(version), "flexibleVersions": "0+"}
    return {"apiKey": api_key, "type": kind, "name": f"{api}{kind.title()}", **versions, "fields": list(fields)}


def _assignment(name: str) -> _Field:
    partitions = (_field("TopicId", "uuid"), _field("TopicName", "string"), _field("Partitions", "[]int32"))
    return _field(name, f"{name}Partitions", _field("TopicPartitions", f"[]{name}Topic", *partitions))


_MEMBER = (
    _field("MemberId", "string"),
    _field("InstanceId", "string", nullable=True),
    _field("RackId", "string", nullable=True),
    _field("MemberEpoch", "int32"),
    _field("ClientId", "string"),
    _field("ClientHost", "string"),
    _field("SubscribedTopicNames", "[]string"),
    _field("SubscribedTopicRegex", "string", nullable=True),
    _assignment("Assignment"),
    _assignment("TargetAssignment"),
)


def _group(*member: _Field) -> tuple[_Field, ...]:
    return (
        _field("ErrorCode", "int16"),
        _field("ErrorMessage", "string", nullable=True),
        _field("GroupId", "string"),
        _field("GroupState", "string"),
        _field("GroupEpoch", "int32"),
        _field("AssignmentEpoch", "int32"),
        _field("AssignorName", "string"),
        _field("Members", "[]DescribedMember", *member),
        _field("AuthorizedOperations", "int32"),
    )


_DESCRIBE_REQUEST = _message(
    69,
    "ConsumerGroupDescribe",
    "request",
    _field("GroupIds", "[]string"),
    _field("IncludeAuthorizedOperations", "bool"),
)
_DESCRIBE_RESPONSE = _message(
    69,
    "ConsumerGroupDescribe",
    "response",
    _field("ThrottleTimeMs", "int32"),
    _field("Groups", "[]DescribedGroup", *_group(*_MEMBER)),
)
_SHARE_MEMBER = (
    _field("MemberId", "string"),
    _field("RackId", "string", nullable=True),
    _field("MemberEpoch", "int32"),
    _field("ClientId", "string"),
    _field("ClientHost", "string"),
    _field("SubscribedTopicNames", "[]string"),
    _assignment("Assignment"),
)
_SHARE_REQUEST = _message(
    77,
    "ShareGroupDescribe",
    "request",
    _field("GroupIds", "[]string"),
    _field("IncludeAuthorizedOperations", "bool"),
    version=1,
)
_SHARE_RESPONSE = _message(
    77,
    "ShareGroupDescribe",
    "response",
    _field("ThrottleTimeMs", "int32"),
    _field("Groups", "[]DescribedGroup", *_group(*_SHARE_MEMBER)),
    version=1,
)
_ASKED_TOPIC = (_field("TopicName", "string"), _field("Partitions", "[]int32"))
_SHARE_OFFSETS_REQUEST = _message(
    90,
    "DescribeShareGroupOffsets",
    "request",
    _field(
        "Groups",
        "[]AskedGroup",
        _field("GroupId", "string"),
        _field("Topics", "[]AskedTopic", *_ASKED_TOPIC, nullable=True),
    ),
)
_SHARE_PARTITION = (
    _field("PartitionIndex", "int32"),
    _field("StartOffset", "int64"),
    _field("LeaderEpoch", "int32"),
    _field("ErrorCode", "int16"),
    _field("ErrorMessage", "string", nullable=True),
)
_SHARE_TOPIC = (
    _field("TopicName", "string"),
    _field("TopicId", "uuid"),
    _field("Partitions", "[]SharePartition", *_SHARE_PARTITION),
)
_SHARE_OFFSETS_RESPONSE = _message(
    90,
    "DescribeShareGroupOffsets",
    "response",
    _field("ThrottleTimeMs", "int32"),
    _field(
        "Groups",
        "[]SharedGroup",
        _field("GroupId", "string"),
        _field("Topics", "[]ShareTopic", *_SHARE_TOPIC),
        _field("ErrorCode", "int16"),
        _field("ErrorMessage", "string", nullable=True),
    ),
)
_UNREGISTER_REQUEST = _message(64, "UnregisterBroker", "request", _field("BrokerId", "int32"))
_UNREGISTER_RESPONSE = _message(
    64,
    "UnregisterBroker",
    "response",
    _field("ThrottleTimeMs", "int32"),
    _field("ErrorCode", "int16"),
    _field("ErrorMessage", "string", nullable=True),
)


# The library loads a message's schema from a file named like the class, and lets json_patch replace it; it finds the
# response to a request by the API key.
class DescribeGroupsRequest(ApiMessage):  # type: ignore[misc]  # the library has no types
    """The ConsumerGroupDescribe request."""

    @classmethod
    def json_patch(cls, _described_by_the_library: _Field) -> _Field:
        """Return the schema of the request."""
        return _DESCRIBE_REQUEST


class DescribeGroupsResponse(ApiMessage):  # type: ignore[misc]  # the library has no types
    """The ConsumerGroupDescribe response."""

    @classmethod
    def json_patch(cls, _described_by_the_library: _Field) -> _Field:
        """Return the schema of the response."""
        return _DESCRIBE_RESPONSE


class DeleteTopicsRequest(ApiMessage):  # type: ignore[misc]  # the library has no types
    """The UnregisterBroker request."""

    @classmethod
    def json_patch(cls, _described_by_the_library: _Field) -> _Field:
        """Return the schema of the request."""
        return _UNREGISTER_REQUEST


class DeleteTopicsResponse(ApiMessage):  # type: ignore[misc]  # the library has no types
    """The UnregisterBroker response."""

    @classmethod
    def json_patch(cls, _described_by_the_library: _Field) -> _Field:
        """Return the schema of the response."""
        return _UNREGISTER_RESPONSE


class DeleteGroupsRequest(ApiMessage):  # type: ignore[misc]  # the library has no types
    """The ShareGroupDescribe request."""

    @classmethod
    def json_patch(cls, _described_by_the_library: _Field) -> _Field:
        """Return the schema of the request."""
        return _SHARE_REQUEST


class DeleteGroupsResponse(ApiMessage):  # type: ignore[misc]  # the library has no types
    """The ShareGroupDescribe response."""

    @classmethod
    def json_patch(cls, _described_by_the_library: _Field) -> _Field:
        """Return the schema of the response."""
        return _SHARE_RESPONSE


class ListGroupsRequest(ApiMessage):  # type: ignore[misc]  # the library has no types
    """The DescribeShareGroupOffsets request."""

    @classmethod
    def json_patch(cls, _described_by_the_library: _Field) -> _Field:
        """Return the schema of the request."""
        return _SHARE_OFFSETS_REQUEST


class ListGroupsResponse(ApiMessage):  # type: ignore[misc]  # the library has no types
    """The DescribeShareGroupOffsets response."""

    @classmethod
    def json_patch(cls, _described_by_the_library: _Field) -> _Field:
        """Return the schema of the response."""
        return _SHARE_OFFSETS_RESPONSE
