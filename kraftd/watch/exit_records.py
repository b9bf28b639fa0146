"""How programs last ended, with what their logs say of it."""

from collections.abc import Mapping
from datetime import datetime

from kraftd.host.files import tail
from kraftd.spec.figures import timestamp
from kraftd.spec.plan import Plan
from kraftd.supervisord.exits import Exit, last_exits
from kraftd.watch.causes import Cause, diagnose
from kraftd.watch.evidence import last_records
from kraftd.watch.process_facts import ProcessFact
from kraftd.watch.snapshot import LastExit

_LOG_LINES = 1000
_TERMINATED = 128 + 15
"""The exit status of a JVM, and of an app, that ended because of SIGTERM."""

_LONGEST_START_S = 120.0
"""What lived for longer had finished its start, also where its logs have rotated over the record that says so."""


def exit_records(plan: Plan) -> dict[str, LastExit]:
    """Return the last exit of each program that ended since supervisord's log begins."""
    exits = last_exits(tail(plan.layout.supervisord_log, _LOG_LINES))
    return {name: LastExit(_utc(ended), ended.status, ended.signal) for name, ended in exits.items()}


def cause_of(plan: Plan, program: str, fact: ProcessFact, ended: LastExit | None) -> Cause:
    """Return why a program's last run ended.

    A signal from outside says nothing about the program: its logs explain only an exit of its own.
    """
    if ended is None:
        return Cause(f"it does not run ({fact.state})", "Read its log.")
    if ended.signal is not None:
        return Cause(str(ended), "Something sent it that signal; the kernel does when memory runs out.")
    if ended.status == _TERMINATED:
        return Cause(str(ended), "Something sent it SIGTERM; 'kraftd stop' stops it for good.")
    records = last_records(plan.layout, plan.program(program), fact.started_at_s)
    lived_s = datetime.fromisoformat(ended.at).timestamp() - (fact.started_at_s or 0.0)
    return diagnose(str(ended), records, started=lived_s > _LONGEST_START_S)


def with_causes(records: Mapping[str, LastExit], plan: Plan, facts: Mapping[str, ProcessFact]) -> dict[str, LastExit]:
    """Return the records of programs that do not run now with their causes, the others as they are."""
    explained = dict(records)
    for name, record in records.items():
        fact = facts.get(name)
        if fact is None or fact.pid is not None or name not in plan.names:
            continue
        text = cause_of(plan, name, fact, record).text
        explained[name] = LastExit(record.at, record.status, record.signal, text.partition(": ")[2] or None)
    return explained


def _utc(ended: Exit) -> str:
    # supervisord stamps its log in local time.
    return timestamp(datetime.strptime(ended.at_local, "%Y-%m-%d %H:%M:%S").astimezone().timestamp())
