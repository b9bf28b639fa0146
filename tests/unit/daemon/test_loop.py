import contextlib
from dataclasses import replace

from kraftd.daemon.loop import Loop
from kraftd.health.lag.view import KafkaView
from kraftd.health.programs.causes import Cause
from kraftd.health.programs.facts import SERVES, Answer, ProcessFact
from kraftd.health.programs.restarts import Policy, RestartHistory
from kraftd.health.programs.state import BrokerContact, LastExit, ProcessUsage, ServiceState
from kraftd.host.processes import Process
from kraftd.kafka.model import BrokerEndpoint, Voter
from kraftd.observe.processes import ProcessTable
from kraftd.plan.desired import NOTHING_DESIRED, DesiredProgram
from tests.clocks import ManualClock
from tests.plans import plan_of
from tests.unit.health.views import quorum

PLAN = plan_of()
RUN = DesiredProgram(running=True, since="", by="start", why="")
REST = DesiredProgram(running=False, since="", by="stop", why="")
KILLED = LastExit("2026-01-01T00:00:00.000Z", None, "SIGKILL")


class FakeSurroundings:
    """A cluster whose programs all run until a test ends one."""

    def __init__(self):
        self.pids = {name: 100 + number for number, name in enumerate(PLAN.names)}
        self.states = dict.fromkeys(PLAN.names, "RUNNING")
        self.wishes = NOTHING_DESIRED.changed(PLAN.names, RUN, 1)
        self.supervisor = Process(50, 1.0, started_at_s=1.0)
        self.locked_by_a_command = False
        self.on_lock = lambda: None
        self.the_cause = Cause("signal SIGKILL", "Look.")
        self.ends = {}
        self.refusals = {}
        self.comes_back = True
        self.view = KafkaView()
        self.started, self.told, self.remembered, self.opened = [], [], [], []

    def end(self, name, state="EXITED"):
        del self.pids[name]
        self.states[name] = state
        self.ends[name] = KILLED

    def process_table(self):
        facts = {name: ProcessFact(state, self.pids.get(name), 900.0) for name, state in self.states.items()}
        processes = {name: Process(pid, 1.0, started_at_s=900.0) for name, pid in self.pids.items()}
        return ProcessTable(self.supervisor, facts, processes)

    def desired(self):
        return self.wishes

    def answers(self, programs):
        return {name: self.refusals.get(name, SERVES) for name in programs}

    def kafka(self):
        return self.view

    def exits(self, facts):
        return dict(self.ends)

    def cause(self, program, fact, ended):
        return self.the_cause

    def start(self, program):
        self.started.append(program)
        if self.comes_back:
            self.pids[program] = 500 + len(self.started)
            self.states[program] = "RUNNING"

    def usages(self, processes):
        return {name: ProcessUsage(1.0, 2, 3, 4, process.started_at_s) for name, process in processes.items()}

    def enable_jmx(self, serving):
        self.opened.append(dict(serving))

    @contextlib.contextmanager
    def lock(self):
        self.on_lock()
        yield not self.locked_by_a_command

    def save_restarts(self, restart_histories):
        self.remembered.append(dict(restart_histories))

    def record_event(self, kind, program, text):
        self.told.append((kind, program, text))


def loop_over(outside, *, restart_histories=None, policy=None, clock=None):
    return Loop(PLAN, outside, clock or ManualClock(1000.0), restart_histories or {}, policy)


def test_a_quiet_cluster_is_looked_at_and_left_alone():
    outside = FakeSurroundings()

    tick = loop_over(outside, clock=ManualClock(5000.0)).tick()

    assert all(program.ready for program in tick.snapshot.programs)
    assert (tick.snapshot.taken_at_s, tick.snapshot.monotonic_s) == (5000.0, 1000.0)
    assert (outside.started, outside.told, outside.remembered) == ([], [], [])


def test_every_process_but_the_daemons_own_is_watched():
    outside = FakeSurroundings()

    assert set(loop_over(outside).tick().pids) == set(outside.pids.values()) - {outside.pids["kraftd"]}


def test_management_is_opened_in_what_serves_and_in_nothing_else():
    outside = FakeSurroundings()
    outside.refusals = {"broker-2": Answer(ready=False, reason="refused")}

    loop_over(outside).tick()

    (serving,) = outside.opened
    assert set(serving) == set(PLAN.names) - {"broker-2", "kraftd"}
    assert serving["broker-1"].pid == outside.pids["broker-1"]


def test_a_young_process_that_falls_silent_is_unready_and_its_successor_starts():
    outside = FakeSurroundings()
    clock = ManualClock(910.0)
    loop = loop_over(outside, clock=clock)
    loop.tick()
    outside.refusals = {"broker-1": Answer(ready=False, reason="no answer")}

    silent = [loop.tick().snapshot.programs[0].service_state for _ in range(2)]
    outside.end("broker-1")
    successor = loop.tick().snapshot.programs[0].service_state

    assert (silent, successor) == ([ServiceState.UNREADY] * 2, ServiceState.STARTING)


def test_what_ended_and_shall_run_is_started_again_and_told():
    outside = FakeSurroundings()
    loop = loop_over(outside)
    loop.tick()
    outside.end("broker-1")

    tick = loop.tick()

    broker = tick.snapshot.programs[0]
    assert outside.started == ["broker-1"]
    assert outside.told == [
        ("exited", "broker-1", "ended with signal SIGKILL"),
        ("restarted", "broker-1", "signal SIGKILL"),
    ]
    assert (broker.restarts, broker.pid) == (1, 501)
    assert outside.remembered[-1]["broker-1"].restarted_at_s == (1000.0,)


def test_what_was_stopped_stays_stopped():
    outside = FakeSurroundings()
    outside.wishes = outside.wishes.changed(["producer"], REST, 2)
    outside.end("producer", "STOPPED")

    tick = loop_over(outside).tick()

    assert outside.started == []
    assert {view.name for view in tick.snapshot.programs if view.service_state is ServiceState.STOPPED} == {"producer"}


def test_while_a_command_holds_the_lock_nothing_is_healed():
    outside = FakeSurroundings()
    outside.locked_by_a_command = True
    outside.end("broker-1")

    tick = loop_over(outside).tick()

    assert (outside.started, outside.remembered) == ([], [])
    assert tick.snapshot.programs[0].service_state is ServiceState.DOWN


def test_a_wish_that_changed_before_the_lock_was_held_counts():
    outside = FakeSurroundings()
    outside.end("broker-1")

    def stop_arrives():
        outside.wishes = outside.wishes.changed(["broker-1"], REST, 2)

    outside.on_lock = stop_arrives
    loop_over(outside).tick()

    assert outside.started == []


def test_what_a_command_started_before_the_lock_was_held_is_no_restart():
    outside = FakeSurroundings()
    outside.end("broker-1")

    def start_arrives():
        outside.pids["broker-1"], outside.states["broker-1"] = 300, "RUNNING"

    outside.on_lock = start_arrives
    broker = loop_over(outside).tick().snapshot.programs[0]

    assert (outside.started, outside.told, outside.remembered) == ([], [], [])
    assert (broker.pid, broker.restarts) == (300, 0)


def test_without_supervisord_nothing_is_healed_and_the_cluster_is_unsupervised():
    outside = FakeSurroundings()
    outside.supervisor = None
    outside.end("broker-1")

    tick = loop_over(outside).tick()

    assert outside.started == []
    assert tick.snapshot.supervised is False


def test_after_so_many_restarts_it_gives_up_and_says_so_once():
    outside, clock = FakeSurroundings(), ManualClock(1000.0)
    outside.comes_back = False
    outside.end("broker-1")
    loop = loop_over(outside, policy=Policy(most_restarts=2), clock=clock)

    for _ in range(5):
        tick = loop.tick()
        clock.advance(1)

    assert outside.started == ["broker-1", "broker-1"]
    assert [kind for kind, _, _ in outside.told] == ["restarted", "restarted", "given_up"]
    assert tick.snapshot.programs[0].service_state is ServiceState.GIVEN_UP


def test_the_budget_outlives_the_daemon():
    outside = FakeSurroundings()
    outside.end("broker-1")

    loop_over(
        outside, restart_histories={"broker-1": RestartHistory((990.0, 995.0), 2)}, policy=Policy(most_restarts=2)
    ).tick()

    assert outside.started == []
    assert outside.remembered[-1]["broker-1"].given_up


def test_a_program_that_runs_again_is_no_longer_given_up():
    outside = FakeSurroundings()
    loop = loop_over(outside, restart_histories={"broker-1": RestartHistory((990.0,), 5, "enough")})

    loop.tick()
    outside.end("broker-1")
    loop.tick()

    assert outside.started == ["broker-1"]


def test_after_an_exit_supervisord_is_asked_until_it_has_noticed():
    class Late(FakeSurroundings):
        """supervisord says RUNNING twice more before it reaps."""

        looks = 0

        def process_table(self):
            self.looks += 1
            self.states["broker-1"] = "RUNNING" if self.looks < 3 else "EXITED"
            return super().process_table()

    outside, clock = Late(), ManualClock(1000.0)
    outside.end("broker-1")
    outside.comes_back = False

    loop_over(outside, clock=clock).tick(after_exit=True)

    assert outside.started == ["broker-1"]
    assert clock.slept_s == [0.02, 0.02]


def test_without_an_exit_nobody_waits_for_supervisord():
    outside, clock = FakeSurroundings(), ManualClock(1000.0)
    outside.end("broker-1", "RUNNING")

    loop_over(outside, clock=clock).tick()

    assert clock.slept_s == []


def test_the_wait_for_supervisord_is_bounded():
    outside, clock = FakeSurroundings(), ManualClock(1000.0)
    outside.end("broker-1", "RUNNING")

    loop_over(outside, clock=clock).tick(after_exit=True)

    assert sum(clock.slept_s) < 1.0
    assert outside.started == []


def test_the_daemon_does_not_heal_itself():
    outside = FakeSurroundings()
    outside.end("kraftd")

    loop_over(outside).tick()

    assert outside.started == []


def test_an_exit_without_a_record_is_told_all_the_same():
    outside = FakeSurroundings()
    loop = loop_over(outside)
    loop.tick()
    outside.end("producer")
    outside.ends = {}
    outside.the_cause = replace(outside.the_cause, text="it does not run")

    loop.tick()

    assert outside.told[0] == ("exited", "producer", "ended")


def test_a_controller_that_lags_behind_the_quorum_is_not_ready():
    outside = FakeSurroundings()
    outside.view = KafkaView(quorum=quorum(1, Voter(101, 90, 10, 7.5)))

    programs = {program.name: program for program in loop_over(outside).tick().snapshot.programs}

    assert programs["controller-101"].reason == "10 metadata records behind"
    assert programs["broker-1"].ready


def test_every_configured_broker_has_a_contact_whether_it_answers_or_not():
    outside = FakeSurroundings()
    outside.view = KafkaView(brokers=(BrokerEndpoint(1, "127.0.0.1", 9092),))
    outside.end("broker-2")
    outside.comes_back = False
    outside.refusals = {"broker-1": Answer(ready=True, latency_s=0.002)}

    contacts = loop_over(outside).tick().snapshot.contacts

    assert contacts == {1: BrokerContact(0.002, unfenced=True), 2: BrokerContact(None, unfenced=False)}


def test_while_no_broker_can_be_asked_nobody_knows_who_is_fenced():
    contacts = loop_over(FakeSurroundings()).tick().snapshot.contacts

    assert {contact.unfenced for contact in contacts.values()} == {None}


def test_what_runs_has_its_usage():
    outside = FakeSurroundings()
    outside.end("producer")
    outside.comes_back = False

    usages = loop_over(outside).tick().snapshot.usages

    assert set(usages) == set(PLAN.names) - {"producer"}
    assert usages["broker-1"].started_at_s == 900.0
