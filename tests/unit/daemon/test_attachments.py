import itertools
from concurrent.futures import Future

import pytest

from kraftd.daemon.attachments import AGENT_DELAY_S, RETRY_S, Attachments
from kraftd.errors import KraftdError
from kraftd.health.programs.ladder import SERVES, Answer
from kraftd.host.processes import Process
from kraftd.plan.program import Purpose
from tests.clocks import ManualClock
from tests.plans import plan_of
from tests.unit.daemon.pending import ended

PLAN = plan_of("[metrics_agent]\nenabled = false")
WITH_AGENT = plan_of()
SILENT = Answer(ready=False, reason="refused")


class Jvms:
    """JVMs that take whatever they are given, but for what a test refuses."""

    def __init__(self, plan=PLAN):
        self.clock = ManualClock(1000.0)
        self.processes = {node.name: Process(100 + node.node_id, 1.0, started_at_s=1.0) for node in plan.nodes}
        self.answers = dict.fromkeys(self.processes, SERVES)
        self.refusals = {}
        self.faults = []
        self.begun = []
        self.attachments = Attachments(plan, self.begin, self.clock)

    def begin(self, node, listener, process):
        self.begun.append((node.name, listener.purpose, process.pid))
        if self.faults:
            attempt = Future()
            attempt.set_exception(self.faults.pop())
            return attempt
        return ended(self.refusals.get(node.name))

    def update(self, after_s=0.0):
        self.clock.sleep(after_s)
        return self.attachments.update(self.processes, self.answers)


def test_jmx_is_opened_in_brokers_that_serve_and_in_nothing_else():
    jvms = Jvms()
    jvms.answers["broker-2"] = SILENT

    jvms.update()

    assert jvms.begun == [("broker-1", Purpose.JMX, 101)]


def test_an_attempt_that_raises_is_over_and_another_is_made_after_the_pause():
    jvms = Jvms()
    jvms.faults.append(KraftdError("cannot read the rules"))

    with pytest.raises(KraftdError):
        jvms.update()

    assert jvms.update() == {}
    assert len(jvms.begun) == 2
    jvms.update(after_s=RETRY_S)
    assert jvms.begun[2:] == [("broker-1", Purpose.JMX, 101)]


def test_each_incarnation_is_opened_once():
    jvms = Jvms()
    jvms.update()
    jvms.update(after_s=2 * RETRY_S)
    jvms.processes["broker-1"] = Process(201, 2.0, started_at_s=2.0)
    jvms.update()

    assert jvms.begun == [
        ("broker-1", Purpose.JMX, 101),
        ("broker-2", Purpose.JMX, 102),
        ("broker-1", Purpose.JMX, 201),
    ]


def test_what_is_refused_is_tried_again_until_it_works():
    jvms = Jvms()
    jvms.refusals["broker-2"] = "port 10000 is held"

    assert jvms.update() == {("broker-2", Purpose.JMX): "port 10000 is held"}
    assert jvms.update(after_s=RETRY_S / 2) == {("broker-2", Purpose.JMX): "port 10000 is held"}
    assert len(jvms.begun) == 2
    jvms.refusals.clear()
    assert jvms.update(after_s=RETRY_S / 2) == {}
    assert len(jvms.begun) == 3


def test_the_pauses_between_attempts_grow_up_to_a_limit():
    jvms = Jvms()
    jvms.refusals = dict.fromkeys(jvms.processes, "no attach mechanism")
    attempts = []
    for second in range(1200):
        jvms.update(after_s=1)
        attempts += [second] * (len(jvms.begun) > 2 * len(attempts))

    assert [later - earlier for earlier, later in itertools.pairwise(attempts)] == [10, 20, 40, 80, 160, 300, 300]


def test_a_refusal_is_forgotten_with_its_process():
    jvms = Jvms()
    jvms.refusals["broker-2"] = "port 10000 is held"
    jvms.update()
    del jvms.processes["broker-2"]

    assert jvms.update() == {}


def test_a_silent_node_is_left_alone_until_it_serves_again():
    jvms = Jvms()
    jvms.refusals["broker-2"] = "no answer"
    jvms.update()
    jvms.answers["broker-2"] = SILENT
    jvms.update(after_s=2 * RETRY_S)

    assert len(jvms.begun) == 2


def test_every_node_gets_the_agent_once_the_start_is_over():
    jvms = Jvms(WITH_AGENT)
    jvms.update()
    assert {purpose for _, purpose, _ in jvms.begun} == {Purpose.JMX}

    jvms.update(after_s=AGENT_DELAY_S)

    assert [name for name, purpose, _ in jvms.begun if purpose is Purpose.METRICS] == [
        "broker-1",
        "broker-2",
        "controller-101",
    ]


def test_an_attempt_under_way_is_not_repeated_and_its_defect_is_raised():
    jvms = Jvms()
    attempt = Future()
    attachments = Attachments(PLAN, lambda *_: attempt, jvms.clock)
    attachments.update(jvms.processes, jvms.answers)
    jvms.clock.sleep(2 * RETRY_S)
    assert attachments.update(jvms.processes, jvms.answers) == {}

    attempt.set_exception(RuntimeError("a defect"))
    with pytest.raises(RuntimeError, match="a defect"):
        attachments.update(jvms.processes, jvms.answers)
