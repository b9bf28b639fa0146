import logging

from kraftd.daemon.jmx import JmxOpening
from kraftd.health.programs.facts import SERVES, Answer
from kraftd.host.processes import Process
from tests.clocks import ManualClock
from tests.plans import plan_of

PLAN = plan_of()
FIRST, SECOND = Process(7, 1.0, 1.0), Process(8, 2.0, 2.0)


class Brokers:
    """Brokers whose JMX ports other processes hold until a test frees them."""

    def __init__(self, failure="Address already in use"):
        self.clock = ManualClock(1000.0)
        self.failure = failure
        self.tried_at_s = []
        self.opening = JmxOpening(PLAN.brokers, self.enable, self.clock)

    def enable(self, broker, process):
        self.tried_at_s.append(round(self.clock.monotonic_s() - 1000.0))
        return self.failure

    def tick(self, process=FIRST, answer=SERVES):
        processes = {"broker-1": process} if process else {}
        return self.opening.open(processes, {"broker-1": answer})

    def ticks(self, seconds, process=FIRST):
        for _ in range(seconds):
            self.tick(process)
            self.clock.advance(1)


def test_a_port_that_is_taken_is_tried_again_after_pauses_that_double():
    brokers = Brokers()

    brokers.ticks(100)

    assert brokers.tried_at_s == [0, 5, 15, 35, 75]


def test_the_pause_has_a_bound():
    brokers = Brokers()

    brokers.ticks(2000)

    assert {
        later - earlier for earlier, later in zip(brokers.tried_at_s[7:], brokers.tried_at_s[8:], strict=False)
    } == {300}


def test_once_open_it_is_left_alone_and_no_failure_is_told():
    brokers = Brokers()
    assert brokers.tick() == {"broker-1": "Address already in use"}
    brokers.failure = None

    brokers.ticks(100)

    assert (brokers.tick(), brokers.tried_at_s) == ({}, [0, 5])


def test_a_new_process_of_the_broker_is_tried_at_once_and_a_gone_one_has_no_failure():
    brokers = Brokers()
    brokers.ticks(20)

    gone = brokers.tick(None)
    brokers.tick(SECOND, Answer(ready=False))
    brokers.tick(SECOND)

    assert (gone, brokers.tried_at_s) == ({}, [0, 5, 15, 20])


def test_a_failure_and_its_end_are_one_line_each_in_the_log(caplog):
    brokers = Brokers()
    with caplog.at_level(logging.INFO, "kraftd.daemon"):
        brokers.ticks(100)
        brokers.failure = None
        brokers.ticks(100)

    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
