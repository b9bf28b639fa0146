from kraftd.health.lag.view import KafkaView
from kraftd.health.programs.state import ServiceState
from kraftd.health.report.documents import Disk
from kraftd.health.report.health import broker_views
from kraftd.kafka.model import RoundTrip
from tests.plans import plan_of
from tests.unit.health.views import full_snapshot, program, snapshot, topic


def test_every_configured_broker_is_there_also_one_that_is_gone():
    first, second = broker_views(
        plan_of(), snapshot(program("broker-1"), program("broker-2", ServiceState.DOWN, "why")), 1000.0
    )

    assert (first.node_id, first.address, first.up, first.reason) == (1, "127.0.0.1:9092", True, None)
    assert (second.node_id, second.address, second.up, second.reason) == (2, "127.0.0.1:9093", False, "why")


def test_a_broker_that_does_not_serve_always_has_a_reason():
    stopped, unseen = broker_views(plan_of(), snapshot(program("broker-1", ServiceState.STOPPED)), 1000.0)

    assert (stopped.reason, unseen.reason) == ("it was stopped", "it was not observed")


def test_its_part_in_the_topics_is_counted():
    kafka = KafkaView(topics=(topic("orders", 1, 1, None, in_sync=(1,)),))

    first, second = broker_views(plan_of(), snapshot(program("broker-1"), program("broker-2"), kafka=kafka), 1000.0)

    assert (first.leads, first.in_sync, first.replicas) == (2, 3, 3)
    assert (second.leads, second.in_sync, second.replicas) == (0, 0, 3)


def test_its_part_in_unknown_topics_is_unknown():
    first, _ = broker_views(plan_of(), snapshot(program("broker-1")), 1000.0)

    assert (first.leads, first.in_sync, first.replicas) == (None, None, None)


def test_what_is_known_of_a_broker_stands_together():
    first, second = broker_views(plan_of(), full_snapshot(), 1000.0)

    assert (first.unfenced, first.answer_s, first.round_trip) == (True, 0.002, RoundTrip(0.003, 0.002))
    assert first.disks == (Disk("/data", 2048, 400, 1000, None), Disk("/bad", None, None, None, "it is read-only"))
    assert (second.unfenced, second.answer_s, second.round_trip, second.disks) == (False, None, None, None)
    assert (first.canary_age_s, second.canary_age_s) == (2.0, 12.0)
