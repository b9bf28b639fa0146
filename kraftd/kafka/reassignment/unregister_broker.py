"""UnregisterBroker, the API that makes the cluster forget a broker; kafka-python 3.0 lacks it.

The schema is that of version 0 in the protocol guide of Kafka 3.9.
"""

from typing import Any

from kafka.protocol.api_message import ApiMessage

_API_KEY = 64


def _message(kind: str, *fields: dict[str, Any]) -> dict[str, Any]:
    versions = {"validVersions": "0", "flexibleVersions": "0+"}
    named = {"apiKey": _API_KEY, "type": kind, "name": f"UnregisterBroker{kind.title()}"}
    return {**named, **versions, "fields": list(fields)}


_REQUEST = _message("request", {"name": "BrokerId", "type": "int32", "versions": "0+"})
_RESPONSE = _message(
    "response",
    {"name": "ThrottleTimeMs", "type": "int32", "versions": "0+"},
    {"name": "ErrorCode", "type": "int16", "versions": "0+"},
    {"name": "ErrorMessage", "type": "string", "versions": "0+", "nullableVersions": "0+"},
)


# The library loads a message's schema from a file named like the class, and lets json_patch replace it.
class DeleteTopicsRequest(ApiMessage):  # type: ignore[misc]  # the library has no types
    """The UnregisterBroker request."""

    @classmethod
    def json_patch(cls, _described_by_the_library: dict[str, Any]) -> dict[str, Any]:
        """Return the schema of the request."""
        return _REQUEST


class DeleteTopicsResponse(ApiMessage):  # type: ignore[misc]  # the library has no types
    """The UnregisterBroker response, which the library finds by the API key."""

    @classmethod
    def json_patch(cls, _described_by_the_library: dict[str, Any]) -> dict[str, Any]:
        """Return the schema of the response."""
        return _RESPONSE
