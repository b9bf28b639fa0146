import pytest

from kraftd.spec.replication import default_replication_factor


@pytest.mark.parametrize(("brokers", "replicas"), [(1, 1), (2, 2), (3, 3), (5, 3)])
def test_the_default_replication_factor_is_at_most_three(brokers, replicas):
    assert default_replication_factor(brokers) == replicas
