from pathlib import Path

import pytest

from kraftd.operate.diagnose import findings
from kraftd.operate.diagnose.findings import Diagnosis, Finding, Level, Machine
from kraftd.plan.loading import configure, parse_toml
from kraftd.render.sample import PROFILES, sample_of
from tests.plans import plan_of


@pytest.mark.parametrize(
    ("finding", "status"),
    [
        (findings.processes(plan_of(), None), Level.OK),
        (findings.processes(plan_of(), 4096), Level.OK),
        (findings.processes(plan_of(), 100), Level.FAILURE),
        (findings.rendered_files({}, (), ("broker-2",)), Level.OK),
        (findings.rendered_files({Path("/s/config/broker-2/x"): "is empty"}, (), ("broker-2",)), Level.FAILURE),
        (findings.rendered_files({}, ("broker-2 (its command line)",), ()), Level.WARNING),
        (findings.writable((), "/s", is_read_only=False), Level.OK),
        (findings.writable([Path("/s/data")] * 5, "/s", is_read_only=False), Level.FAILURE),
        (findings.writable([Path("/s/data")], "/s", is_read_only=True), Level.FAILURE),
        (findings.memory_maps(None), Level.OK),
        (findings.memory_maps(65_530), Level.OK),
        (findings.memory_maps(65_529), Level.WARNING),
        (findings.clock(1000.0, None), Level.OK),
        (findings.clock(1000.0, 1060.0), Level.OK),
        (findings.clock(1000.0, 1061.0), Level.WARNING),
        (findings.locale("utf-8"), Level.OK),
        (findings.locale("iso8859-1"), Level.WARNING),
        (findings.supervision((), None, is_supervised=False), Level.OK),
        (findings.supervision(("broker-1",), None, is_supervised=True), Level.OK),
        (findings.supervision(("broker-1",), None, is_supervised=False), Level.FAILURE),
        (findings.supervision((), "no answer", is_supervised=True), Level.FAILURE),
        (findings.lock(None), Level.OK),
        (findings.lock("'kraftd start' (pid 7)"), Level.WARNING),
        (findings.temporary_directories((), "/tmp", is_writable=True), Level.OK),
        (findings.temporary_directories((), "/tmp", is_writable=False), Level.WARNING),
        (findings.temporary_directories(("noexec; java.options names one",), "/tmp", is_writable=True), Level.WARNING),
    ],
)
def test_a_finding_that_is_not_ok_has_a_remedy(finding, status):
    assert finding.status is status
    assert finding.fact
    assert bool(finding.remedy) == (status is not Level.OK)


@pytest.mark.parametrize(
    ("levels", "status"),
    [((), 0), ((Level.OK, Level.WARNING), 0), ((Level.OK, Level.FAILURE, Level.WARNING), 1)],
)
def test_only_a_failure_is_an_exit_code(levels, status):
    assert Diagnosis("local", tuple(Finding("x", level, "y") for level in levels)).exit_code == status


def values_of(name):
    text = next(sample_of(each) for each in PROFILES if each.name == name)
    return {key: value for key, value, _ in configure([parse_toml(text, "sample")]).rows()}


GIB = 1024**3


@pytest.mark.parametrize(
    ("machine", "name", "status", "fitting"),
    [
        (Machine(24 * GIB, 4, 200 * GIB), "prod", Level.OK, "ci, laptop, vm, prod"),
        (Machine(24 * GIB, 2, 200 * GIB), "prod", Level.WARNING, "ci, laptop, vm"),
        (Machine(24 * GIB, 4, 50 * GIB), "prod", Level.WARNING, "ci, laptop, vm"),
        (Machine(7 * GIB, 2, 14 * GIB), "laptop", Level.OK, "ci, laptop"),
        (Machine(GIB, 1, GIB), "ci", Level.WARNING, "none"),
    ],
)
def test_a_profile_is_judged_by_memory_cores_and_disk(machine, name, status, fitting):
    finding = findings.profiles(plan_of("[cluster]\nheap = '160m'"), values_of(name), machine)

    assert (finding.status, bool(finding.remedy)) == (status, status is not Level.OK)
    assert f"fitting profiles: {fitting}; the configuration is the profile {name}," in finding.fact


@pytest.mark.parametrize(("memory_bytes", "status"), [(8 * GIB, Level.WARNING), (16 * GIB, Level.OK)])
def test_a_configuration_of_ones_own_is_judged_by_what_it_takes(memory_bytes, status):
    finding = findings.profiles(plan_of(), {}, Machine(memory_bytes, 2, 100 * GIB))

    assert finding.status is status
    assert "none of the profiles" in finding.fact


def test_every_profile_takes_less_than_its_least_machine():
    for profile in PROFILES:
        plan = plan_of(sample_of(profile))
        least = Machine(profile.least_memory_bytes, profile.least_cores, profile.least_disk_bytes)

        assert findings.profiles(plan, {}, least).status is Level.OK
