"""The execution of a stop: signals to verified processes, in the order of ``order.py``.

Supervised and orphaned programs are stopped alike: the signals go to the processes themselves, and supervisord, where
it runs, records the exits. It restarts none of them.
"""

import math
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from kraftd.errors import TimedOutError
from kraftd.host.processes import Process
from kraftd.operate.context import ClusterContext
from kraftd.operate.stop.order import (
    KILL_AFTER_S,
    LOST_KILL_AFTER_S,
    NodeStop,
    next_signals,
    quorum_holds,
    quorum_was_lost,
)
from kraftd.plan.kinds import Node
from kraftd.plan.program import DAEMON, Kind
from kraftd.supervisord.rpc import SUPERVISORD

_POLL_S = 0.02
_SUPERVISORD_PATIENCE_S = 15.0
_DAEMON_PATIENCE_S = 2.0
"""It is crash-only, and supervisord alone would wait 10 s for it."""

_EXEC_PATIENCE_S = 5.0
_KILL_PATIENCE_S = 10.0
"""A killed process ends at once, unless it waits in the kernel for a device: then perhaps never."""

CLEAN_SHUTDOWN = ".kafka_cleanshutdown"


@dataclass(frozen=True, slots=True)
class Stopped:
    """How a program ended.

    Attributes:
        clean: Whether a node had closed its logs; None for a program without logs.
        killed: Why it was killed; None where it ended by itself.
        took_s: Seconds from its first signal to its end.
    """

    name: str
    kind: Kind
    clean: bool | None
    killed: str | None
    took_s: float


@dataclass(slots=True)
class _Progress:
    process: Process
    asked_at_s: float
    patience_s: float
    termed_at_s: float | None = None
    starting: bool = False
    clean_at_s: float | None = None
    ended_at_s: float | None = None
    dumped: bool = False
    killed: str | None = None
    killed_at_s: float | None = None


@dataclass(slots=True)
class StopExecution:
    """One stop of some programs of a cluster.

    Attributes:
        processes: The incarnations that run, of the whole cluster.
        results: The results of the processes that ended.
        stuck: The processes that were still there 10 s after KILL.
    """

    cluster: ClusterContext
    processes: Mapping[str, Process]
    results: list[Stopped] = field(default_factory=list)
    stuck: dict[str, Process] = field(default_factory=dict)

    def stop_clients(self, names: tuple[str, ...], *, patience_s: float = math.inf) -> None:
        """Stop programs without data, all at once; KILL when the patience of each, or the given one, is over."""
        progress = self._begin(names, patience_s)
        self._end(progress)
        self._finish(progress)

    def end_supervisor(self, process: Process, shut_down: Callable[[], None]) -> None:
        """Shut supervisord down, which stops the daemon; KILL after 15 s, and after 2 s of a daemon that hangs.

        supervisord is not waited for as long where a child is still there after KILL: it waits for its children.
        """
        shut_down()
        now_s = self.cluster.clock.monotonic_s()
        patience_s = _DAEMON_PATIENCE_S if self.stuck else _SUPERVISORD_PATIENCE_S
        ending = {SUPERVISORD: _Progress(process, now_s, patience_s, termed_at_s=now_s)}
        if daemon := self.processes.get(DAEMON):
            # A frozen process takes no TERM before it continues.
            self.cluster.doors.send_signal(daemon, signal.SIGCONT)
            ending[DAEMON] = _Progress(daemon, now_s, _DAEMON_PATIENCE_S, termed_at_s=now_s)
        self._end(ending)
        self._finish({name: each for name, each in ending.items() if name == DAEMON})

    def check_ended(self) -> None:
        """Raise where a process is still there after KILL.

        Raises:
            TimedOutError: With the pid of each.
        """
        is_alive = self.cluster.doors.is_alive
        pids = {name: process.pid for name, process in self.stuck.items() if is_alive(process)}
        if pids:
            named = " and ".join(f"{name} (pid {pid})" for name, pid in pids.items())
            raise TimedOutError(
                f"cannot end {named}: still there {_KILL_PATIENCE_S:g} s after KILL",
                hint="It waits in the kernel, usually for a disk or a network file system that does not answer "
                f"('ps -o pid,stat,wchan,args -p {','.join(map(str, pids.values()))}'). It ends when that answers; "
                "then run the command again.",
                details={"pids": pids},
            )

    def stop_nodes(self, names: tuple[str, ...], *, patience_s: float) -> None:
        """Stop nodes in the order that loses no record."""
        progress = self._begin(names)
        said_lost = False
        while self._alive(progress):
            states = self._states(progress)
            if not said_lost and not quorum_holds(states) and self._is_a_broker_waiting(states):
                said_lost = True
                kill_after_s = LOST_KILL_AFTER_S if quorum_was_lost(states) else KILL_AFTER_S
                self.cluster.reporter.step(
                    f"The quorum is lost: a broker that cannot close its logs is killed after {kill_after_s:g} s"
                )
            for action in next_signals(states, patience_s=patience_s):
                self._send(action.name, progress[action.name], action.signal, action.why)
            self.cluster.clock.sleep(_POLL_S)
        self._finish(progress)

    def _end(self, progress: Mapping[str, _Progress]) -> None:
        while alive := self._alive(progress):
            for name, each in alive.items():
                if each.termed_at_s is None:
                    self._send(name, each, "TERM", "")
                elif self._since(each.termed_at_s) > each.patience_s and each.killed is None:
                    self._send(name, each, "KILL", f"it did not end within {each.patience_s:g} s")
            self.cluster.clock.sleep(_POLL_S)

    def _begin(self, names: tuple[str, ...], most_s: float = math.inf) -> dict[str, _Progress]:
        now_s = self.cluster.clock.monotonic_s()
        patience_s = {name: min(self.cluster.plan.program(name).stop.patience_s, most_s) for name in names}
        return {
            name: _Progress(self.processes[name], now_s, patience_s[name]) for name in names if name in self.processes
        }

    def _is_a_broker_waiting(self, states: list[NodeStop]) -> bool:
        return any(s.kind is Kind.BROKER and s.alive and not s.clean and (s.since_term_s or 0) > 1 for s in states)

    def _alive(self, progress: Mapping[str, _Progress]) -> dict[str, _Progress]:
        alive = {}
        for name, each in progress.items():
            if each.ended_at_s is not None or name in self.stuck:
                continue
            if not self.cluster.doors.is_alive(each.process):
                each.ended_at_s = self.cluster.clock.monotonic_s()
                self._report(name, "stopped", f"{self._took(each):.1f} s")
            elif self._since(each.killed_at_s) > _KILL_PATIENCE_S:
                self.stuck[name] = each.process
                self._report(name, "failed", f"pid {each.process.pid} is still there after KILL")
            else:
                alive[name] = each
        return alive

    def _report(self, name: str, state: str, detail: str = "") -> None:
        if name in self.cluster.plan.names:
            self.cluster.reporter.program(name, state, detail)

    def _states(self, progress: Mapping[str, _Progress]) -> list[NodeStop]:
        return [self._state(node, progress) for node in self.cluster.plan.nodes]

    def _state(self, node: Node, progress: Mapping[str, _Progress]) -> NodeStop:
        name = node.name
        is_voter = any(voter.node_id == node.node_id for voter in self.cluster.plan.voters)
        each = progress.get(name)
        if each is None:
            other = self.processes.get(name)
            alive = other is not None and self.cluster.doors.is_alive(other)
            return NodeStop(name, node.kind, is_voter, alive=alive, stopping=False)
        alive = each.ended_at_s is None and name not in self.stuck
        state = NodeStop(name, node.kind, is_voter, alive=alive, stopping=True, clean=self._is_clean(name))
        if each.termed_at_s is None:
            return replace(state, clean=False)
        if state.clean and each.clean_at_s is None:
            each.clean_at_s = self.cluster.clock.monotonic_s()
        return replace(
            state,
            since_term_s=self._since(each.termed_at_s),
            since_clean_s=self._since(each.clean_at_s) if each.clean_at_s is not None else None,
            starting=each.starting,
            dumped=each.dumped,
            killed=each.killed is not None,
        )

    def _is_clean(self, name: str) -> bool:
        return (self.cluster.plan.layout.data(name) / CLEAN_SHUTDOWN).exists()

    def _send(self, name: str, each: _Progress, signal_name: str, why: str) -> None:
        now_s = self.cluster.clock.monotonic_s()
        if signal_name == "TERM" and not self._takes_term(name, each):
            return
        if signal_name == "TERM":
            each.starting = self._is_starting(name)
        self.cluster.doors.send_signal(each.process, _SIGNALS[signal_name])
        if signal_name == "TERM":
            each.termed_at_s = now_s
            # A frozen process takes no TERM before it continues.
            self.cluster.doors.send_signal(each.process, signal.SIGCONT)
            self._report(name, "stopping")
        elif signal_name == "QUIT":
            each.dumped = True
        else:
            each.killed, each.killed_at_s = why, now_s

    def _is_starting(self, name: str) -> bool:
        """Return whether a broker has not opened its client port yet; a frozen one has."""
        clients = [broker.client for broker in self.cluster.plan.brokers if broker.name == name]
        return any(client and not self.cluster.doors.listens(client.host, client.port) for client in clients)

    def _takes_term(self, name: str, each: _Progress) -> bool:
        """Return whether a TERM would arrive: between fork and exec, supervisord's own handler swallows it."""
        now = self.cluster.doors.describe(each.process.pid)
        is_itself = now is None or self.cluster.plan.marker(name).marks(now.command)
        return is_itself or self._since(each.asked_at_s) > _EXEC_PATIENCE_S

    def _since(self, at_s: float | None) -> float:
        return self.cluster.clock.monotonic_s() - at_s if at_s is not None else 0.0

    def _took(self, each: _Progress) -> float:
        end_s = each.ended_at_s if each.ended_at_s is not None else self.cluster.clock.monotonic_s()
        return end_s - (each.termed_at_s if each.termed_at_s is not None else end_s)

    def _finish(self, progress: Mapping[str, _Progress]) -> None:
        for name, each in progress.items():
            if name in self.stuck:
                continue
            program = self.cluster.plan.program(name)
            clean = self._is_clean(name) if program.stop.has_logs else None
            self.results.append(Stopped(name, program.kind, clean, each.killed, round(self._took(each), 3)))


_SIGNALS: Mapping[str, signal.Signals] = {
    "TERM": signal.SIGTERM,
    "QUIT": signal.SIGQUIT,
    "KILL": signal.SIGKILL,
}
