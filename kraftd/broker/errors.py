"""What can go wrong between kraftd and the brokers."""

from typing import ClassVar

from kraftd.errors import KraftdError


class KafkaAccessError(KraftdError):
    """Base of the Kafka door's errors.

    Attributes:
        retriable: Whether the same call can succeed later.
    """

    code = "kafka_failed"
    retriable: ClassVar[bool] = False


class KafkaUnreachableError(KafkaAccessError):
    """No broker that was asked answered in time."""

    code = "kafka_unreachable"
    retriable = True


class KafkaUnavailableError(KafkaAccessError):
    """A broker answered that it cannot serve the request for now; details has Kafka's name of the error."""

    code = "kafka_unavailable"
    retriable = True


class KafkaRejectedError(KafkaAccessError):
    """A broker refused the request for good; details has Kafka's name of the error."""

    code = "kafka_rejected"
