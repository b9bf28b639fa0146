"""`kraftd doctor`: each check fails by itself, with a fact, a remedy and the exit code that follows."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from kraftd.errors import ConfigurationError, RuntimeMissingError
from kraftd.health.programs.disks import DiskSpace
from kraftd.host.machine import PortHolder
from kraftd.operate.diagnose.doctor import DoctorDoors, diagnose
from kraftd.operate.diagnose.findings import Level
from kraftd.operate.render import files_of
from kraftd.operate.selection import ChosenCluster
from kraftd.operate.start.start import lock_and_start
from kraftd.operate.stop.stop import StopOptions, stop
from kraftd.plan.loading import configure, parse_toml
from kraftd.runtime.archive import OLDEST_JAVA
from kraftd.runtime.java import Java
from kraftd.runtime.runtime import Runtime
from kraftd.supervisord.rpc import OtherNamespaceError
from tests.plans import LAUNCH
from tests.unit.operate.fake_cluster import GIB, FakeCluster

JAVA = Java(Path("/opt/java/bin/java"), Path("/opt/java"), "25.0.2", 25)
RUNTIME = Runtime("3.9.2", JAVA, (Path("/cache/kafka.jar"),), Path("/cache/archive.jsa"))


class Machine:
    """A machine on which everything is well, and a cluster on it; a test changes one thing."""

    def __init__(self, tmp_path):
        self.cluster = FakeCluster(tmp_path, disks=(DiskSpace("/srv", 100 * GIB, 200 * GIB),))
        self.start = {}
        self.cluster_doors = {}
        self.doors = {}
        self.toml = ""
        self.fault = None

    def run(self):
        """Let the cluster run; the files are of today, whatever the clock of the test says."""
        lock_and_start(self.cluster.starting())
        self.cluster.clock.step(1e9)

    def choose(self):
        if self.fault is not None:
            raise self.fault
        configuration = configure([parse_toml(self.toml, "kraftd.toml")])
        return ChosenCluster(configuration, "kraftd.toml", self.cluster.plan.layout)

    def diagnose(self):
        kind = {
            "cluster": replace(self.cluster.context.doors, **self.cluster_doors),
            "start": replace(self.cluster.start_doors(), **self.start),
            "find_runtime": lambda plan, command_context: RUNTIME,
            "missing_agent_notes": lambda plan, java, command_context: (),
            "rendered_files": lambda plan, command_context: files_of(plan, LAUNCH, command_context),
            "max_map_count": lambda: 262_144,
            "file_name_encoding": lambda: "utf-8",
            "cores": lambda: 8,
            "highest_processes": lambda: None,
            "open_files_of": lambda pid: 100_000,
            "temporary_directory": lambda: self.cluster.tmp_path,
        }
        return diagnose(self.choose, self.cluster.context.command_context, DoctorDoors(**(kind | self.doors)))


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def bad(diagnosis):
    return {finding.name: finding for finding in diagnosis.findings if finding.status is not Level.OK}


@pytest.mark.parametrize("runs", [False, True], ids=["stopped", "running"])
def test_where_all_is_well_every_check_says_so(machine, runs):
    if runs:
        machine.run()

    diagnosis = machine.diagnose()

    assert (bad(diagnosis), diagnosis.exit_code, diagnosis.cluster) == ({}, 0, "local")
    assert {finding.name for finding in diagnosis.findings} >= {
        "configuration",
        "records",
        "Java",
        "Kafka",
        "start-up archive",
        "metrics agent",
        "data",
        "loopback",
        "ports",
        "memory",
        "profile",
        "disk",
        "logs",
        "open files",
        "clock",
        "processes",
        "temporary directories",
        "supervision",
        "lock",
        "versions",
        "vm.max_map_count",
        "locale",
    }


def refuses(error):
    def refuse(*arguments):
        raise error

    return refuse


def no_answer(machine):
    machine.cluster.unreachable = "timed out"


def without_supervisord(machine):
    machine.cluster.supervisor_pid = None


def without_data(machine):
    shutil.rmtree(machine.cluster.plan.layout.data("broker-1"))


def without_a_rendered_file(machine):
    (machine.cluster.plan.layout.config("broker-1") / "server.properties").unlink()


def damaged(name):
    return lambda machine: getattr(machine.cluster.plan.layout, name).write_text("{")


def without_stepping(machine):
    machine.cluster.clock.step(-1e9)


def door(**doors):
    return lambda machine: machine.doors.update(doors)


def start_door(**doors):
    return lambda machine: machine.start.update(doors)


def no_runtime(code):
    error = RuntimeMissingError("cannot find it", hint="Run 'kraftd setup'.", code=code)
    return door(find_runtime=refuses(error))


def no_archive(java):
    return door(find_runtime=lambda plan, command_context: replace(RUNTIME, archive=None, java=java))


def taken(port):
    return start_door(port_holder=lambda host, number: PortHolder(4711, "nc") if number == port else None)


def contradicted(machine):
    machine.toml = "[cluster]\nbrokers = 1"


def barely_enough_memory(machine):
    heaps = sum(node.heap_bytes for node in machine.cluster.plan.nodes)
    machine.start["memory_bytes"] = lambda: heaps + 1


FAILURES = [
    ("loopback", start_door(loopback_fault=lambda host: "no route")),
    ("memory", start_door(memory_bytes=lambda: GIB // 8)),
    ("disk", start_door(disk_spaces=lambda plan: (DiskSpace("/srv", 1024, 200 * GIB),))),
    ("disk", start_door(disk_spaces=refuses(PermissionError(13, "Permission denied", "/srv")))),
    ("open files", door(open_files_of=lambda pid: 10)),
    ("processes", door(highest_processes=lambda: 10)),
    ("Java", no_runtime("java_missing")),
    ("Kafka", no_runtime("jars_damaged")),
    ("Kafka", door(find_runtime=refuses(PermissionError(13, "Permission denied", "/cache/jars")))),
    ("data", without_data),
    ("data", contradicted),
    ("records", damaged("plan")),
    ("records", damaged("manifest")),
    ("records", damaged("desired")),
    ("rendered files", without_a_rendered_file),
    ("supervision", without_supervisord),
    ("supervision", no_answer),
]
WARNINGS = [
    ("open files", door(open_files_of=lambda pid: 2000)),
    ("vm.max_map_count", door(max_map_count=lambda: 1000)),
    ("locale", door(file_name_encoding=lambda: "ascii")),
    ("profile", barely_enough_memory),
    ("Kafka", no_runtime("jars_missing")),
    ("start-up archive", no_archive(JAVA)),
    ("metrics agent", door(missing_agent_notes=lambda plan, java, context: ("the nodes run without it",))),
    ("clock", without_stepping),
    ("temporary directories", door(temporary_directory=lambda: Path("/nowhere"))),
]


@pytest.mark.parametrize(
    ("name", "spoil", "level"),
    [*((*each, Level.FAILURE) for each in FAILURES), *((*each, Level.WARNING) for each in WARNINGS)],
)
def test_what_is_wrong_is_found_with_a_remedy(machine, name, spoil, level):
    machine.run()
    machine.toml = "[cluster]\nbrokers = 2"
    spoil(machine)

    diagnosis = machine.diagnose()

    found = bad(diagnosis)[name]
    assert (found.status, bool(found.fact), bool(found.remedy)) == (level, True, True)
    assert diagnosis.exit_code == (level is Level.FAILURE)


@pytest.mark.parametrize(
    ("port", "level"), [("client", Level.FAILURE), ("metrics", Level.WARNING)], ids=["client", "metrics"]
)
def test_a_taken_port_of_what_does_not_run_yet_is_found(machine, port, level):
    listener = getattr(machine.cluster.plan.brokers[0], port)
    taken(listener.port)(machine)

    diagnosis = machine.diagnose()

    assert bad(diagnosis)["ports"].status is level
    assert "4711" in bad(diagnosis)["ports"].fact
    assert diagnosis.exit_code == (level is Level.FAILURE)


def test_the_ports_of_what_runs_are_its_own(machine):
    machine.run()
    machine.start["port_holder"] = lambda host, number: PortHolder(4711, "java")

    assert bad(machine.diagnose()) == {}


def test_files_of_somebody_else_under_the_names_of_kraftd_are_found(machine):
    (machine.cluster.plan.layout.state_dir / "data").mkdir(parents=True)
    (machine.cluster.plan.layout.state_dir / "data" / "photo.jpg").touch()

    diagnosis = machine.diagnose()

    assert (list(bad(diagnosis)), diagnosis.exit_code) == (["data"], 1)


def test_data_that_a_process_of_another_container_uses_is_found(machine):
    machine.run()
    stop(machine.cluster.context, StopOptions())
    machine.cluster.locked.add(machine.cluster.plan.layout.data("broker-1") / ".lock")

    found = bad(machine.diagnose())

    assert "a process that cannot be seen from here" in found["data"].fact


def test_pids_of_another_container_leave_the_machine_to_look_at(machine):
    def find_processes(plan):
        raise OtherNamespaceError("cannot see the processes")

    machine.cluster_doors["find_processes"] = find_processes

    diagnosis = machine.diagnose()

    assert set(bad(diagnosis)) == {"supervision"}
    assert "locale" in {finding.name for finding in diagnosis.findings}


def test_an_old_java_needs_no_archive(machine):
    no_archive(replace(JAVA, major=OLDEST_JAVA - 1))(machine)

    assert bad(machine.diagnose()) == {}


def test_a_configuration_that_cannot_be_read_leaves_the_machine_to_look_at(machine):
    machine.fault = ConfigurationError("cannot read kraftd.toml", hint="Fix that line.")

    diagnosis = machine.diagnose()

    assert (diagnosis.cluster, diagnosis.exit_code) == ("", 1)
    assert [finding.name for finding in diagnosis.findings] == [
        "configuration",
        "versions",
        "vm.max_map_count",
        "locale",
    ]


def test_settings_that_give_no_plan_leave_the_records_to_look_at(machine):
    machine.toml = '[kafka]\nhome = "/nowhere"'

    diagnosis = machine.diagnose()

    assert (diagnosis.cluster, diagnosis.exit_code, list(bad(diagnosis))) == ("local", 1, ["configuration"])
    assert "records" in {finding.name for finding in diagnosis.findings}


def test_a_check_that_fails_hides_no_other(machine):
    machine.run()
    for _, spoil in FAILURES[:2]:
        spoil(machine)

    assert set(bad(machine.diagnose())) >= {"loopback", "memory"}
