import pytest

from kraftd.kafka.admin import KafkaAdmin
from kraftd.plan.plan import Topic
from tests.kafka.broker.library import library_client
from tests.kafka.broker.nodes import TIMEOUT_S, running_nodes


@pytest.fixture(scope="package")
def nodes(tmp_path_factory):
    """Two brokers and a tie-breaker that every test leaves as it found them."""
    with running_nodes(tmp_path_factory.mktemp("nodes")) as started:
        yield started


@pytest.fixture
def admin(nodes):
    with KafkaAdmin(nodes.access, timeout_s=TIMEOUT_S) as opened:
        yield opened


@pytest.fixture
def bare(nodes):
    """The library's own admin client, to show what it does."""
    with library_client(nodes.bootstrap_servers) as client:
        yield client


@pytest.fixture
def topic(admin, request):
    """A topic of the test's own, with 4 partitions on both brokers."""
    declared = Topic(request.node.name[:200].replace("[", "-").replace("]", ""), ((1, 2), (2, 1), (1, 2), (2, 1)))
    (outcome,) = admin.create_topics([declared], limit_s=20.0)
    assert outcome.failure is None
    return declared
