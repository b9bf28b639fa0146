import pytest

from kraftd.broker.safety import (
    MinInSyncReplicasUnknown,
    PartitionsOffline,
    PartitionsReadOnly,
    QuorumLoss,
    QuorumUnknown,
)
from kraftd.operate.objections import sentence

FIVE = tuple(("orders", number) for number in range(5))


@pytest.mark.parametrize(
    ("objection", "text"),
    [
        (QuorumLoss(3, 2, (1,)), "only 1 of 3 voters would be left, and the quorum needs 2"),
        (QuorumUnknown(), "no quorum leader answers"),
        (PartitionsOffline((("orders", 0),)), "no replica in sync would be left of orders-0"),
        (
            PartitionsReadOnly(FIVE),
            "too few replicas in sync would be left for writes to orders-0, orders-1, orders-2, orders-3 and 1 more",
        ),
        (PartitionsOffline(FIVE[:4]), "no replica in sync would be left of orders-0, orders-1, orders-2, orders-3"),
        (MinInSyncReplicasUnknown(("a", "b")), "min.insync.replicas could not be read of a, b"),
    ],
)
def test_an_objection_is_told_in_words(objection, text):
    assert sentence(objection) == text
