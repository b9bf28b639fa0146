"""The order in which programs come up, and what "ready" means for the whole."""

from collections.abc import Iterable

from kraftd.broker.admin import KafkaAdmin
from kraftd.broker.errors import KafkaAccessError
from kraftd.errors import KraftdError
from kraftd.host.attach import AttachError
from kraftd.host.http_get import get
from kraftd.host.management import ensure_management
from kraftd.operate.waiting import StartWait
from kraftd.operate.workspace import Workspace
from kraftd.spec.plan import DAEMON, Kind, Plan
from kraftd.supervisord.door import SupervisorRefusedError
from kraftd.watch.readiness import voter_answer
from kraftd.watch.roster import call_the_roll

TIE_BREAKER_AFTER_S = 4.0
"""The tie-breaker waits this long for the brokers: two of three voters elect, and its JVM would compete with theirs."""

_TOPIC_LIMIT_S = 30.0
_TOOLS_LIMIT_S = 5.0
_DAEMONS_VIEW_S = 2.0
_ADMIN_TIMEOUT_S = 3.0


class TopicNotReadyError(KraftdError):
    """A declared topic could not be created, or has a partition without a leader."""

    code = "topic_not_ready"


class BringUp:
    """Brings programs up through a wait, in order."""

    def __init__(self, plan: Plan, wait: StartWait, workspace: Workspace) -> None:
        self._plan = plan
        self._wait = wait
        self._workspace = workspace
        self._notes: list[str] = []
        self._unready: dict[str, str] = {}

    def run(self, wanted: tuple[str, ...], missing: tuple[str, ...] | None = None) -> list[str]:
        """Start programs and wait until all that are wanted serve.

        Args:
            wanted: What shall serve in the end.
            missing: What of it has no process yet; all of it where not given.

        Returns:
            What the user should know, one sentence each.

        Raises:
            StartFailedError: A program ended before it served.
            TopicNotReadyError: A declared topic cannot be used.
            TimedOutError: Time was up.
            YieldedError: A stop was asked for.
        """
        spawn = wanted if missing is None else missing
        tools = self._of(wanted, Kind.TOOL)
        brokers = self._of(wanted, Kind.BROKER)
        controllers = self._of(wanted, Kind.CONTROLLER)
        # supervisord starts the daemon by itself when it comes up; asking again does no harm.
        others = (*self._of(wanted, Kind.APP), DAEMON)
        self._start_nodes(brokers, controllers, spawn)
        if brokers:
            with KafkaAdmin(self._bootstrap_servers, timeout_s=_ADMIN_TIMEOUT_S) as admin:
                self._create_topics(admin)
                self._start_others(others, tools, spawn)
                self._wait.until_ready(controllers)
                self._await_voters(admin, controllers)
        else:
            self._start_others(others, tools, spawn)
            self._wait.until_ready(controllers)
        self._wait.until_ready(others)
        self._settle(tools)
        self._await_daemons_view()
        return self._notes

    def _start_others(self, names: tuple[str, ...], tools: tuple[str, ...], spawn: tuple[str, ...]) -> None:
        """Start the apps, the daemon and the tools; while they load, let JMX clients into the brokers."""
        self._wait.spawn(name for name in names if name in spawn)
        for name in tools:
            try:
                self._wait.spawn(each for each in spawn if each == name)
            except SupervisorRefusedError as error:
                self._unready[name] = str(error)
        self._open_management()

    def _settle(self, tools: tuple[str, ...]) -> None:
        """Give the tools a moment; the cluster serves without them, so that a failure is only a note."""
        started = [name for name in tools if name not in self._unready]
        self._unready |= self._wait.settle(started, within_s=_TOOLS_LIMIT_S)
        self._notes += [
            f"{name} does not serve, and the cluster goes on without it: {why} ('kraftd logs {name}')"
            for name, why in self._unready.items()
        ]

    @property
    def _bootstrap_servers(self) -> list[str]:
        return [broker.client.address for broker in self._plan.brokers if broker.client]

    def _await_daemons_view(self) -> None:
        """Give the daemon a moment to see it all too, so that a status asked for at once is not of before."""
        daemon = self._plan.daemon
        clock = self._workspace.clock
        deadline_s = clock.monotonic_s() + _DAEMONS_VIEW_S
        while clock.monotonic_s() < deadline_s:
            if get(daemon.host, daemon.port, "/readyz?fresh=1", timeout_s=2 * _DAEMONS_VIEW_S).status == 200:
                return
            self._wait.pause()

    def _of(self, names: Iterable[str], kind: Kind) -> tuple[str, ...]:
        return tuple(name for name in names if self._plan.kinds[name] is kind)

    def _start_nodes(self, brokers: tuple[str, ...], controllers: tuple[str, ...], spawn: tuple[str, ...]) -> None:
        """Start all brokers at once, and the controllers when the brokers serve, one ends, or time has passed."""
        self._wait.spawn(name for name in brokers if name in spawn)
        held_back = [name for name in controllers if name in spawn]
        clock = self._workspace.clock
        release_s = clock.monotonic_s() + TIE_BREAKER_AFTER_S

        def release_controllers(pending: set[str]) -> None:
            if held_back and (clock.monotonic_s() > release_s or self._wait.ended(pending)):
                self._wait.spawn(held_back)
                held_back.clear()

        self._wait.until_ready(brokers, between=release_controllers)
        self._wait.spawn(held_back)

    def _open_management(self) -> None:
        """Let JMX clients in; a broker serves Kafka without it, so that a refusal is only a note."""
        processes = call_the_roll(self._plan, self._wait.supervisor).processes
        for broker in self._plan.brokers:
            if broker.name in processes and broker.jmx_port is not None:
                try:
                    ensure_management(processes[broker.name], broker.jmx_port, self._workspace.clock)
                except AttachError as error:
                    self._notes.append(f"{broker.name} has no JMX: {error}")

    def _create_topics(self, admin: KafkaAdmin) -> None:
        for outcome in admin.create_topics(self._plan.topics, _TOPIC_LIMIT_S):
            if outcome.failure is not None:
                raise TopicNotReadyError(
                    f"cannot use the topic {outcome.name}: {outcome.failure.text}",
                    hint="'kraftd status' shows which brokers serve; 'kraftd start' tries again.",
                    details={"topic": outcome.name, "error": outcome.failure.error},
                )
            if outcome.created:
                self._workspace.reporter.step(f"Created the topic {outcome.name}")
            self._notes += [
                f"topic {outcome.name}: {each.setting} is {each.actual}, declared {each.declared}; kraftd leaves it"
                for each in outcome.differences
            ]

    def _await_voters(self, admin: KafkaAdmin, controllers: tuple[str, ...]) -> None:
        nodes = [node for node in self._plan.controllers if node.name in controllers]
        while nodes:
            try:
                quorum = admin.quorum()
            except KafkaAccessError as error:
                self._wait.check(f"the quorum ({error})")
            else:
                answers = {node.name: voter_answer(node, quorum) for node in nodes}
                nodes = [node for node in nodes if not answers[node.name].ready]
                if nodes:
                    self._wait.check(", ".join(f"{node.name} ({answers[node.name].reason})" for node in nodes))
            if nodes:
                self._wait.pause()
