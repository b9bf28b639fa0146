"""The APIs that kafka-python 3.0 lacks, with the schemas of version 0 in the protocol guides of Kafka 3.9 and 4.

ConsumerGroupDescribe describes groups of the consumer protocol (KIP-848); UnregisterBroker forgets a broker.
"""

from typing import Any

from kafka.protocol.api_message import ApiMessage

_Field = dict[str, Any]


def _field(name: str, kind: str, *fields: _Field, nullable: bool = False) -> _Field:
    described: _Field = {"name": name, "type": kind, "versions": "0+"}
    if nullable:
        described |= {"nullableVersions": "0+", "default": "null"}
    return described | {"fields": list(fields)} if fields else described


def _message(api_key: int, api: str, kind: str, *fields: _Field) -> _Field:
    versions = {"validVersions": "0", "flexibleVersions": "0+"}
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
_GROUP = (
    _field("ErrorCode", "int16"),
    _field("ErrorMessage", "string", nullable=True),
    _field("GroupId", "string"),
    _field("GroupState", "string"),
    _field("GroupEpoch", "int32"),
    _field("AssignmentEpoch", "int32"),
    _field("AssignorName", "string"),
    _field("Members", "[]DescribedMember", *_MEMBER),
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
    _field("Groups", "[]DescribedGroup", *_GROUP),
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
