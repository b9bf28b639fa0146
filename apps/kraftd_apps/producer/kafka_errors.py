"""Mapping of Kafka errors to problems. Pure."""

from confluent_kafka import KafkaError

from kraftd_apps.common.problems import Outcome, Problem, problem

_BY_KAFKA_NAME: dict[str, tuple[str, Outcome]] = {
    "_MSG_TIMED_OUT": ("delivery_timeout", "unknown"),
    "_TIMED_OUT_QUEUE": ("delivery_timeout", "not_written"),
    "_TIMED_OUT": ("delivery_timeout", "unknown"),
    "REQUEST_TIMED_OUT": ("delivery_timeout", "unknown"),
    "_QUEUE_FULL": ("queue_full", "not_written"),
    "_UNKNOWN_TOPIC": ("unknown_topic", "not_written"),
    "UNKNOWN_TOPIC_OR_PART": ("unknown_topic", "not_written"),
    "UNKNOWN_TOPIC_ID": ("unknown_topic", "not_written"),
    "INCONSISTENT_TOPIC_ID": ("unknown_topic", "not_written"),
    "_UNKNOWN_PARTITION": ("unknown_partition", "not_written"),
    "MSG_SIZE_TOO_LARGE": ("too_large", "not_written"),
    "RECORD_LIST_TOO_LARGE": ("too_large", "not_written"),
    "INVALID_MSG": ("invalid_record", "not_written"),
    "INVALID_RECORD": ("invalid_record", "not_written"),
    "TOPIC_EXCEPTION": ("invalid_record", "not_written"),
    "POLICY_VIOLATION": ("invalid_record", "not_written"),
    "UNSUPPORTED_COMPRESSION_TYPE": ("invalid_record", "not_written"),
    "UNSUPPORTED_FOR_MESSAGE_FORMAT": ("invalid_record", "not_written"),
    "INVALID_TIMESTAMP": ("bad_parameter", "not_written"),
    "_INVALID_ARG": ("bad_parameter", "not_written"),
    "TOPIC_AUTHORIZATION_FAILED": ("not_authorized", "not_written"),
    "CLUSTER_AUTHORIZATION_FAILED": ("not_authorized", "not_written"),
    "NOT_ENOUGH_REPLICAS": ("not_enough_replicas", "not_written"),
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND": ("not_enough_replicas", "unknown"),
    "_ALL_BROKERS_DOWN": ("brokers_down", "unknown"),
    "_TRANSPORT": ("brokers_down", "unknown"),
    "_PURGE_QUEUE": ("draining", "not_written"),
    "_PURGE_INFLIGHT": ("draining", "unknown"),
    "_FATAL": ("producer_restarting", "unknown"),
}


def problem_of(error: KafkaError, *, partition: int = -1, partitions: int = 0, restarting: bool = False) -> Problem:
    """Return the problem of a record that was not acknowledged.

    Args:
        error: librdkafka's error; names of its own errors begin with an underscore, those of brokers do not.
        partition: The partition that the record asked for; negative for any.
        partitions: The number of partitions that the topic had when it was last seen. librdkafka fails the records of
            a topic that was just deleted as if only their partitions were missing.
        restarting: Whether a purge is due to the replacement of the client, not to the app's shutdown.
    """
    code, outcome = _BY_KAFKA_NAME.get(error.name(), ("internal", "unknown"))
    if code == "unknown_partition" and not 0 < partitions <= partition:
        code = "unknown_topic"
    if error.fatal() or (restarting and code == "draining"):
        code = "producer_restarting"
    return problem(code, f"{error.name()}: {error.str()}", outcome=outcome)
