import os
import resource
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo

import pytest

from kraftd.host.environment import (
    MOST_OPEN_FILES,
    foreground_environment,
    highest_open_files,
    inherited_environment,
    installed_tool,
    local_zone,
    open_files_of,
    raise_open_files,
    raised_limits,
    supervised_environment,
)
from kraftd.plan.kinds import TOOL_DEFINITIONS, Executable, ToolHome

HARMFUL = [
    *("KAFKA_HEAP_OPTS", "KAFKA_OPTS", "KAFKA_JMX_OPTS", "KAFKA_BOOTSTRAP_SERVERS", "JMX_PORT", "CLASSPATH"),
    *("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "PYTHONPATH", "PYTHONWARNINGS", "LD_PRELOAD"),
    *("LOG_DIR", "EXTRA_ARGS", "KRAFTD_CLUSTER_BROKERS", "APP_PORT"),
    *("PYTHONHOME", "PYTHONSTARTUP", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"),
]
FIXED = {"LC_ALL": "C.UTF-8", "TZ": "UTC"}

pytestmark = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="prlimit(2) is Linux'")


@pytest.mark.parametrize("name", HARMFUL)
def test_what_can_change_a_node_stays_behind(name):
    assert inherited_environment({name: "x"}) == FIXED


@pytest.mark.parametrize("name", ["HOME", "PATH", "TMPDIR", "USER", "SSL_CERT_FILE"])
def test_what_a_program_needs_goes_along(name):
    assert inherited_environment({name: "x"}) == {name: "x", **FIXED}


@pytest.mark.parametrize("name", ["LANG", "LC_ALL", "LC_CTYPE", "LC_NUMERIC", "LANGUAGE"])
@pytest.mark.parametrize("locale", ["C", "tr_TR.UTF-8", "ar_EG.UTF-8", "de_DE.ISO-8859-1"])
def test_programs_run_in_the_same_utf_8_locale_whatever_the_users_is(name, locale):
    assert inherited_environment({name: locale}) == FIXED


@pytest.mark.parametrize("environ", [{}, {"TZ": "Asia/Tokyo"}])
def test_programs_log_in_utc_and_a_tool_for_a_person_in_the_time_zone_of_that_person(environ):
    assert inherited_environment(environ)["TZ"] == "UTC"
    assert foreground_environment(environ) == {"LC_ALL": "C.UTF-8", **environ}


JULY = datetime(2026, 7, 1, 12, tzinfo=UTC)


def zone_of(environ, machine_zone):
    return local_zone(supervised_environment(environ, has_object_store=False), machine_zone)


def test_times_of_a_schedule_are_those_of_the_person_who_starts_the_cluster(tmp_path):
    machine_zone = tmp_path / "localtime"
    assert zone_of({}, machine_zone) == UTC
    machine_zone.symlink_to(next(file for path in TZPATH if (file := Path(path) / "Europe/Berlin").exists()))

    assert supervised_environment({"TZ": "Asia/Tokyo"}, has_object_store=True)["TZ"] == "UTC"
    assert (
        zone_of({"TZ": "Asia/Tokyo"}, machine_zone)
        == zone_of({"TZ": ":Asia/Tokyo"}, machine_zone)
        == ZoneInfo("Asia/Tokyo")
    )
    for text in ("", "CET-1CEST", "Middle/Earth", "/etc/localtime"):
        assert JULY.astimezone(zone_of({"TZ": text}, machine_zone)).hour == 14
    machine_zone.unlink()
    machine_zone.write_text("not a zone")
    assert zone_of({}, machine_zone) == UTC


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AZURE_CLIENT_SECRET", "GOOGLE_APPLICATION_CREDENTIALS"])
def test_credentials_go_along_only_where_backups_go_to_an_object_store(name):
    environ = {name: "x", "KAFKA_OPTS": "y", "HTTPS_PROXY": "z"}

    assert supervised_environment(environ, has_object_store=True) == {name: "x", **FIXED}
    assert supervised_environment(environ, has_object_store=False) == FIXED


KNOWN = {tool.name: tool for tool in TOOL_DEFINITIONS}


def program(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return path


def defaults(home):
    (home / "conf").mkdir(parents=True)
    (home / "conf" / "defaults.ini").touch()
    return home


@pytest.mark.parametrize("environ", [{}, {"PATH": ""}, {"PATH": "/nonexistent"}])
def test_without_a_path_nothing_is_installed(environ):
    assert installed_tool(replace(KNOWN["prometheus"], name="sh"), environ) is None


def test_what_is_not_executable_is_not_installed(tmp_path):
    (tmp_path / "prometheus").touch(mode=0o644)

    assert installed_tool(KNOWN["prometheus"], {"PATH": str(tmp_path)}) is None


def test_prometheus_is_what_the_path_has(tmp_path):
    found = program(tmp_path / "bin" / "prometheus")

    assert installed_tool(KNOWN["prometheus"], {"PATH": f"{tmp_path}:{found.parent}"}) == Executable(found)


def test_alertmanager_is_found_under_the_name_that_debian_gives_it(tmp_path):
    environ = {"PATH": str(tmp_path)}
    debian = program(tmp_path / "prometheus-alertmanager")

    assert installed_tool(KNOWN["alertmanager"], environ) == Executable(debian)
    own = program(tmp_path / "alertmanager")
    assert installed_tool(KNOWN["alertmanager"], environ) == Executable(own)


def test_grafana_of_an_archive_has_its_home_around_it_through_links_too(tmp_path):
    home = defaults(tmp_path / "grafana-12")
    own = program(home / "bin" / "grafana")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "grafana").symlink_to(own)

    assert installed_tool(KNOWN["grafana"], {"PATH": str(tmp_path / "bin")}) == Executable(own, home)


def test_grafana_of_homebrew_has_its_home_below_share(tmp_path):
    home = defaults(tmp_path / "12.0" / "share" / "grafana")
    found = program(tmp_path / "12.0" / "bin" / "grafana")

    assert installed_tool(KNOWN["grafana"], {"PATH": str(found.parent)}) == Executable(found, home)


def test_the_script_of_grafanas_packages_is_passed_over_for_what_it_would_run(tmp_path):
    home = defaults(tmp_path / "usr" / "share" / "grafana")
    own = program(home / "bin" / "grafana")
    script = program(tmp_path / "usr" / "sbin" / "grafana")

    packaged = replace(KNOWN["grafana"], home=ToolHome("conf/defaults.ini", packaged=home))
    found = installed_tool(packaged, {"PATH": str(script.parent)})

    assert found == Executable(own, home)


def may_raise_hard_limits():
    """Return whether this user has CAP_SYS_RESOURCE, which root of a container need not have."""
    status = Path("/proc/self/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> 24 & 1)


def limit_of(pid=0):
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)


@pytest.fixture
def child():
    """A process whose soft limit is below its hard one."""
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200)); print(); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", limited], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process.pid
        process.stdin.close()


def test_what_is_started_inherits_the_highest_limit_and_this_process_keeps_its_own():
    before = limit_of()

    with raised_limits():
        inherited = limit_of()

    assert inherited == (highest_open_files(), before[1])
    assert highest_open_files() <= MOST_OPEN_FILES
    assert limit_of() == before


def test_a_process_gets_this_ones_limit_or_its_own_hard_limit(child):
    told = raise_open_files(child)

    assert told == limit_of(child)[0] == (highest_open_files() if may_raise_hard_limits() else 200)


def test_a_higher_limit_is_never_lowered():
    before = limit_of(os.getpid())
    with raised_limits():
        assert raise_open_files(os.getpid()) == highest_open_files()
        assert limit_of()[0] == highest_open_files()
    assert limit_of() == before


def test_of_a_process_that_is_gone_nothing_is_told():
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)

    assert raise_open_files(int(done.stdout)) is None


def test_the_limit_of_a_process_is_told_and_not_changed():
    before = limit_of()

    assert open_files_of(os.getpid()) == min(before[0], MOST_OPEN_FILES)
    assert (limit_of(), open_files_of(2**22 + 1)) == (before, None)
