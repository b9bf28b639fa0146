"""The schemas that kafka-python lacks, against an answer that a broker of Kafka 4.3.1 gave."""

import base64

from kraftd.kafka.groups import list_groups
from kraftd.kafka.model import Member
from kraftd.kafka.schemas import StreamsGroupDescribeResponse
from tests.unit.kafka.fake_wire import FakeWire, record

TWO_THREADS = (
    "AAAAAAIAAAAEYXBwB1N0YWJsZQAAAAgAAAAIAQAAAAADAjACBndvcmRzAhdhcHAtY291bnRzLXJlcGFydGl0aW9uAQEAAjEBAQIV"
    "YXBwLWNvdW50cy1jaGFuZ2Vsb2cAAAADAAEDD2NsZWFudXAucG9saWN5CGNvbXBhY3QAF21lc3NhZ2UudGltZXN0YW1wLnR5cGUL"
    "Q3JlYXRlVGltZQAAAhdhcHAtY291bnRzLXJlcGFydGl0aW9uAAAAAwABBQ9jbGVhbnVwLnBvbGljeQdkZWxldGUAF21lc3NhZ2Uu"
    "dGltZXN0YW1wLnR5cGULQ3JlYXRlVGltZQANcmV0ZW50aW9uLm1zAy0xAA5zZWdtZW50LmJ5dGVzCTUyNDI4ODAwAAAAAAMXdEFm"
    "YVFIaE1RNHE0R1JHNnpvaEhrZwAAAAgAACBhcHAtYy0xLVN0cmVhbVRocmVhZC0xLWNvbnN1bWVyCy8xMjcuMC4wLjEAAAAAJTlk"
    "YTc3N2JkLTIyNmMtNDU1ZC1hMWEyLThhMzY4ZDRiYWM2Nf8BAQEDAjACAAAAAQACMQMAAAAAAAAAAgABAQADAjACAAAAAQACMQMA"
    "AAAAAAAAAgABAQAAABdtTEkzWUxpN1NPaUNmV3loWVc3SFp3AAAACAAAIGFwcC1jLTEtU3RyZWFtVGhyZWFkLTItY29uc3VtZXIL"
    "LzEyNy4wLjAuMQAAAAAlOWRhNzc3YmQtMjI2Yy00NTVkLWExYTItOGEzNjhkNGJhYzY1/wEBAQMCMAMAAAAAAAAAAgACMQIAAAAB"
    "AAEBAAMCMAMAAAAAAAAAAgACMQIAAAABAAEBAAAAgAAAAAAA"
)
"""A Kafka Streams application of two threads, which counts the records of the topic words with three partitions."""


def test_a_brokers_description_of_a_streams_group_is_read_whole():
    answer = StreamsGroupDescribeResponse.decode(base64.b64decode(TWO_THREADS), version=0)
    listed = record(group_id="app", group_state="Stable", group_type="Streams", protocol_type="streams")
    wire = FakeWire({"ListGroups": record(error_code=0, groups=[listed]), "StreamsGroupDescribe": answer})

    members = list_groups(wire, [1]).groups["app"].members

    inner = "app-counts-repartition"
    assert members == (
        Member(
            "tAfaQHhMQ4q4GRG6zohHkg",
            "app-c-1-StreamThread-1-consumer",
            "127.0.0.1",
            ((inner, 0), (inner, 2), ("words", 1)),
        ),
        Member(
            "mLI3YLi7SOiCfWyhYW7HZw",
            "app-c-1-StreamThread-2-consumer",
            "127.0.0.1",
            ((inner, 1), ("words", 0), ("words", 2)),
        ),
    )
