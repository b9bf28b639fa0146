"""A member of a group over a fake client."""

from kraftd_apps.consumer.member import Member
from tests.unit.apps.kafka_fakes import FakeIdentity


def no_batch(partition, offset, timeout_s):
    return None


def not_noted(partitions, member_id):
    return None


def joining(
    client,
    on_records,
    identity=None,
    *,
    incremental=False,
    on_assigned=not_noted,
    read_batch=no_batch,
    clock=lambda: 5.0,
):
    member = Member(
        client,
        "test-topic",
        identity=identity or FakeIdentity(),
        incremental=incremental,
        on_records=on_records,
        on_assigned=on_assigned,
        read_batch=read_batch,
        clock=clock,
    )
    member.subscribe()
    return member
