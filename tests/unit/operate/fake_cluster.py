"""A cluster without processes: programs that come up and end as a test says, behind the doors of the use cases."""

import contextlib
import math
import signal
from dataclasses import dataclass, field, replace

from kraftd.health.programs.causes import Cause
from kraftd.health.programs.disks import DiskSpace
from kraftd.health.programs.ladder import SERVES, Answer, ProcessFact, start_progress
from kraftd.host.lock import acquire
from kraftd.host.processes import Process
from kraftd.kafka.administration.settings import BrokerSetting
from kraftd.kafka.model import (
    BrokerEndpoint,
    ClusterMetadata,
    Failure,
    KafkaUnreachableError,
    Partial,
    Partition,
    Quorum,
    TopicOutcome,
    TopicState,
    Voter,
)
from kraftd.observe.processes import ProcessTable
from kraftd.operate.configuring import Configured
from kraftd.operate.context import ClusterContext, CommandContext, NullReporter
from kraftd.operate.doors import Doors
from kraftd.operate.selection import ChosenCluster
from kraftd.operate.setup import PreparedRuntime
from kraftd.operate.start.doors import StartDoors
from kraftd.operate.start.sequence import Deadline
from kraftd.operate.start.start import Start, StartOptions
from kraftd.operate.stop.execute import CLEAN_SHUTDOWN
from kraftd.operate.store import Store
from kraftd.plan.loading import configure
from kraftd.plan.program import DAEMON, Kind
from kraftd.supervisord.rpc import SupervisedProcess, SupervisorUnreachableError
from tests.clocks import ManualClock
from tests.plans import LAUNCH, PYTHON, plan_of

GIB = 1024**3


class WhenWaiting(NullReporter):
    """Does something as soon as a command says that it waits for another one."""

    def __init__(self, act):
        self._act = act

    def step(self, text):
        if text.startswith("Waiting for"):
            self._act()


@dataclass
class FakeProgram:
    """One program: what it does, and what became of it. A broker closes its logs only while a quorum holds.

    Attributes:
        ready_after_s: None where it never serves.
        fails: It ends as soon as it was started.
        term_takes_s: From TERM to its end; None where it does not heed it.
        survives_kill: It waits in the kernel for a device.
        backs_off: How many calls to start it supervisord does not heed, as where it ended right after its start.
        logs: Lines of its log, each with how many seconds after its start it is written.
    """

    ready_after_s: float | None = 0.5
    fails: bool = False
    term_takes_s: float | None = 0.5
    survives_kill: bool = False
    backs_off: int = 0
    pid: int | None = None
    started_s: float = 0.0
    termed_s: float | None = None
    logs: tuple[tuple[float, str], ...] = ()


@dataclass
class FakeCluster:
    """The outside of one cluster.

    Attributes:
        did: What happened, in order: ("start", program), (signal, program), ("topics", ""), ("jmx", program) ...
        at_s: By entry of ``did``, seconds since the fake was made.
        open_files_limit: What a new supervisord gets.
        disks: The file systems of the cluster.
        raised_open_files: By pid, the limit that a process has once it was raised as far as it can be.
        settings: What a broker says of its settings, by key; set ones are noted in ``altered``.
        refusal: Why brokers do not take a setting.
        sessions: Killed brokers that Kafka still counts as alive, by node id.
        unregistering: What Kafka says to each try to unregister a broker; None, and nothing more, for success.
        leader: Who leads the one partition, until preferred leaders are elected.
        isr: In-sync replicas of the one partition, by node id.
        supervisor: How supervisord itself ends.
        locked: The files that a process holds a lock on which cannot be seen.
        unreachable: Why supervisord does not answer, until ``answers_again_s``.
    """

    tmp_path: object
    toml: str = ""
    programs: dict[str, FakeProgram] = field(default_factory=dict)
    did: list[tuple[str, str]] = field(default_factory=list)
    at_s: dict[tuple[str, str], float] = field(default_factory=dict)
    supervisor_pid: int | None = None
    isr: tuple[int, ...] = (1, 2)
    sessions: set[int] = field(default_factory=set)
    unregistering: list[Failure | None] = field(default_factory=list)
    leader: int | None = None
    settings: dict[str, BrokerSetting] = field(default_factory=dict)
    altered: list[tuple[int, dict[str, str | None]]] = field(default_factory=list)
    refusal: Failure | None = None
    supervisor: FakeProgram = field(default_factory=lambda: FakeProgram(term_takes_s=0.0))
    locked: set[object] = field(default_factory=set)
    unreachable: str | None = None
    answers_again_s: float = math.inf
    daemon_hangs: bool = False
    kafka_error: Exception | None = None
    topic_failure: object = None
    silences: int = 0
    """How many more times no broker answers a creation of topics."""

    loopback_fault: str = ""
    taken_by_orphans: set[int] = field(default_factory=set)
    taken_ports: dict[int, str] = field(default_factory=dict)
    daemon_sees_ready: bool = True
    open_files_limit: int = 100_000
    memory_bytes: int = 24 * GIB
    disks: tuple[DiskSpace, ...] = ()
    raised_open_files: dict[int, int | None] = field(default_factory=dict)

    def __post_init__(self):
        self.clock = ManualClock()
        self.began_s = self.clock.monotonic_s()
        self.plan = plan_of(self.toml, state_dir=self.tmp_path / "s")
        # The tie-breaker of a quorum that is gone ends at once, where it leads none.
        quick = {each.name: FakeProgram(term_takes_s=0.1) for each in self.plan.nodes if each.kind is Kind.CONTROLLER}
        self.programs = {name: FakeProgram() for name in self.plan.names} | quick | self.programs
        command_context = CommandContext({}, self.tmp_path, self.tmp_path, PYTHON, self.clock)
        doors = Doors(
            supervisor=lambda socket: self,
            find_processes=lambda plan: self.process_table(),
            open_kafka=lambda access, timeout_s: contextlib.nullcontext(self),
            describe=lambda pid: next(
                (each for each in self.process_table().processes.values() if each.pid == pid), None
            ),
            is_alive=self.is_alive,
            send_signal=self.send_signal,
            listens=self.listens,
            is_locked=lambda path: path in self.locked,
            remove_jvm_sockets=lambda plan: None,
        )
        self.context = ClusterContext(self.plan, doors, command_context)
        self.store = Store(self.plan.layout)

    # What a test does.

    def starting(self, *names, timeout_s=60.0):
        """Return a start of the cluster, or of programs of it."""
        chosen = ChosenCluster(configure([]), "the default configuration", self.plan.layout)
        configured = Configured(chosen, self.plan, self.store.manifest(), {})
        deadline = Deadline.from_now(self.store, self.clock, timeout_s)
        return Start(configured, self.context, StartOptions(names, timeout_s), deadline, self.start_doors())

    def start_doors(self):
        return StartDoors(
            prepare_runtime=lambda plan, command_context: PreparedRuntime(LAUNCH, None, ()),
            locate=lambda plan, command_context: PreparedRuntime(LAUNCH, None, ()),
            launch=self.launch,
            ask=self.ask,
            cause_of_end=lambda plan, program, process: Cause("exit status 1: it is broken", "Fix it."),
            enable_jmx=lambda process, listener, directory, clock: self.note("jmx", self.name_of(process)),
            daemon_sees_ready=lambda plan: self.daemon_sees_ready,
            port_holder=lambda host, port: self.taken_ports.get(port),
            loopback_fault=lambda host: self.loopback_fault,
            memory_bytes=lambda: self.memory_bytes,
            open_files_limit=lambda: self.open_files_limit,
            raise_open_files=lambda pid: self.raised_open_files.get(pid, self.open_files_limit),
            disk_spaces=lambda plan: self.disks,
            start_progress=lambda plan, program, since_s: start_progress(program, self.logged(program.name)),
            log_records=lambda plan, program, since_s: self.logged(program.name),
        )

    def logged(self, name):
        """Return the lines that a program has logged since its start."""
        each = self.programs[name]
        up_s = self.clock.monotonic_s() - each.started_s
        return [line for after_s, line in each.logs if up_s >= after_s]

    def of(self, *verbs):
        """Return the programs that something happened to, in order."""
        return [program for verb, program in self.did if verb in verbs]

    def runs(self, *names):
        """Let supervisord and programs run, and serve."""
        self.supervisor_pid = 1
        for name in names or self.plan.names:
            self.spawn(name)
            self.programs[name].started_s = -1000.0

    def waiting_for(self, other):
        """Return the context of a command that has to wait for the lock until another one has done something."""
        held = contextlib.ExitStack()
        held.enter_context(acquire(self.plan.layout.lock, command="other", clock=self.clock, timeout_s=0.0))

        def end():
            held.close()
            other()

        return replace(self.context, command_context=replace(self.context.command_context, reporter=WhenWaiting(end)))

    # What the doors do.

    def note(self, verb, program):
        self.did.append((verb, program))
        self.at_s.setdefault((verb, program), self.clock.monotonic_s() - self.began_s)

    def name_of(self, process):
        return next(name for name, each in self.programs.items() if each.pid == process.pid)

    def launch(self, plan, command_context):
        self.note("launch", "")
        self.unreachable = None
        self.supervisor_pid = 1
        self.spawn(DAEMON)

    def spawn(self, name):
        each = self.programs[name]
        each.pid, each.started_s, each.termed_s = 100 + list(self.programs).index(name), self.clock.monotonic_s(), None
        (self.plan.layout.data(name) / CLEAN_SHUTDOWN).unlink(missing_ok=True)
        if each.fails:
            each.pid = None

    def settle(self):
        """Let programs end whose time has come."""
        for name, each in self.programs.items():
            if each.pid is None or each.termed_s is None or each.term_takes_s is None or each.survives_kill:
                continue
            is_broker = self.plan.program(name).kind is Kind.BROKER
            if is_broker and not self.quorum_holds():
                continue
            if self.clock.monotonic_s() >= each.termed_s + each.term_takes_s:
                if is_broker:
                    self.plan.layout.data(name).mkdir(parents=True, exist_ok=True)
                    (self.plan.layout.data(name) / CLEAN_SHUTDOWN).touch()
                each.pid = None

    def quorum_holds(self):
        voters = {voter.node_id for voter in self.plan.voters}
        live = [node for node in self.plan.nodes if node.node_id in voters and self.programs[node.name].pid]
        return len(live) > len(voters) // 2

    def process_table(self):
        self.settle()
        live = {name: each for name, each in self.programs.items() if each.pid is not None}
        processes = {name: self.process(name, each.pid) for name, each in live.items()}
        facts = {name: ProcessFact("RUNNING", each.pid, 0.0) for name, each in live.items()}
        supervisor = Process(1, 0.0, 0.0) if self.supervisor_pid else None
        return ProcessTable(supervisor, facts, processes, self.unreachable if self.is_silent else None)

    @property
    def is_silent(self):
        return self.unreachable is not None and self.clock.monotonic_s() < self.answers_again_s

    def process(self, name, pid):
        marker = self.plan.marker(name)
        return Process(pid, self.programs[name].started_s, 0.0, (marker.executable or "python", *marker.arguments))

    def is_alive(self, process):
        self.settle()
        if process.pid == 1:
            return self.supervisor_pid is not None
        return any((each.pid, each.started_s) == (process.pid, process.incarnation) for each in self.programs.values())

    def send_signal(self, process, number):
        if number is signal.SIGCONT:
            return True
        is_supervisor = process.pid == self.supervisor_pid
        name = "supervisord" if is_supervisor else self.name_of(process)
        self.note(signal.Signals(number).name, name)
        each = self.supervisor if is_supervisor else self.programs[name]
        if number is signal.SIGTERM:
            each.termed_s = self.clock.monotonic_s()
        if number is signal.SIGTERM and is_supervisor:
            self.end_supervision()
        if number is signal.SIGKILL and not each.survives_kill:
            each.pid = None
            self.supervisor_pid = None if is_supervisor or name == DAEMON else self.supervisor_pid
        return True

    def listens(self, host, port):
        """Return whether a broker serves, or another program has its port."""
        brokers = [broker for broker in self.plan.brokers if broker.client.port == port]
        return port in self.taken_by_orphans or any(self.ask(broker).ready for broker in brokers)

    def ask(self, asked):
        name = asked.name
        each = self.programs[name]
        up_s = self.clock.monotonic_s() - each.started_s
        if each.pid is not None and each.ready_after_s is not None and up_s >= each.ready_after_s:
            return SERVES
        return Answer(ready=False, reason="not yet")

    # supervisord.

    def processes(self):
        if self.supervisor_pid is None:
            raise SupervisorUnreachableError("cannot reach supervisord")
        return {
            name: SupervisedProcess(name, "g", "RUNNING" if each.pid else "EXITED", each.pid, each.started_s, "")
            for name, each in self.programs.items()
        }

    def shutdown(self):
        if self.is_silent:
            raise SupervisorUnreachableError("cannot reach supervisord")
        self.note("shutdown", "")
        self.end_supervision()

    def end_supervision(self):
        if self.daemon_hangs:
            return
        self.programs[DAEMON].pid = None
        if self.supervisor.term_takes_s is not None:
            self.supervisor_pid = None

    def start(self, supervised_name):
        name = supervised_name.partition(":")[2]
        self.note("start", name)
        each = self.programs[name]
        if each.pid is None and each.backs_off:
            each.backs_off -= 1
        elif each.pid is None:
            self.spawn(name)
        return ""

    def update(self):
        self.note("update", "")
        self.plan = self.store.plan()
        self.programs = {name: self.programs.get(name, FakeProgram()) for name in self.plan.names}

    def stop(self, supervised_name):
        self.note("unsupervise", supervised_name.partition(":")[2])

    # Kafka.

    def quorum(self):
        if self.kafka_error:
            raise self.kafka_error
        voters = tuple(Voter(voter.node_id, 10, 0, 0.0) for voter in self.plan.voters)
        return Quorum(1, 1, 10, voters, ())

    def topics(self, names=None):
        partition = Partition("test-topic", 0, self.leader or self.isr[0], (1, 2), self.isr)
        return Partial({"test-topic": TopicState("test-topic", False, (partition,))}, {})

    def metadata(self, names=None):
        if self.kafka_error:
            raise self.kafka_error
        alive = (each for each in self.plan.brokers if self.ask(each).ready or each.node_id in self.sessions)
        brokers = tuple(BrokerEndpoint(each.node_id, each.client.host, each.client.port) for each in alive)
        return ClusterMetadata(brokers, self.topics())

    def unregister(self, node_id):
        failure = self.unregistering.pop(0) if self.unregistering else None
        self.note("unregister" if failure is None else "not unregistered", f"broker-{node_id}")
        self.sessions -= set() if failure else {node_id}
        return failure

    def elect_leaders(self, partitions):
        self.note("elect", "")
        self.leader = None

    def broker_settings(self, node_id, keys):
        return {key: self.settings[key] for key in keys if key in self.settings}

    def alter_broker(self, node_id, values, *, of_all_brokers=False, validate_only=False):
        if self.refusal is not None and any(values.values()):
            return self.refusal
        if validate_only:
            return None
        self.altered.append((node_id, dict(values)))
        self.settings |= {key: replace(self.settings[key], value=value) for key, value in values.items() if value}
        return None

    def min_in_sync_replicas(self, names):
        return Partial(dict.fromkeys(names, 1), {})

    def create_topics(self, declared, limit_s):
        if self.silences:
            self.silences -= 1
            raise KafkaUnreachableError("cannot reach Kafka: no answer within 3 s")
        self.note("topics", "")
        return tuple(TopicOutcome(topic.name, True, failure=self.topic_failure) for topic in declared)
