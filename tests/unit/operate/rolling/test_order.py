"""Which program a rolling restart takes next."""

import pytest

from kraftd.operate.rolling.order import restart_order
from tests.plans import plan_of

TWO, THREE = "", "[cluster]\nbrokers = 3"


@pytest.mark.parametrize(
    ("toml", "names", "active", "order"),
    [
        (TWO, ("broker-1", "broker-2", "controller-101"), 1, ("broker-2", "controller-101", "broker-1")),
        (TWO, ("broker-1", "broker-2", "controller-101"), 2, ("broker-1", "controller-101", "broker-2")),
        (TWO, ("broker-1", "broker-2", "controller-101"), 101, ("broker-1", "broker-2", "controller-101")),
        (TWO, ("broker-1", "broker-2", "controller-101"), None, ("broker-1", "broker-2", "controller-101")),
        (THREE, ("broker-3", "broker-2", "broker-1"), 2, ("broker-1", "broker-3", "broker-2")),
        (TWO, ("kraftd", "consumer", "broker-1", "producer"), 1, ("broker-1", "producer", "consumer", "kraftd")),
        (TWO, ("broker-2",), 2, ("broker-2",)),
        (TWO, (), 1, ()),
    ],
)
def test_nodes_come_by_id_the_active_controller_last_and_then_the_rest(toml, names, active, order):
    assert restart_order(plan_of(toml), names, active) == order
