"""A member of a group over a fake client."""

from kraftd_apps.consumer.member import Member
from tests.unit.apps.kafka_fakes import FakeIdentity


def joining(client, on_records, identity=None, *, incremental=False, batch_end=lambda partition, offset: None):
    member = Member(
        client,
        "test-topic",
        identity=identity or FakeIdentity(),
        incremental=incremental,
        on_records=on_records,
        on_assigned=lambda own: None,
        batch_end=batch_end,
        clock=lambda: 5.0,
    )
    member.subscribe()
    return member
