"""The daemon's threads: loop, collector, alerts, logs, HTTP in the main one. Whichever fails, the process ends."""

import gc
import logging
import socket
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn

from kraftd.daemon.backups import BackupScheduler
from kraftd.daemon.log_rotation import LOOK_EVERY_S, LogRotator
from kraftd.daemon.loop import Loop
from kraftd.daemon.watchdog import Heartbeat
from kraftd.errors import KraftdError
from kraftd.health.programs.state import ServiceState, Snapshot
from kraftd.health.programs.verdict import is_settled
from kraftd.health.report.history import History, extended
from kraftd.host.processes import ExitWatch
from kraftd.kafka.admin import KafkaAdmin
from kraftd.observe.alerts import ALERTS_EVERY_S, AlertReader
from kraftd.observe.collector import CollectAction, Collector, next_collect_action
from kraftd.plan.kinds import PROMETHEUS
from kraftd.plan.plan import Plan
from kraftd.plan.program import Kind
from kraftd.serve.metrics.exposition import Exposition
from kraftd.web.server import Server

logger = logging.getLogger("kraftd.daemon")

_STARTING_TICK_S = 0.5
_LEAST_TICK_S = 0.1
_NEW_OBJECTS = 20_000
_BACKUP_END_S = 1.5
"""How long a backup that is under way may take to end: a stop gives the daemon 2 s."""


class HttpServer(Server):
    """A server that calls back while it serves, and when it begins to shut down, as that waits for open streams."""

    def __init__(
        self, config: uvicorn.Config, on_shutdown: Callable[[], None], on_turn: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(config)
        self._on_shutdown = on_shutdown
        self._on_turn = on_turn

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to shut down; uvicorn's own repeats the signal after that, and it would end the process at once."""
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Call back about ten times a second: whatever blocks requests blocks this too."""
        self._on_turn()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse new connections, and wait for those that are open."""
        self._on_shutdown()
        await super().shutdown(sockets)


class Service:
    """What the daemon has seen, and the threads that see it."""

    def __init__(
        self,
        plan: Plan,
        loop: Loop,
        collector: Collector,
        admin: KafkaAdmin,
        alerts: AlertReader | None = None,
        heartbeat: Heartbeat | None = None,
        logs: LogRotator | None = None,
        backups: BackupScheduler | None = None,
    ) -> None:
        self._plan = plan
        self._exit_watch = ExitWatch()
        self._loop = loop
        self._collector = collector
        self._admin = admin
        self._alerts = alerts or AlertReader(None)
        self._heartbeat = heartbeat
        self._logs = logs
        self._backups = backups
        self._stop = threading.Event()
        self._is_ending = False
        self._newest: Snapshot | None = None
        self._restart_in_s: float | None = None
        self._history = History()
        self._exposition = Exposition()
        self._subscribers: list[Callable[[], None]] = []

    def newest(self) -> Snapshot | None:
        """Return the newest snapshot; None before the first."""
        return self._newest

    def history(self) -> History:
        """Return what is remembered of the snapshots before."""
        return self._history

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return the body of /metrics and its content type, in a format that is accepted."""
        return self._exposition.body(accept)

    def is_ending(self) -> bool:
        """Return whether open streams should end."""
        return self._is_ending

    def subscribe(self, on_change: Callable[[], None]) -> None:
        """Have a function called, in any thread, at each new snapshot and when open streams should end."""
        self._subscribers.append(on_change)

    def end_streams(self) -> None:
        """Have open streams end, and what takes long, because the HTTP server shuts down."""
        self._is_ending = True
        if self._backups is not None:
            self._backups.end()
        self._notify()

    def request_tick(self) -> None:
        """Let the loop observe at once, or once more where it just does."""
        self._exit_watch.wake()

    def serve(self, server: HttpServer) -> None:
        """Run until a signal ends the HTTP server, then end the threads.

        Raises:
            SystemExit: The HTTP server cannot listen; why is in the log.
        """
        for target in (self.watch, self.collect, self.read_alerts, self.rotate_logs):
            threading.Thread(target=target, name=target.__name__, daemon=True).start()
        backing_up = threading.Thread(target=self.back_up, name="back_up", daemon=True)
        backing_up.start()
        try:
            server.run()
        finally:
            self.stop()
            backing_up.join(_BACKUP_END_S)
            if self._heartbeat is not None:
                self._heartbeat.end()

    def stop(self) -> None:
        """Make the threads end."""
        self._stop.set()
        if self._backups is not None:
            self._backups.end()
        self._exit_watch.wake()

    def watch(self) -> None:
        """Let the loop tick until stopped: at every interval, and at once when a process ends."""
        exit_watch = self._exit_watch
        after_exit = False
        while not self._stop.is_set():
            try:
                tick = self._loop.tick(after_exit=after_exit)
                self._store(tick.snapshot)
                self._restart_in_s = tick.restart_in_s
                exit_watch.watch(tick.pids)
            except KraftdError as error:
                # A damaged file or a refused write must not end the loop; the next tick shows whether it lasts.
                logger.error("Tick failed: %s", error)  # noqa: TRY400 a sentence for people, not a traceback
            if self._heartbeat is not None:
                self._heartbeat.beat()
            after_exit = bool(exit_watch.wait(self._tick_interval_s(is_prompt=exit_watch.is_prompt)))
        exit_watch.close()

    def _store(self, snapshot: Snapshot) -> None:
        self._newest = snapshot
        self._history = extended(self._history, snapshot, self._plan.daemon.lag_interval_s)
        self._exposition.show_programs(snapshot)
        self._notify()

    def _notify(self) -> None:
        for on_change in tuple(self._subscribers):
            on_change()

    def _tick_interval_s(self, *, is_prompt: bool) -> float:
        """Return how long to wait: shorter while something comes up or is due, and where no exit ends the wait."""
        interval_s = self._plan.daemon.interval_s
        if self._restart_in_s is not None:
            interval_s = min(interval_s, max(self._restart_in_s, _LEAST_TICK_S))
        return min(interval_s, _STARTING_TICK_S) if self._is_starting or not is_prompt else interval_s

    @property
    def _is_starting(self) -> bool:
        programs = self._newest.programs if self._newest else ()
        return any(each.service_state is ServiceState.STARTING for each in programs)

    def collect(self) -> None:
        """Ask Kafka at every interval until stopped; not while no broker serves, nor at first while a start goes on."""
        waited_s = 0.0
        while not self._stop.wait(self._plan.daemon.interval_s):
            waited_s += self._plan.daemon.interval_s
            self._collect_once(waited_s)

    def _collect_once(self, waited_s: float) -> None:
        before = self._collector.view
        match next_collect_action(self._newest, has_seen_kafka=before.quorum is not None, waited_s=waited_s):
            case CollectAction.ASK:
                self._admin.open()
                self._collector.collect(is_settled=self._is_settled)
            case CollectAction.GIVE_UP:
                self._collector.give_up("no broker answers")
            case CollectAction.WAIT:
                pass
        if self._collector.view is not before:
            self._exposition.show_kafka(self._collector.view)

    def read_alerts(self) -> None:
        """Ask Prometheus at its interval until stopped: in a thread of its own, as it may not answer."""
        while self._plan.tool(PROMETHEUS) is not None and not self._stop.wait(ALERTS_EVERY_S):
            self._alerts.read()

    def rotate_logs(self) -> None:
        """Look after the logs until stopped: in a thread of its own, as it takes a while to compress a large one."""
        while self._logs is not None and not self._stop.wait(LOOK_EVERY_S):
            self._logs.look()

    def back_up(self) -> None:
        """Make the scheduled backups until stopped, in a thread of its own; nothing where there is no schedule."""
        if self._backups is not None:
            self._backups.run(lambda: self._is_settled, self._has_broker)

    def _has_broker(self) -> bool:
        programs = self._newest.programs if self._newest else ()
        return any(each.kind is Kind.BROKER and each.ready for each in programs)

    @property
    def _is_settled(self) -> bool:
        topics = tuple(topic.name for topic in self._plan.topics)
        return self._newest is not None and is_settled(self._newest, topics)


def tune_gc() -> None:
    """Let Python rarely look for cyclic garbage, and never among what is loaded by now.

    A cycle of the collector makes tens of thousands of objects and keeps them until the next one; hardly any refer to
    themselves. Python looks at the new ones after each 700, and now and then at all: a fifth of a cycle's CPU.
    """
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
