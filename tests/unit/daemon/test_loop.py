import contextlib
from dataclasses import replace

import pytest

from kraftd.daemon.doors import DaemonDoors
from kraftd.daemon.loop import Loop
from kraftd.health.lag.view import KafkaView
from kraftd.health.programs.causes import Cause, unspawned
from kraftd.health.programs.ladder import SERVES, Answer, ProcessFact, Silence
from kraftd.health.programs.restarts import RestartHistory
from kraftd.health.programs.state import BrokerContact, LastExit, ProcessUsage, ServiceState
from kraftd.host.processes import Process
from kraftd.kafka.model import BrokerEndpoint, Voter
from kraftd.observe.processes import ProcessTable
from kraftd.plan.desired import NOTHING_DESIRED, DesiredProgram
from tests.clocks import ManualClock
from tests.plans import plan_of
from tests.unit.daemon.pending import ended
from tests.unit.health.views import quorum

PLAN = plan_of()
RUN = DesiredProgram(running=True, since="", by="start", why="")
REST = DesiredProgram(running=False, since="", by="stop", why="")
KILLED = LastExit("2026-01-01T00:00:00.000Z", None, "SIGKILL")


class FakeCluster:
    """A cluster whose programs all run until a test ends one."""

    def __init__(self):
        self.pids = {name: 100 + number for number, name in enumerate(PLAN.names)}
        self.states = dict.fromkeys(PLAN.names, "RUNNING")
        self.desired = NOTHING_DESIRED.changed(PLAN.names, RUN, 1)
        self.supervisor = Process(50, 1.0, started_at_s=1.0)
        self.started_at_s = 900.0
        self.unreachable = None
        self.is_locked_by_a_command = False
        self.on_lock = lambda: None
        self.cause = Cause("signal SIGKILL", "Look.")
        self.last_exits = {}
        self.exits = -1
        self.refusals = {}
        self.restarts_work = True
        self.start_refusal = None
        self.kafka_view = KafkaView()
        self.started, self.events, self.saved = [], [], []
        self.refused_attachments = {}
        self.signals, self.stop_obstacles, self.log_ages_s = [], {}, {}

    def end(self, name, state="EXITED", ended=None):
        del self.pids[name]
        self.states[name] = state
        self.exits += 1
        self.last_exits[name] = ended or replace(KILLED, at=f"{KILLED.at[:-4]}{self.exits:03}Z")

    def told(self, kind):
        return [event for event in self.events if event[0] == kind]

    def find_processes(self):
        facts = {name: ProcessFact(state, self.pids.get(name), 900.0) for name, state in self.states.items()}
        processes = {name: Process(pid, 1.0, self.started_at_s) for name, pid in self.pids.items()}
        return ProcessTable(self.supervisor, facts, processes, self.unreachable)

    def start(self, program):
        self.started.append(program)
        if self.restarts_work and self.start_refusal is None:
            self.pids[program] = 500 + len(self.started)
            self.states[program] = "RUNNING"
        return self.start_refusal

    def send_signal(self, process, number):
        named = {**self.pids, "supervisord": self.supervisor.pid}
        self.signals.append((next(name for name, pid in named.items() if pid == process.pid), number.name))
        return True

    @contextlib.contextmanager
    def try_lock(self):
        self.on_lock()
        yield not self.is_locked_by_a_command

    def doors(self):
        """Return the doors to this cluster."""
        return DaemonDoors(
            find_processes=self.find_processes,
            read_desired=lambda: self.desired,
            ask=lambda programs: {name: self.refusals.get(name, SERVES) for name in programs},
            kafka_view=lambda: self.kafka_view,
            last_exits=lambda _facts: dict(self.last_exits),
            cause_of_exit=lambda _program, fact, _ended: (
                unspawned(fact.spawn_error) if fact.spawn_error else self.cause
            ),
            start=self.start,
            usages=lambda processes: {
                name: ProcessUsage(1.0, 2, 3, 4, process.started_at_s) for name, process in processes.items()
            },
            attach=lambda node, _listener, _process: ended(self.refused_attachments.get(node.name)),
            try_lock=self.try_lock,
            save_restarts=lambda restart_histories: self.saved.append(dict(restart_histories)),
            send_signal=self.send_signal,
            stop_obstacle=lambda node: self.stop_obstacles.get(node.name),
            log_age_s=self.log_ages_s.get,
            record_event=lambda *event: self.events.append(event),
        )


def waiting(next_at_s):
    return RestartHistory(attempts=3, restarts=7, exit_at=KILLED.at, next_at_s=next_at_s, why="port")


def loop_over(cluster, *, restart_histories=None, clock=None):
    return Loop(PLAN, cluster.doors(), clock or ManualClock(1000.0), restart_histories or {})


def test_a_quiet_cluster_is_looked_at_and_left_alone():
    cluster = FakeCluster()

    tick = loop_over(cluster, clock=ManualClock(5000.0)).tick()

    assert all(program.ready for program in tick.snapshot.programs)
    assert (tick.snapshot.taken_at_s, tick.snapshot.monotonic_s) == (5000.0, 1000.0)
    assert (cluster.started, cluster.events, cluster.saved) == ([], [], [])


def test_every_process_but_the_daemons_own_is_watched():
    cluster = FakeCluster()

    assert set(loop_over(cluster).tick().pids) == set(cluster.pids.values()) - {cluster.pids["kraftd"]}


def test_a_broker_without_jmx_says_so_and_is_ready_all_the_same():
    cluster = FakeCluster()
    cluster.refused_attachments["broker-2"] = "port 10000 is held by pid 7 (other)"

    programs = {program.name: program for program in loop_over(cluster).tick().snapshot.programs}

    assert (programs["broker-1"].jmx_port, programs["broker-1"].notes) == (9999, ())
    assert (programs["broker-2"].jmx_port, programs["broker-2"].ready) == (None, True)
    assert programs["broker-2"].notes == ("it has no JMX: port 10000 is held by pid 7 (other)",)


def test_a_young_process_that_falls_silent_is_unready_and_its_successor_starts():
    cluster = FakeCluster()
    clock = ManualClock(910.0)
    loop = loop_over(cluster, clock=clock)
    loop.tick()
    cluster.refusals = {"broker-1": Answer(ready=False, reason="no answer")}

    silent = [loop.tick().snapshot.programs[0].service_state for _ in range(2)]
    cluster.end("broker-1")
    successor = loop.tick().snapshot.programs[0].service_state

    assert (silent, successor) == ([ServiceState.UNREADY] * 2, ServiceState.STARTING)


def test_what_ended_and_shall_run_is_started_again_and_told():
    cluster = FakeCluster()
    loop = loop_over(cluster)
    loop.tick()
    cluster.end("broker-1")

    tick = loop.tick()

    broker = tick.snapshot.programs[0]
    assert cluster.started == ["broker-1"]
    assert cluster.events == [
        ("exited", "broker-1", "ended with signal SIGKILL"),
        ("restarted", "broker-1", "signal SIGKILL"),
    ]
    assert (broker.restarts, broker.pid) == (1, 501)
    assert cluster.saved[-1]["broker-1"].attempts == 1


def test_a_restart_that_is_refused_is_told_with_its_reason():
    cluster = FakeCluster()
    loop = loop_over(cluster)
    loop.tick()
    cluster.end("broker-1")
    cluster.start_refusal = "can't find command '/opt/java/bin/java'"

    broker = loop.tick().snapshot.programs[0]

    assert cluster.events[1:] == [("restart_failed", "broker-1", cluster.start_refusal)]
    assert broker.service_state is ServiceState.BACKOFF
    assert broker.reason.startswith(f"supervisord cannot spawn it: {cluster.start_refusal}. Put that file back")


def test_a_restart_that_is_refused_is_not_counted_but_pauses_grow():
    cluster, clock = FakeCluster(), ManualClock(1000.0)
    loop = loop_over(cluster, clock=clock)
    loop.tick()
    cluster.end("broker-1")
    cluster.start_refusal = "can't find command '/opt/java/bin/java'"
    for _ in range(3):
        loop.tick()
        clock.sleep(60.0)
    refused = cluster.saved[-1]["broker-1"]
    cluster.start_refusal = None

    assert loop.tick().snapshot.programs[0].restarts == 1
    assert (refused.restarts, refused.attempts) == (0, 3)


def test_an_end_after_a_refused_restart_has_its_own_cause():
    cluster = FakeCluster()
    loop = loop_over(cluster)
    cluster.end("broker-1")
    cluster.start_refusal = "can't find command '/opt/java/bin/java'"
    loop.tick()
    # A command starts it, once the file is back.
    cluster.start_refusal = None
    cluster.start("broker-1")
    loop.tick()
    cluster.end("broker-1")

    loop.tick()

    assert cluster.events[-1] == ("restarted", "broker-1", "signal SIGKILL")


def test_a_daemon_that_was_frozen_tells_that_when_it_looks_again():
    cluster, clock = FakeCluster(), ManualClock(1000.0)
    loop = loop_over(cluster, clock=clock)
    for pause_s in (0.0, 1.0, 29.0, 43.0, 1.0):
        clock.sleep(pause_s)
        loop.tick()

    assert cluster.events == [("recovered", "kraftd", "observes again, after 43 s without an observation")]


def test_a_wall_clock_that_is_set_ends_no_program():
    cluster = FakeCluster()
    loop = loop_over(cluster)
    loop.tick()
    cluster.started_at_s += 1.0

    loop.tick()

    assert cluster.events == []


def test_the_end_of_supervisord_is_told_once():
    cluster = FakeCluster()
    loop = loop_over(cluster)
    loop.tick()
    cluster.supervisor = None
    loop.tick()
    loop.tick()

    (event,) = cluster.events
    assert event[:2] == ("exited", "supervisord")
    assert "'kraftd start' brings supervision back" in event[2]


def test_what_was_stopped_stays_stopped():
    cluster = FakeCluster()
    cluster.desired = cluster.desired.changed(["producer"], REST, 2)
    cluster.end("producer", "STOPPED")

    tick = loop_over(cluster).tick()

    assert cluster.started == []
    assert {view.name for view in tick.snapshot.programs if view.service_state is ServiceState.STOPPED} == {"producer"}


def test_what_is_paused_is_not_restarted_until_it_is_resumed():
    cluster = FakeCluster()
    cluster.desired = cluster.desired.changed(["producer"], replace(RUN, paused=True), 1)
    loop = loop_over(cluster)
    loop.tick()
    cluster.end("producer")

    paused = loop.tick()
    cluster.desired = cluster.desired.changed(["producer"], RUN, 1)
    loop.tick()

    view = next(each for each in paused.snapshot.programs if each.name == "producer")
    assert (view.service_state, view.pid, view.restarts) == (ServiceState.PAUSED, None, 0)
    assert cluster.started == ["producer"]


def test_while_a_command_holds_the_lock_nothing_is_healed():
    cluster = FakeCluster()
    cluster.is_locked_by_a_command = True
    cluster.end("broker-1")

    tick = loop_over(cluster).tick()

    assert (cluster.started, cluster.saved) == ([], [])
    assert tick.snapshot.programs[0].service_state is ServiceState.DOWN


def test_a_wish_that_changed_before_the_lock_was_held_counts():
    cluster = FakeCluster()
    cluster.end("broker-1")

    def stop_arrives():
        cluster.desired = cluster.desired.changed(["broker-1"], REST, 2)

    cluster.on_lock = stop_arrives
    loop_over(cluster).tick()

    assert cluster.started == []


def test_what_a_command_started_before_the_lock_was_held_is_no_restart():
    cluster = FakeCluster()
    cluster.end("broker-1")

    def start_arrives():
        cluster.pids["broker-1"], cluster.states["broker-1"] = 300, "RUNNING"

    cluster.on_lock = start_arrives
    broker = loop_over(cluster).tick().snapshot.programs[0]

    assert (cluster.started, cluster.events, cluster.saved) == ([], [], [])
    assert (broker.pid, broker.restarts) == (300, 0)


def test_without_supervisord_nothing_is_healed_and_the_cluster_is_unsupervised():
    cluster = FakeCluster()
    cluster.supervisor = None
    cluster.end("broker-1")

    tick = loop_over(cluster).tick()

    assert cluster.started == []
    assert tick.snapshot.supervised is False


def test_what_ends_again_and_again_waits_longer_each_time_and_is_never_given_up():
    cluster, clock = FakeCluster(), ManualClock(1000.0)
    loop = loop_over(cluster, clock=clock)
    loop.tick()

    waits_s = []
    for _ in range(4):
        cluster.end("broker-1")
        tick = loop.tick()
        waits_s.append(tick.restart_in_s or 0.0)
        if tick.restart_in_s is not None:
            assert tick.snapshot.programs[0].service_state is ServiceState.BACKOFF
            assert tick.snapshot.programs[0].next_restart_at is not None
            clock.advance(tick.restart_in_s)
            loop.tick()

    assert cluster.started == ["broker-1"] * 4
    assert all(0.8 * most <= wait <= most for wait, most in zip(waits_s, (0, 1, 2, 4), strict=True))
    assert [kind for kind, _, _ in cluster.events] == ["exited", "restarted"] * 4


def test_what_ends_before_the_next_look_is_told_with_its_own_exit():
    cluster, clock = FakeCluster(), ManualClock(1000.0)
    loop = loop_over(cluster, clock=clock)
    loop.tick()
    cluster.end("producer")
    loop.tick()
    cluster.end("producer", "FATAL", LastExit("2026-01-01T00:00:00.500Z", 1, None))
    cluster.cause = Cause("exit status 1: Address already in use", "End it.")

    producer = next(each for each in loop.tick().snapshot.programs if each.name == "producer")

    assert producer.last_exit.status == 1
    assert (producer.service_state, producer.reason) == (
        ServiceState.BACKOFF,
        "exit status 1: Address already in use. End it.",
    )
    assert cluster.events[-1] == ("exited", "producer", "ended with exit status 1")


def test_while_a_program_waits_the_lock_is_left_alone():
    cluster, clock = FakeCluster(), ManualClock(1000.0)
    cluster.end("broker-1")
    loop = loop_over(cluster, restart_histories={"broker-1": waiting(1004.0)}, clock=clock)
    locked = []
    cluster.on_lock = lambda: locked.append(clock.now_s())

    for _ in range(5):
        loop.tick()
        clock.advance(1.0)

    assert (locked, cluster.started) == ([1004.0], ["broker-1"])


def test_a_pause_outlives_the_daemon():
    cluster = FakeCluster()
    cluster.end("broker-1")

    tick = loop_over(cluster, restart_histories={"broker-1": waiting(1004.0)}).tick()

    assert cluster.started == []
    assert (tick.restart_in_s, tick.snapshot.programs[0].service_state) == (4.0, ServiceState.BACKOFF)


def test_what_waits_and_is_stopped_waits_no_longer_and_begins_anew():
    cluster = FakeCluster()
    cluster.end("broker-1")
    cluster.desired = cluster.desired.changed(["broker-1"], REST, 2)

    tick = loop_over(cluster, restart_histories={"broker-1": waiting(1004.0)}).tick()

    assert tick.restart_in_s is None
    assert tick.snapshot.programs[0].service_state is ServiceState.STOPPED
    assert cluster.saved[-1]["broker-1"] == RestartHistory(restarts=7)


def test_a_restart_cannot_help_is_said_once():
    cluster = FakeCluster()
    cluster.end("broker-1")
    cluster.cause = Cause("exit status 1: bad", "Fix it.", retry_helps=False)
    loop = loop_over(cluster)

    ticks = [loop.tick() for _ in range(3)]

    assert cluster.started == []
    assert [kind for kind, _, _ in cluster.events] == ["given_up"]
    assert ticks[-1].snapshot.programs[0].service_state is ServiceState.GIVEN_UP


@pytest.mark.parametrize("is_daemon_new", [False, True])
def test_what_was_given_up_stays_so_when_its_exit_has_left_the_log(is_daemon_new):
    cluster = FakeCluster()
    loop = loop_over(cluster)
    loop.tick()
    cluster.cause = Cause("exit status 1: bad", "Fix it.", retry_helps=False)
    cluster.end("broker-1")
    loop.tick()
    cluster.last_exits.clear()
    cluster.cause = Cause("it does not run (EXITED)", "Read its log.")
    cluster.end("producer")

    loop = loop_over(cluster, restart_histories=cluster.saved[-1]) if is_daemon_new else loop
    broker = loop.tick().snapshot.programs[0]

    assert "broker-1" not in cluster.started
    assert broker.service_state is ServiceState.GIVEN_UP
    assert (broker.last_exit is None) is is_daemon_new


@pytest.mark.parametrize("memory", [RestartHistory(3, 7, KILLED.at, given_up="enough"), waiting(1004.0)])
def test_what_a_command_started_is_neither_given_up_nor_paused(memory):
    cluster = FakeCluster()
    cluster.last_exits["broker-1"] = KILLED
    loop = loop_over(cluster, restart_histories={"broker-1": memory})

    loop.tick()
    assert cluster.saved[-1]["broker-1"] == RestartHistory(restarts=7)
    cluster.end("broker-1")
    loop.tick()

    assert cluster.started == ["broker-1"]


def test_two_minutes_of_serving_are_remembered():
    cluster, clock = FakeCluster(), ManualClock(1000.0)
    cluster.last_exits["broker-1"] = KILLED
    loop = loop_over(cluster, restart_histories={"broker-1": RestartHistory(3, 7, KILLED.at)}, clock=clock)

    loop.tick()
    before = list(cluster.saved)
    clock.advance(20.0)
    loop.tick()

    assert before == []
    assert cluster.saved[-1]["broker-1"] == RestartHistory(restarts=7)


def test_after_an_exit_supervisord_is_asked_until_it_has_noticed():
    class Late(FakeCluster):
        """supervisord says RUNNING twice more before it reaps."""

        queries = 0

        def find_processes(self):
            self.queries += 1
            self.states["broker-1"] = "RUNNING" if self.queries < 3 else "EXITED"
            return super().find_processes()

    cluster, clock = Late(), ManualClock(1000.0)
    cluster.end("broker-1")
    cluster.restarts_work = False

    loop_over(cluster, clock=clock).tick(after_exit=True)

    assert cluster.started == ["broker-1"]
    assert clock.slept_s == [0.02, 0.02]


def test_without_an_exit_nobody_waits_for_supervisord():
    cluster, clock = FakeCluster(), ManualClock(1000.0)
    cluster.end("broker-1", "RUNNING")

    loop_over(cluster, clock=clock).tick()

    assert clock.slept_s == []


def test_the_wait_for_supervisord_is_bounded():
    cluster, clock = FakeCluster(), ManualClock(1000.0)
    cluster.end("broker-1", "RUNNING")

    loop_over(cluster, clock=clock).tick(after_exit=True)

    assert sum(clock.slept_s) < 1.0
    assert cluster.started == []


def test_the_daemon_does_not_heal_itself():
    cluster = FakeCluster()
    cluster.end("kraftd")

    loop_over(cluster).tick()

    assert cluster.started == []


def test_an_exit_without_a_record_is_told_all_the_same():
    cluster = FakeCluster()
    loop = loop_over(cluster)
    loop.tick()
    cluster.end("producer")
    cluster.last_exits = {}
    cluster.cause = replace(cluster.cause, text="it does not run")

    loop.tick()

    assert cluster.events[0] == ("exited", "producer", "ended")


def test_an_exit_that_supervisord_cannot_tell_of_yet_is_told_once_and_as_it_was():
    cluster = FakeCluster()
    loop = loop_over(cluster)
    loop.tick()
    cluster.end("producer", ended=LastExit("2026-01-01T00:00:00.000Z", 1, None))
    for _ in range(2):
        loop.tick()
    told = len(cluster.events)
    cluster.unreachable = "no answer"
    del cluster.pids["producer"], cluster.states["producer"]

    loop.tick()
    meanwhile = cluster.events[told:]
    cluster.unreachable, cluster.states["producer"] = None, "EXITED"
    cluster.last_exits["producer"] = replace(KILLED, at="2026-01-01T00:00:09.000Z")
    loop.tick()

    assert meanwhile == []
    assert [each for each in cluster.events[told:] if each[0] == "exited"] == [
        ("exited", "producer", "ended with signal SIGKILL")
    ]


@pytest.mark.parametrize("state", ["STARTING", "RUNNING", "STOPPING"])
def test_an_exit_that_the_log_tells_before_the_table_is_told_once(state):
    cluster = FakeCluster()
    loop = loop_over(cluster)
    loop.tick()
    cluster.end("broker-2", state)
    loop.tick()
    cluster.states["broker-2"] = "EXITED"
    loop.tick()
    loop.tick()

    assert cluster.told("exited") == [("exited", "broker-2", "ended with signal SIGKILL")]


@pytest.mark.parametrize("state", ["STARTING", "RUNNING", "STOPPING"])
def test_an_exit_that_the_log_tells_late_is_told_once_and_as_it_was(state):
    cluster = FakeCluster()
    loop = loop_over(cluster)
    loop.tick()
    cluster.end("broker-2", state)
    late, cluster.last_exits = cluster.last_exits, {}
    loop.tick()
    cluster.states["broker-2"], cluster.last_exits = "EXITED", late
    loop.tick()

    assert cluster.told("exited") == [("exited", "broker-2", "ended with signal SIGKILL")]


def test_an_exit_while_that_of_another_program_is_read_is_told_once():
    cluster = FakeCluster()
    loop = loop_over(cluster)
    loop.tick()
    cluster.end("broker-1")
    pid = cluster.pids["broker-2"]
    cluster.end("broker-2")
    cluster.pids["broker-2"], cluster.states["broker-2"] = pid, "RUNNING"
    loop.tick()
    del cluster.pids["broker-2"]
    cluster.states["broker-2"] = "EXITED"
    loop.tick()

    assert [name for _, name, _ in cluster.told("exited")] == ["broker-1", "broker-2"]


def test_an_end_that_no_supervisord_noted_has_nothing_of_the_end_before():
    cluster = FakeCluster()
    loop = loop_over(cluster)
    loop.tick()
    cluster.end("producer")
    loop.tick()
    loop.tick()
    cluster.supervisor = None
    del cluster.pids["producer"], cluster.states["producer"]

    loop.tick()

    assert [event for event in cluster.told("exited") if event[1] == "producer"] == [
        ("exited", "producer", "ended with signal SIGKILL"),
        ("exited", "producer", "ended"),
    ]


def test_the_end_of_the_daemon_before_is_told_by_its_successor_and_no_other():
    cluster = FakeCluster()
    cluster.last_exits = {"kraftd": KILLED, "producer": KILLED}
    loop = loop_over(cluster)
    loop.tick()
    loop.tick()

    assert cluster.told("exited") == [("exited", "kraftd", "ended with signal SIGKILL")]


def test_a_controller_that_lags_behind_the_quorum_is_not_ready():
    cluster = FakeCluster()
    cluster.kafka_view = KafkaView(quorum=quorum(1, Voter(101, 90, 10, 7.5)))

    programs = {program.name: program for program in loop_over(cluster).tick().snapshot.programs}

    assert programs["controller-101"].reason == "10 metadata records behind"
    assert programs["broker-1"].ready


def test_every_configured_broker_has_a_contact_whether_it_answers_or_not():
    cluster = FakeCluster()
    cluster.kafka_view = KafkaView(brokers=(BrokerEndpoint(1, "127.0.0.1", 9092),))
    cluster.end("broker-2")
    cluster.restarts_work = False
    cluster.refusals = {"broker-1": Answer(ready=True, latency_s=0.002)}

    contacts = loop_over(cluster).tick().snapshot.contacts

    assert contacts == {1: BrokerContact(0.002, unfenced=True), 2: BrokerContact(None, unfenced=False)}


def test_while_no_broker_can_be_asked_nobody_knows_who_is_fenced():
    contacts = loop_over(FakeCluster()).tick().snapshot.contacts

    assert {contact.unfenced for contact in contacts.values()} == {None}


def test_what_runs_has_its_usage():
    cluster = FakeCluster()
    cluster.end("producer")
    cluster.restarts_work = False

    usages = loop_over(cluster).tick().snapshot.usages

    assert set(usages) == set(PLAN.names) - {"producer"}
    assert usages["broker-1"].started_at_s == 900.0


FROZEN = Answer(ready=False, reason="no answer within 2 s", silence=Silence.NO_ANSWER)


def tick_for(loop, clock, seconds):
    """Let the loop tick every second; return the last tick."""
    for _ in range(int(seconds)):
        clock.advance(1.0)
        tick = loop.tick()
    return tick


def kinds(cluster):
    return [(kind, name) for kind, name, _ in cluster.events]


def test_a_frozen_broker_is_woken_then_ended_and_restarted_with_the_reason():
    cluster, clock = FakeCluster(), ManualClock(1000.0)
    loop = loop_over(cluster, clock=clock)
    cluster.refusals = {"broker-1": FROZEN}

    woken = tick_for(loop, clock, 32)
    tick_for(loop, clock, 10)
    terminated = list(cluster.signals)
    tick_for(loop, clock, 31)
    cluster.end("broker-1")
    cluster.refusals = {}
    tick_for(loop, clock, 1)

    assert "continued it" in woken.snapshot.programs[0].notes[0]
    assert [number for _, number in terminated] == ["SIGQUIT", "SIGCONT", "SIGTERM", "SIGCONT"]
    assert [number for _, number in cluster.signals[4:]] == ["SIGKILL", "SIGCONT"]
    assert {name for name, _ in cluster.signals} == {"broker-1"}
    assert kinds(cluster) == [("hung", "broker-1")] * 3 + [("exited", "broker-1"), ("restarted", "broker-1")]
    assert "the watchdog ended it" in cluster.events[-1][2]


def test_a_frozen_program_that_answers_once_it_is_continued_is_left_alone():
    cluster, clock = FakeCluster(), ManualClock(1000.0)
    loop = loop_over(cluster, clock=clock)
    cluster.refusals = {"producer": FROZEN}
    tick_for(loop, clock, 17)
    cluster.refusals = {}

    tick = tick_for(loop, clock, 60)

    assert [number for _, number in cluster.signals] == ["SIGQUIT", "SIGCONT"]
    assert kinds(cluster) == [("hung", "producer"), ("recovered", "producer")]
    assert all(program.notes == () for program in tick.snapshot.programs)


def test_a_node_that_is_needed_is_woken_and_not_ended_and_that_is_told_once():
    cluster, clock = FakeCluster(), ManualClock(1000.0)
    loop = loop_over(cluster, clock=clock)
    cluster.refusals = {"broker-1": FROZEN}
    cluster.stop_obstacles = {"broker-1": "no in-sync replica of t-0 would be left"}

    tick = tick_for(loop, clock, 120)

    assert [number for _, number in cluster.signals] == ["SIGQUIT", "SIGCONT"]
    assert kinds(cluster) == [("hung", "broker-1")] * 2
    assert "no in-sync replica of t-0" in tick.snapshot.programs[0].notes[0]


def test_of_two_frozen_nodes_one_is_ended_and_the_other_waits_until_it_is_back():
    cluster, clock = FakeCluster(), ManualClock(1000.0)
    loop = loop_over(cluster, clock=clock)
    cluster.refusals = {"broker-1": FROZEN, "broker-2": FROZEN}

    tick_for(loop, clock, 120)

    assert {name for name, number in cluster.signals if number == "SIGKILL"} == {"broker-1"}
    assert {name for name, number in cluster.signals if number == "SIGCONT"} == {"broker-1", "broker-2"}


def test_frozen_nodes_are_ended_where_nobody_is_left_to_tell_what_that_costs():
    cluster, clock = FakeCluster(), ManualClock(1000.0)
    loop = loop_over(cluster, clock=clock)
    cluster.refusals = {"broker-1": FROZEN, "broker-2": FROZEN}
    cluster.stop_obstacles = dict.fromkeys(cluster.refusals, "what its end would cost is not known: no broker answers")

    tick_for(loop, clock, 120)
    ended = {name for name, number in cluster.signals if number == "SIGKILL"}
    cluster.end("broker-1")
    cluster.refusals = {"broker-2": FROZEN}
    cluster.stop_obstacles = {}
    tick_for(loop, clock, 60)

    assert ended == {"broker-1"}
    assert [name for name, number in cluster.signals if number == "SIGKILL"] == ["broker-1", "broker-2"]


def test_a_paused_broker_may_serve_where_it_gives_the_daemon_no_answer():
    cluster, clock = FakeCluster(), ManualClock(1000.0)
    loop = loop_over(cluster, clock=clock)
    cluster.desired = cluster.desired.changed(["broker-2"], replace(RUN, paused=True), 1)
    cluster.refusals = {"broker-1": FROZEN, "broker-2": FROZEN}
    cluster.stop_obstacles = {"broker-1": "no in-sync replica of t-0 would be left"}

    tick_for(loop, clock, 120)

    assert [number for _, number in cluster.signals] == ["SIGQUIT", "SIGCONT"]


def test_a_frozen_supervisord_is_continued_and_never_ended_and_that_is_told_once():
    cluster, clock = FakeCluster(), ManualClock(1000.0)
    loop = loop_over(cluster, clock=clock)
    cluster.unreachable = "its control socket does not answer"

    tick_for(loop, clock, 29)
    before = list(cluster.signals)
    tick_for(loop, clock, 66)

    assert (before, cluster.signals) == ([], [("supervisord", "SIGCONT")] * 3)
    assert kinds(cluster) == [("hung", "supervisord")]


@pytest.mark.parametrize("unreachable", [None, "its control socket does not answer"])
def test_a_supervisord_that_is_gone_or_answers_again_gets_no_signal(unreachable):
    cluster, clock = FakeCluster(), ManualClock(1000.0)
    loop = loop_over(cluster, clock=clock)
    cluster.unreachable = "its control socket does not answer"
    tick_for(loop, clock, 20)
    cluster.supervisor, cluster.unreachable = None if unreachable else cluster.supervisor, unreachable

    tick_for(loop, clock, 60)

    assert cluster.signals == []


@pytest.mark.parametrize(
    "change",
    [
        lambda cluster: setattr(cluster, "is_locked_by_a_command", True),
        lambda cluster: setattr(cluster, "supervisor", None),
        lambda cluster: setattr(
            cluster, "desired", cluster.desired.changed(["broker-1"], replace(RUN, paused=True), 1)
        ),
        lambda cluster: setattr(cluster, "desired", cluster.desired.changed(["broker-1"], REST, 1)),
        lambda cluster: setattr(cluster, "refusals", {"broker-1": Answer(ready=False, reason="HTTP 503")}),
    ],
    ids=["a command works", "no supervisord", "paused", "stopped", "it answers badly"],
)
def test_a_program_that_is_not_the_watchdogs_to_end_gets_no_signal(change):
    cluster, clock = FakeCluster(), ManualClock(1000.0)
    loop = loop_over(cluster, clock=clock)
    cluster.refusals = {"broker-1": FROZEN}
    change(cluster)

    tick_for(loop, clock, 120)

    assert cluster.signals == []


def test_a_pause_that_comes_before_the_lock_is_held_counts():
    cluster, clock = FakeCluster(), ManualClock(1000.0)
    loop = loop_over(cluster, clock=clock)
    cluster.refusals = {"broker-1": FROZEN}
    tick_for(loop, clock, 29)

    def pause_arrives():
        cluster.desired = cluster.desired.changed(["broker-1"], replace(RUN, paused=True), 1)

    cluster.on_lock = pause_arrives
    tick_for(loop, clock, 60)

    assert cluster.signals == []


def test_a_new_run_of_a_silent_program_has_its_own_time():
    cluster, clock = FakeCluster(), ManualClock(1000.0)
    loop = loop_over(cluster, clock=clock)
    cluster.refusals = {"broker-1": FROZEN}
    tick_for(loop, clock, 25)
    cluster.pids["broker-1"] = 999

    tick_for(loop, clock, 25)

    assert cluster.signals == []
