"""A record as librdkafka returns it."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class FakeMessage:
    """The methods of confluent_kafka's Message that are used."""

    content: bytes | None = b"v"
    name: bytes | None = None
    at: int = 0
    index: int = 0
    time_ms: int = 0
    own_headers: list = field(default_factory=list)

    def topic(self):
        return "t"

    def partition(self):
        return self.index

    def offset(self):
        return self.at

    def timestamp(self):
        return (1, self.time_ms)

    def key(self):
        return self.name

    def value(self):
        return self.content

    def headers(self):
        return self.own_headers
