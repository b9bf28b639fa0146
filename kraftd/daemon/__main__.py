"""The daemon: observes a cluster, restarts what ended, serves health and metrics. The composition root."""

import argparse
import logging
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import cast

from kraftd.clock import Clock, SystemClock
from kraftd.daemon.backups import backup_scheduler
from kraftd.daemon.doors import daemon_doors, reopen_logs
from kraftd.daemon.log_rotation import LogRotator
from kraftd.daemon.loop import Loop
from kraftd.daemon.service import HttpServer, Service, tune_gc
from kraftd.daemon.watchdog import Heartbeat
from kraftd.health.programs.restarts import RestartHistory, from_json, unreadable
from kraftd.host.events import EventLog
from kraftd.host.files import read_text
from kraftd.kafka.admin import KafkaAdmin
from kraftd.observe.alerts import AlertReader
from kraftd.observe.collector import Collector
from kraftd.plan.kinds import PROMETHEUS
from kraftd.plan.plan import Plan
from kraftd.plan.plan_json import parse_plan
from kraftd.plan.program import DAEMON
from kraftd.serve.front import Problem, create_front
from kraftd.supervisord.rpc import Supervisor
from kraftd.web.asgi import App
from kraftd.web.background import dump_threads_on_quit, end_process
from kraftd.web.server import server_config

logger = logging.getLogger("kraftd.daemon")


def build(plan: Plan) -> tuple[Service, HttpServer]:
    """Return the service and its HTTP server, nothing started yet."""
    clock = SystemClock()
    admin = KafkaAdmin(plan.access)
    collector = Collector(admin, clock, plan)
    alerts = AlertReader(plan.tool(PROMETHEUS))
    events = EventLog(plan.layout.events, "daemon", clock)
    supervisor = Supervisor(plan.layout.socket)
    doors = daemon_doors(plan, supervisor, collector, alerts, events, clock)
    backups = backup_scheduler(plan, lambda kind, text: doors.record_event(kind, DAEMON, text), clock)
    if backups is not None:
        doors = replace(doors, backup=backups.view)
    loop = Loop(plan, doors, clock, _recorded_restarts(plan.layout.restarts))
    heartbeat = Heartbeat(plan.layout.heartbeat, plan.daemon)
    logs = LogRotator(plan, clock, lambda: reopen_logs(plan, supervisor))
    service = Service(plan, loop, collector, admin, alerts, heartbeat, logs, backups)
    if heartbeat.begin():
        what = "it had stopped observing the cluster or answering requests: supervisord ended that run"
        doors.record_event("hung", DAEMON, what)
    config = server_config(
        create_front(plan, service.newest, clock, lambda: _load_app(plan, service, clock), service.request_tick),
        lambda code, fault, _under_way: Problem(code, fault).answer(),
        drain_s=2,
        host=plan.daemon.host,
        port=plan.daemon.port,
        access_log=False,
        log_level="warning",
    )
    return service, HttpServer(config, on_shutdown=service.end_streams, on_turn=heartbeat.note_http)


def _recorded_restarts(path: Path) -> dict[str, RestartHistory]:
    text = read_text(path)
    if reason := unreadable(text):
        logger.warning("No restart before now counts, and nothing waits for one: cannot read %s: %s", path, reason)
    return from_json(text)


def _load_app(plan: Plan, service: Service, clock: Clock) -> App:
    from kraftd.serve.app import create_app  # noqa: PLC0415 FastAPI costs a start 0.2 s of CPU

    return cast("App", create_app(plan, service, clock))


def main() -> None:
    """Run the daemon of the cluster in ``--state-dir``; supervisord calls this."""
    parser = argparse.ArgumentParser(prog="python -m kraftd.daemon", description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # A broker that is down is in the snapshot; kafka-python would say it at every attempt.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    threading.excepthook = end_process
    dump_threads_on_quit()
    path = arguments.state_dir / "plan.json"
    text = read_text(path)
    if text is None:
        sys.exit(f"cannot read the plan {path}: there is no such file")
    service, server = build(parse_plan(text, path))
    tune_gc()
    status: str | int | None = 0
    try:
        service.serve(server)
    except SystemExit as ended:
        status = ended.code
    logging.shutdown()
    # The interpreter's own end refuses new work to threads that still look at the cluster: they would fail, and say so.
    os._exit(status if isinstance(status, int) else 1)


if __name__ == "__main__":
    main()
