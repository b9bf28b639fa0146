"""The APIs that kafka-python 3.0 lacks, with the schemas of their first versions in the protocol guides of Kafka.

ConsumerGroupDescribe describes groups of the consumer protocol (KIP-848), StreamsGroupDescribe those of Kafka Streams
(KIP-1071), ShareGroupDescribe share groups (KIP-932), of which DescribeShareGroupOffsets tells where they read;
UnregisterBroker forgets a broker.
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


_ASSIGNOR = _field("AssignorName", "string")
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


def _described_groups(
    api_key: int, api: str, assigned_by: _Field, *member: _Field, version: int = 0
) -> tuple[_Field, _Field]:
    """Return the request and the response that describe groups whose coordinator assigns the partitions.

    Args:
        api_key: Kafka's number of the request.
        api: Its name.
        assigned_by: The field that tells by what the coordinator assigns.
        member: The fields of a member.
        version: The version of both.
    """
    group = (
        _field("ErrorCode", "int16"),
        _field("ErrorMessage", "string", nullable=True),
        _field("GroupId", "string"),
        _field("GroupState", "string"),
        _field("GroupEpoch", "int32"),
        _field("AssignmentEpoch", "int32"),
        assigned_by,
        _field("Members", "[]DescribedMember", *member),
        _field("AuthorizedOperations", "int32"),
    )
    asked = (_field("GroupIds", "[]string"), _field("IncludeAuthorizedOperations", "bool"))
    answered = (_field("ThrottleTimeMs", "int32"), _field("Groups", "[]DescribedGroup", *group))
    return (
        _message(api_key, api, "request", *asked, version=version),
        _message(api_key, api, "response", *answered, version=version),
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
_SETTING = (_field("Key", "string"), _field("Value", "string"))
_INTERNAL_TOPIC = (
    _field("Name", "string"),
    _field("Partitions", "int32"),
    _field("ReplicationFactor", "int16"),
    _field("TopicConfigs", "[]TopicSetting", *_SETTING),
)
_SUBTOPOLOGY = (
    _field("SubtopologyId", "string"),
    _field("SourceTopics", "[]string"),
    _field("RepartitionSinkTopics", "[]string"),
    _field("StateChangelogTopics", "[]ChangelogTopic", *_INTERNAL_TOPIC),
    _field("RepartitionSourceTopics", "[]RepartitionTopic", *_INTERNAL_TOPIC),
)
_TOPOLOGY = _field(
    "Topology",
    "StreamsTopology",
    _field("Epoch", "int32"),
    _field("Subtopologies", "[]Subtopology", *_SUBTOPOLOGY, nullable=True),
    nullable=True,
)


def _task_offsets(name: str) -> _Field:
    task = (_field("SubtopologyId", "string"), _field("Partition", "int32"), _field("Offset", "int64"))
    return _field(name, f"[]{name}Task", *task)


def _tasks(name: str) -> _Field:
    kinds = ("ActiveTasks", "StandbyTasks", "WarmupTasks")
    task = (_field("SubtopologyId", "string"), _field("Partitions", "[]int32"))
    return _field(name, f"{name}Tasks", *(_field(kind, f"[]{name}{kind}", *task) for kind in kinds))


_STREAMS_MEMBER = (
    _field("MemberId", "string"),
    _field("MemberEpoch", "int32"),
    _field("InstanceId", "string", nullable=True),
    _field("RackId", "string", nullable=True),
    _field("ClientId", "string"),
    _field("ClientHost", "string"),
    _field("TopologyEpoch", "int32"),
    _field("ProcessId", "string"),
    _field("UserEndpoint", "Endpoint", _field("Host", "string"), _field("Port", "uint16"), nullable=True),
    _field("ClientTags", "[]ClientTag", *_SETTING),
    _task_offsets("TaskOffsets"),
    _task_offsets("TaskEndOffsets"),
    _tasks("Assignment"),
    _tasks("TargetAssignment"),
    _field("IsClassic", "bool"),
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


def _message_class(schema: _Field) -> Any:
    """Return the class of a message, from which the library finds the response to a request by its API key.

    The library loads a schema from a file named like the class, and lets json_patch replace it: any file will do.
    """
    name = f"DescribeGroups{schema['type'].title()}"
    return type(ApiMessage)(name, (ApiMessage,), {"json_patch": classmethod(lambda _class, _loaded: schema)})


def _message_classes(request: _Field, response: _Field) -> tuple[Any, Any]:
    return _message_class(request), _message_class(response)


# The library holds responses weakly: each has a name here.
ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse = _message_classes(
    *_described_groups(69, "ConsumerGroupDescribe", _ASSIGNOR, *_MEMBER)
)
ShareGroupDescribeRequest, ShareGroupDescribeResponse = _message_classes(
    *_described_groups(77, "ShareGroupDescribe", _ASSIGNOR, *_SHARE_MEMBER, version=1)
)
StreamsGroupDescribeRequest, StreamsGroupDescribeResponse = _message_classes(
    *_described_groups(89, "StreamsGroupDescribe", _TOPOLOGY, *_STREAMS_MEMBER)
)
DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse = _message_classes(
    _SHARE_OFFSETS_REQUEST, _SHARE_OFFSETS_RESPONSE
)
UnregisterBrokerRequest, UnregisterBrokerResponse = _message_classes(_UNREGISTER_REQUEST, _UNREGISTER_RESPONSE)
