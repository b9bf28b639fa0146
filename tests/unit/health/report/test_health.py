import json
from dataclasses import replace

import msgspec

from kraftd.health.programs.operations import Operation, OperationState
from kraftd.health.programs.state import LastExit
from kraftd.health.programs.verdict import judge
from kraftd.health.report.health import health_document, status_document
from kraftd.health.report.history import History, Moment, Rates
from tests.plans import plan_of
from tests.unit.health.views import READY, full_snapshot, program, snapshot

RUNNING = Operation("backup restore", OperationState.RUNNING, "b1 from /backups", None, pid=7)


def wire(document):
    return json.loads(msgspec.json.encode(document))


def test_the_status_document_is_the_contract():
    look = snapshot(program("broker-1"))

    document = wire(status_document(plan_of(), look, judge(look), "daemon"))

    assert {key: value for key, value in document.items() if key != "nodes"} == {
        "ok": True,
        "schema_version": 1,
        "cluster": "local",
        "status": "ok",
        "ready": True,
        "reasons": [],
        "source": "daemon",
        "generated_at": "1970-01-01T00:16:40.000Z",
        "state_dir": "/srv/kraftd/local",
        "bootstrap_servers": "127.0.0.1:9092,127.0.0.1:9093",
        "kafka_version": "3.9.2",
        "rung": "ready",
        "operations": [],
    }


def test_what_takes_long_is_in_the_status_of_a_command_too():
    look = replace(full_snapshot(), operations=(RUNNING,))

    for source in ("command", "daemon"):
        assert status_document(plan_of(), look, judge(look), source).operations == (RUNNING,)
    assert health_document(plan_of(), look, judge(look), 1000.0).operations == (RUNNING,)


def test_a_node_record_is_the_contract():
    ended = LastExit("2026-01-01T00:00:00.000Z", 143, None)

    look = snapshot(replace(READY, last_exit=ended))
    (record,) = wire(status_document(plan_of(), look, judge(look), "daemon"))["nodes"]

    assert record == {
        "name": "broker-1",
        "kind": "broker",
        "node_id": 1,
        "pid": 4711,
        "process_state": "RUNNING",
        "service_state": "READY",
        "ready": True,
        "restarts": 0,
        "last_exit": {"at": "2026-01-01T00:00:00.000Z", "status": 143, "signal": None, "cause": None},
        "reason": None,
        "uptime_s": 12.5,
        "listeners": ["127.0.0.1:9092"],
        "jmx_port": 9999,
        "heap_bytes": 4294967296,
        "log": "/srv/kraftd/local/logs/broker-1/server.log",
        "metrics_port": 7071,
        "rung": None,
        "recovery": None,
        "notes": [],
        "next_restart_at": None,
    }


def test_health_tells_its_age_and_never_a_negative_one():
    look = snapshot(program("broker-1"))

    assert health_document(plan_of(), look, judge(look), 1002.5).age_s == 2.5
    assert health_document(plan_of(), look, judge(look), 999.0).age_s == 0.0


def test_health_tells_what_each_program_takes():
    look = full_snapshot()
    history = History(rates=Rates(cpu={"broker-1": 0.25}))

    document = wire(health_document(plan_of(), look, judge(look), 1000.0, history))
    programs = {each["name"]: each for each in document["programs"]}

    assert programs["broker-1"] == {
        "name": "broker-1",
        "service_state": "READY",
        "pid": 4711,
        "cpu_s": 12.5,
        "cpu_cores": 0.25,
        "resident_bytes": 900_000_000,
        "open_files": 120,
        "threads": 80,
    }
    assert (programs["broker-2"]["pid"], programs["broker-2"]["cpu_s"]) == (None, None)


def test_the_throughput_is_that_of_the_newest_moment():
    look = full_snapshot()
    moment = Moment(995.0, 12.5, None, None, None)

    known = health_document(plan_of(), look, judge(look), 1000.0, History((moment,)))
    unknown = health_document(plan_of(), look, judge(look), 1000.0)

    assert (known.produced_per_s, unknown.produced_per_s) == (12.5, None)


def test_the_throughput_is_not_known_as_soon_as_no_broker_answers():
    look = snapshot(program("broker-1"))
    moment = Moment(995.0, 12.5, None, None, None)

    assert health_document(plan_of(), look, judge(look), 1000.0, History((moment,))).produced_per_s is None
