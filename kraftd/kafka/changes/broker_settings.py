"""The settings of a broker that runs: as it has them, and changed without a restart.

Which keys a broker takes so is asked of the broker itself, as "read-only" (DescribeConfigs), and so is right for every
version of Kafka. Each of them can be set for one broker alone, also those that Kafka calls cluster-wide.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kraftd.kafka.model import Failure
from kraftd.kafka.wire import Request, Wire

_BROKER_RESOURCE = 4
_SET, _DELETE = 0, 1
_OF_ALL_BROKERS = 3
"""DYNAMIC_DEFAULT_BROKER_CONFIG in Kafka's DescribeConfigsResponse.ConfigSource."""


@dataclass(frozen=True, slots=True)
class BrokerSetting:
    """One setting of a broker.

    Attributes:
        value: None where the broker does not show it, as a password.
        is_dynamic: Whether the broker takes another value while it runs.
        is_of_all_brokers: Whether the value is a dynamic one of the whole cluster; as min.insync.replicas since 4.1.
    """

    value: str | None
    is_dynamic: bool
    is_of_all_brokers: bool = False


def describe_request(node_id: int, keys: Iterable[str]) -> Request:
    """Return the request for settings of a broker, which only itself can answer."""
    resource = {"resource_type": _BROKER_RESOURCE, "resource_name": str(node_id), "configuration_keys": list(keys)}
    return Request("DescribeConfigs", {"resources": [resource]})


def broker_settings_in(response: Any, wire: Wire) -> dict[str, BrokerSetting] | Failure:
    """Return the settings by key, without those that the broker does not know."""
    (resource,) = response.results
    failure = wire.failure_of(resource.error_code, resource.error_message)
    if failure is not None:
        return failure
    return {
        each.name: BrokerSetting(each.value, not each.read_only, each.config_source == _OF_ALL_BROKERS)
        for each in resource.configs
    }


def alter_request(broker: str, values: Mapping[str, str | None]) -> Request:
    """Return the request that sets some settings and, where the value is None, forgets a dynamic one.

    Args:
        broker: A node id, which only that broker can be asked; or nothing, for the default of all brokers.
        values: The settings.
    """
    configs = [
        {"name": key, "config_operation": _DELETE if value is None else _SET, "value": value}
        for key, value in values.items()
    ]
    resource = {"resource_type": _BROKER_RESOURCE, "resource_name": broker, "configs": configs}
    return Request("IncrementalAlterConfigs", {"resources": [resource], "validate_only": False})


def alter_failure(response: Any, wire: Wire) -> Failure | None:
    """Return why the settings were not changed; None if they were."""
    (resource,) = response.responses
    return wire.failure_of(resource.error_code, resource.error_message)
