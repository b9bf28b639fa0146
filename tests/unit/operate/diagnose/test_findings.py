import pytest

from kraftd.operate.diagnose import findings
from kraftd.operate.diagnose.findings import Diagnosis, Finding, Level
from tests.plans import plan_of


@pytest.mark.parametrize(
    ("finding", "status"),
    [
        (findings.processes(plan_of(), None), Level.OK),
        (findings.processes(plan_of(), 4096), Level.OK),
        (findings.processes(plan_of(), 100), Level.FAILURE),
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
