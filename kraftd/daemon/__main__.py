"""The daemon: observes a cluster, restarts what ended, serves health and metrics. The composition root."""

import argparse
import logging
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from kraftd.clock import Clock, SystemClock
from kraftd.daemon.loop import Loop
from kraftd.errors import FileAccessError, KraftdError
from kraftd.health.lag.view import KafkaView
from kraftd.health.programs.causes import Cause
from kraftd.health.programs.facts import Answer, ProcessFact
from kraftd.health.programs.restarts import RestartHistory, from_json, to_json, unreadable
from kraftd.health.programs.state import LastExit, ProcessUsage, ProgramView, ServiceState, Snapshot
from kraftd.health.programs.verdict import is_settled
from kraftd.health.report.history import History, extended
from kraftd.host.events import EventLog
from kraftd.host.files import read_text, write_atomically
from kraftd.host.garbage import collect_seldom
from kraftd.host.jvm import AttachError, enable_jmx
from kraftd.host.lock import try_acquire
from kraftd.host.processes import ExitWatch, Process, usage
from kraftd.kafka.admin import KafkaAdmin
from kraftd.observe.collector import CollectAction, Collector, next_collect_action
from kraftd.observe.exits import cause_of, exit_records, with_causes
from kraftd.observe.probes import ask_all
from kraftd.observe.processes import ProcessTable, find_processes
from kraftd.plan.desired import DesiredState, parse_desired
from kraftd.plan.plan import Plan
from kraftd.plan.plan_json import parse_plan
from kraftd.serve.front import create_front
from kraftd.serve.metrics.exposition import Exposition
from kraftd.serve.problems import Problem
from kraftd.supervisord.rpc import Supervisor, SupervisorRefusedError, SupervisorUnreachableError
from kraftd.web.asgi import App

if TYPE_CHECKING:
    import uvicorn

logger = logging.getLogger("kraftd.daemon")

_ASK_TIMEOUT_S = 2.0
_SHORT_TURN_S = 0.5
_EXIT_STATUS_OF_A_DEFECT = 70


class Machine:
    """The loop's surroundings: this machine, supervisord, and what the collector last saw of Kafka."""

    def __init__(
        self, plan: Plan, supervisor: Supervisor, collector: Collector, events: EventLog, clock: Clock
    ) -> None:
        self._plan = plan
        self._supervisor = supervisor
        self._collector = collector
        self._events = events
        self._clock = clock
        self._managed: set[Process] = set()

    def process_table(self) -> ProcessTable:
        """Return which programs run."""
        return find_processes(self._plan, self._supervisor)

    def desired(self) -> DesiredState:
        """Return which programs shall run."""
        path = self._plan.layout.desired
        return parse_desired(read_text(path), path)

    def answers(self, programs: tuple[str, ...]) -> dict[str, Answer]:
        """Ask programs whether they serve, side by side."""
        return ask_all(self._plan, programs, timeout_s=_ASK_TIMEOUT_S)

    def kafka(self) -> KafkaView:
        """Return what the collector last saw."""
        return self._collector.view

    def exits(self, facts: Mapping[str, ProcessFact]) -> dict[str, LastExit]:
        """Return how programs last ended."""
        return with_causes(exit_records(self._plan), self._plan, facts)

    def cause(self, program: str, fact: ProcessFact, ended: LastExit | None) -> Cause:
        """Return why a program's last run ended."""
        return cause_of(self._plan, program, fact, ended)

    def start(self, program: str) -> None:
        """Start a program and return at once; what supervisord refuses is tried again at the next turn."""
        try:
            self._supervisor.start(self._plan.program(program).supervised_name)
        except (SupervisorUnreachableError, SupervisorRefusedError) as error:
            logger.warning("Restart of %s failed: %s", program, error)

    def usages(self, processes: Mapping[str, Process]) -> dict[str, ProcessUsage]:
        """Return what processes take, by program name."""
        found = {name: (usage(process.pid), process.started_at_s) for name, process in processes.items()}
        return {
            name: ProcessUsage(each.cpu_s, each.resident_bytes, each.open_files, each.threads, started_at_s)
            for name, (each, started_at_s) in found.items()
            if each is not None
        }

    def enable_jmx(self, serving: Mapping[str, Process]) -> None:
        """Let JMX clients into brokers that serve, once for each process; a refusal is only logged."""
        for broker in self._plan.brokers:
            process = serving.get(broker.name)
            if process is None or broker.jmx is None or process in self._managed:
                continue
            self._managed.add(process)
            try:
                enable_jmx(process, broker.jmx, self._plan.layout.jmx, self._clock)
            except AttachError as error:
                logger.warning("%s has no JMX: %s", broker.name, error)

    def lock(self) -> AbstractContextManager[bool]:
        """Hold the cluster's lock where no command does."""
        return try_acquire(self._plan.layout.lock, command="daemon")

    def save_restarts(self, restart_histories: Mapping[str, RestartHistory]) -> None:
        """Keep the restart budget beyond this process; where the disk is full, only in it."""
        try:
            write_atomically(self._plan.layout.restarts, to_json(restart_histories))
        except FileAccessError as error:
            logger.warning("The restarts are not on record: %s", error)

    def record_event(self, kind: str, program: str, text: str) -> None:
        """Record an event."""
        logger.warning("%s %s: %s", program, kind, text)
        try:
            self._events.record(kind, text, program=program)
        except FileAccessError as error:
            logger.warning("That is not on record: %s", error)


class Service:
    """The daemon's threads: the loop, the collector, and HTTP in the main one. Whichever fails, the process ends."""

    def __init__(self, plan: Plan, loop: Loop, collector: Collector, admin: KafkaAdmin) -> None:
        self._plan = plan
        self._exit_watch = ExitWatch()
        self._loop = loop
        self._collector = collector
        self._admin = admin
        self._stop = threading.Event()
        self._newest: Snapshot | None = None
        self._history = History()
        self._server: uvicorn.Server | None = None
        self._exposition = Exposition()

    def newest(self) -> Snapshot | None:
        """Return the newest snapshot; None before the first."""
        return self._newest

    def history(self) -> History:
        """Return what is remembered of the snapshots before."""
        return self._history

    def is_ending(self) -> bool:
        """Return whether the HTTP server was told to end."""
        return self._server is not None and self._server.should_exit

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return the body of /metrics and its content type, in a format that is accepted."""
        return self._exposition.body(accept)

    def request_tick(self) -> None:
        """Turn the loop at once, or once more where it is just turning."""
        self._exit_watch.wake()

    @property
    def _newest_programs(self) -> tuple[ProgramView, ...]:
        return self._newest.programs if self._newest else ()

    def watch(self) -> None:
        """Turn the loop until stopped: every interval, and at once when a process ends."""
        exit_watch = self._exit_watch
        after_exit = False
        while not self._stop.is_set():
            try:
                tick = self._loop.tick(after_exit=after_exit)
                self._newest = tick.snapshot
                self._history = extended(self._history, tick.snapshot)
                self._exposition.show_programs(tick.snapshot)
                exit_watch.watch(tick.pids)
            except KraftdError as error:
                # A damaged file or a refused write must not end the watch; the next turn says whether it lasts.
                logger.error("Turn failed: %s", error)  # noqa: TRY400 a sentence for people, not a traceback
            after_exit = bool(exit_watch.wait(self._turn_s(is_prompt=exit_watch.is_prompt)))
        exit_watch.close()

    def _turn_s(self, *, is_prompt: bool) -> float:
        """Return how long to wait: shorter while something comes up, and where no exit ends the wait."""
        interval_s = self._plan.daemon.interval_s
        return min(interval_s, _SHORT_TURN_S) if self._is_coming_up or not is_prompt else interval_s

    @property
    def _is_coming_up(self) -> bool:
        return any(each.service_state is ServiceState.STARTING for each in self._newest_programs)

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

    @property
    def _is_settled(self) -> bool:
        topics = tuple(topic.name for topic in self._plan.topics)
        return self._newest is not None and is_settled(self._newest, topics)

    def serve(self, server: "uvicorn.Server") -> None:
        """Run until a signal ends the HTTP server, then end the threads."""
        self._server = server
        collect_seldom()
        for target in (self.watch, self.collect):
            threading.Thread(target=target, name=target.__name__, daemon=True).start()
        try:
            server.run()
        finally:
            self._stop.set()


def _recorded_restarts(path: Path) -> dict[str, RestartHistory]:
    text = read_text(path)
    if reason := unreadable(text):
        logger.warning("Every program has a fresh restart budget: cannot read %s: %s", path, reason)
    return from_json(text)


def build(plan: Plan) -> tuple[Service, "uvicorn.Server"]:
    """Return the service and its HTTP server, nothing started yet."""
    import uvicorn  # noqa: PLC0415 the loop's threads need none of it

    from kraftd.web.server import server_config  # noqa: PLC0415

    clock = SystemClock()
    admin = KafkaAdmin(plan.access)
    collector = Collector(admin, clock, plan)
    events = EventLog(plan.layout.events, "daemon", clock)
    machine = Machine(plan, Supervisor(plan.layout.socket), collector, events, clock)
    loop = Loop(plan, machine, clock, _recorded_restarts(plan.layout.restarts))
    service = Service(plan, loop, collector, admin)
    config = server_config(
        create_front(plan, service.newest, clock, lambda: _load_app(plan, service, clock), service.request_tick),
        lambda fault, _under_way: Problem("malformed_request", fault).answer(),
        drain_s=2,
        host=plan.daemon.host,
        port=plan.daemon.port,
        access_log=False,
        log_level="warning",
    )
    return service, uvicorn.Server(config)


def _load_app(plan: Plan, service: Service, clock: Clock) -> App:
    from kraftd.serve.app import create_app  # noqa: PLC0415 FastAPI costs a start 0.2 s of CPU

    return cast("App", create_app(plan, service, clock))


def end_process(failed: threading.ExceptHookArgs) -> None:
    """End the process because one of its threads failed, with the traceback in its log.

    What is left of a daemon without one of its threads looks alive and does not do its work; a new one does.
    """
    name = failed.thread.name if failed.thread else "unknown"
    try:
        logger.critical("The daemon ends because its thread %s failed", name, exc_info=failed.exc_value)
    finally:
        os._exit(_EXIT_STATUS_OF_A_DEFECT)


def main() -> None:
    """Run the daemon of the cluster in ``--state-dir``; supervisord calls this."""
    parser = argparse.ArgumentParser(prog="python -m kraftd.daemon", description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # A broker that is down is in the snapshot; kafka-python would say it at every attempt.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    threading.excepthook = end_process
    path = arguments.state_dir / "plan.json"
    text = read_text(path)
    if text is None:
        sys.exit(f"cannot read the plan {path}: there is no such file")
    service, server = build(parse_plan(text, path))
    service.serve(server)


if __name__ == "__main__":
    main()
