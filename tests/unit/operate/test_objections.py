import pytest

from kraftd.broker.safety import (
    MinInSyncReplicasUnknown,
    PartitionsOffline,
    PartitionsReadOnly,
    QuorumLoss,
    QuorumUnknown,
)
from kraftd.operate.objections import describe_blocker

FIVE = tuple(("orders", number) for number in range(5))


@pytest.mark.parametrize(
    ("blocker", "text"),
    [
        (QuorumLoss(3, 2, (1,)), "only 1 of 3 voters would be left, and the quorum needs 2"),
        (QuorumUnknown(), "no quorum leader answers"),
        (PartitionsOffline((("orders", 0),)), "no in-sync replica of orders-0 would be left"),
        (
            PartitionsReadOnly(FIVE),
            "fewer in-sync replicas than min.insync.replicas would be left of"
            " orders-0, orders-1, orders-2, orders-3 and 1 more",
        ),
        (PartitionsOffline(FIVE[:4]), "no in-sync replica of orders-0, orders-1, orders-2, orders-3 would be left"),
        (MinInSyncReplicasUnknown(("a", "b")), "min.insync.replicas of a, b could not be read"),
    ],
)
def test_a_blocker_is_described_in_words(blocker, text):
    assert describe_blocker(blocker) == text
