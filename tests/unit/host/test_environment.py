from dataclasses import replace

import pytest

from kraftd.host.environment import foreground_environment, inherited_environment, installed_tool
from kraftd.plan.kinds import TOOL_DEFINITIONS, Executable, ToolHome

HARMFUL = [
    *("KAFKA_HEAP_OPTS", "KAFKA_OPTS", "KAFKA_JMX_OPTS", "KAFKA_BOOTSTRAP_SERVERS", "JMX_PORT", "CLASSPATH"),
    *("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "PYTHONPATH", "PYTHONWARNINGS", "LD_PRELOAD"),
    *("LOG_DIR", "EXTRA_ARGS", "KRAFTD_CLUSTER_BROKERS", "APP_PORT"),
    *("PYTHONHOME", "PYTHONSTARTUP", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"),
]
FIXED = {"LC_ALL": "C.UTF-8", "TZ": "UTC"}


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
