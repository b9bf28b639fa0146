"""The settings of topics and of brokers that run: as they are, and changed without a restart.

Which keys a broker takes so is asked of the broker itself, as "read-only" (DescribeConfigs), and so is right for every
version of Kafka. Each of them can be set for one broker alone, also those that Kafka calls cluster-wide.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from kraftd.kafka.model import Failure, Partial
from kraftd.kafka.topics import TOPIC_RESOURCE, described
from kraftd.kafka.wire import Request, Wire

BROKER_RESOURCE = 4
_SET, _DELETE = 0, 1
_OF_THE_TOPIC, _OF_ALL_BROKERS = 1, 3
"""DYNAMIC_TOPIC_CONFIG and DYNAMIC_DEFAULT_BROKER_CONFIG in Kafka's DescribeConfigsResponse.ConfigSource."""


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """One configuration of a topic; the value is None where Kafka keeps it secret.

    Attributes:
        is_own: Whether it is set on the topic, so that it does not follow the brokers.
    """

    name: str
    value: str | None
    is_own: bool


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


def same_value(first: str | None, second: str | None) -> bool:
    """Return whether two texts are the same value to Kafka, which gives back what it parsed: 1.0 for a 1."""
    if first is None or second is None:
        return first is second
    firsts, seconds = ([each.strip() for each in text.split(",")] for text in (first, second))
    return len(firsts) == len(seconds) and all(map(_is_same, firsts, seconds))


def _is_same(first: str, second: str) -> bool:
    if first == second:
        return True
    if {first.lower(), second.lower()} <= {"true", "false"}:
        return first.lower() == second.lower()
    try:
        return Decimal(first) == Decimal(second)
    except InvalidOperation:
        return False


def configs_request(names: Iterable[str]) -> Request:
    """Return the request for every configuration of topics."""
    resources = [{"resource_type": TOPIC_RESOURCE, "resource_name": name, "configuration_keys": None} for name in names]
    # Version 1 is the first that tells where a value comes from.
    return Request("DescribeConfigs", {"resources": resources}, min_version=1)


def configs_in(response: Any, wire: Wire) -> Partial[str, tuple[ConfigEntry, ...]]:
    """Return the configuration by topic, in order of name."""

    def entries(configs: Any) -> tuple[ConfigEntry, ...]:
        found = (ConfigEntry(each.name, each.value, each.config_source == _OF_THE_TOPIC) for each in configs)
        return tuple(sorted(found, key=lambda entry: entry.name))

    return described(response, wire, entries)


def broker_request(node_id: int, keys: Iterable[str]) -> Request:
    """Return the request for settings of a broker, which only itself can answer."""
    resource = {"resource_type": BROKER_RESOURCE, "resource_name": str(node_id), "configuration_keys": list(keys)}
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


def alter_request(
    resource_type: int, name: str, changes: Mapping[str, str | None], *, validate_only: bool = False
) -> Request:
    """Return the request that sets some settings and, where the value is None, takes the resource's own away.

    Args:
        resource_type: TOPIC_RESOURCE or BROKER_RESOURCE.
        name: A topic; a node id, which only that broker can be asked; or nothing, for the default of all brokers.
        changes: The settings.
        validate_only: Whether they are only checked.
    """
    configs = [
        {"name": key, "config_operation": _DELETE if value is None else _SET, "value": value}
        for key, value in changes.items()
    ]
    resource = {"resource_type": resource_type, "resource_name": name, "configs": configs}
    return Request("IncrementalAlterConfigs", {"resources": [resource], "validate_only": validate_only})


def alter_failure(response: Any, wire: Wire) -> Failure | None:
    """Return why the settings were not changed; None if they were."""
    (resource,) = response.responses
    return wire.failure_of(resource.error_code, resource.error_message)
