"""supervisord.conf as supervisord itself reads it: its parser drops misspelt keys and cuts values without a word."""

import configparser
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from supervisor.datatypes import RestartUnconditionally
from supervisor.options import ServerOptions

from kraftd.errors import ConfigurationError
from kraftd.host.install import template_text
from kraftd.render.supervisord_conf import groups_of, programs_of, supervisord_conf
from tests.plans import LAUNCH, PYTHON, plan_of

pytestmark = pytest.mark.integration

ODD_PATHS = [
    "plain",
    "100% sure",
    "a%%b",
    "%(here)s",
    "%sneaky",
    "it's",
    "a b  c",
    "back\\slash",
    "é漢😀",
    "semi;hash#",
    "$x",
]
ODD_OPTIONS = [
    '-Da="b c"',
    "-Da='b'",
    "-Da=100%",
    "-Da=%(here)s",
    "-Da=b\\",
    "-Da=;",
    "-Da=é",
    '-Da="',
    "-Da=$(id)",
    "-Da=~",
]

KEYS = {
    "unix_http_server": {"file", "chmod"},
    "supervisord": {
        "nodaemon", "identifier", "pidfile", "logfile", "logfile_maxbytes", "logfile_backups", "loglevel",
        "nocleanup", "minfds", "minprocs", "silent",
    },
    "rpcinterface": {"supervisor.rpcinterface_factory"},
    "program": {
        "command", "directory", "autostart", "autorestart", "startsecs", "startretries", "exitcodes", "stopsignal",
        "stopwaitsecs", "redirect_stderr", "stdout_logfile", "stdout_logfile_maxbytes", "stdout_logfile_backups",
    },
    "group": {"programs", "priority"},
}  # fmt: skip
"""The keys that supervisor 4.3 knows and kraftd means; it ignores any other."""


def rendered(plan, launch=LAUNCH, python=PYTHON):
    return supervisord_conf(template_text(), plan, programs_of(plan, launch, python))


def read_back(plan, text):
    """Return supervisor's options from a rendered text; it wants the directories of all logs to be there."""
    for program in plan.names:
        plan.layout.console(program).parent.mkdir(parents=True)
    plan.layout.supervisord_pid.parent.mkdir(parents=True)
    plan.layout.supervisord_conf.write_text(text, encoding="utf-8")
    options = ServerOptions()
    options.realize(["-c", str(plan.layout.supervisord_conf)])
    return options


def assert_as_planned(plan, launch=LAUNCH, python=PYTHON):
    options = read_back(plan, rendered(plan, launch, python))
    programs = programs_of(plan, launch, python)
    found = {process.name: process for group in options.process_group_configs for process in group.process_configs}

    assert set(found) == {program.name for program in programs}
    for program in programs:
        process = found[program.name]
        assert shlex.split(process.command) == list(program.command)
        assert process.directory == str(program.directory)
        assert process.stdout_logfile == str(program.console)
    return options, found


@pytest.mark.parametrize("brokers", [1, 2, 5])
def test_supervisord_reads_the_contract_that_the_plan_makes(tmp_path, brokers):
    plan = plan_of(f"[cluster]\nbrokers = {brokers}\n[consumer]\ninstances = 2", state_dir=tmp_path / "s")

    _, found = assert_as_planned(plan)

    for program in programs_of(plan, LAUNCH, PYTHON):
        process = found[program.name]
        assert process.autostart is program.autostart
        assert process.autorestart is (RestartUnconditionally if program.autorestart else False)
        assert process.startsecs == program.startsecs
        assert process.startretries == program.startretries
        assert process.exitcodes == list(program.exitcodes)
        assert process.stopwaitsecs == program.stopwaitsecs
        assert process.redirect_stderr is True
        assert process.stopasgroup is False
        assert (process.stdout_logfile_maxbytes, process.stdout_logfile_backups) == (10 * 1024**2, 5)


def test_supervisord_stops_the_groups_in_the_planned_order(tmp_path):
    plan = plan_of(state_dir=tmp_path / "s")

    options, _ = assert_as_planned(plan)

    groups = sorted(options.process_group_configs, key=lambda group: -group.priority)
    assert [(group.name, {process.name for process in group.process_configs}) for group in groups] == [
        ("daemon", {"kraftd"}),
        ("apps", {"producer", "consumer"}),
        ("brokers", {"broker-1", "broker-2"}),
        ("controllers", {"controller-101"}),
    ]
    assert [group.name for group in groups_of(programs_of(plan, LAUNCH, PYTHON))] == [group.name for group in groups]


def test_supervisord_keeps_itself_private_and_says_who_it_is(tmp_path):
    plan = plan_of('[cluster]\nname = "blue"', state_dir=tmp_path / "s")

    options, _ = assert_as_planned(plan)

    (server,) = options.configroot.supervisord.server_configs
    assert (server["family"].name, server["file"], server["chmod"]) == ("AF_UNIX", str(plan.layout.socket), 0o700)
    assert (options.identifier, options.nodaemon, options.nocleanup) == ("kraftd-blue", True, True)
    assert (options.logfile, options.pidfile) == (str(plan.layout.supervisord_log), str(plan.layout.supervisord_pid))
    assert (options.logfile_maxbytes, options.logfile_backups) == (10 * 1024**2, 3)


@pytest.mark.parametrize("name", ODD_PATHS)
def test_an_odd_state_directory_survives(tmp_path, name):
    plan = plan_of(state_dir=tmp_path / name)

    options, _ = assert_as_planned(plan)

    assert options.logfile == str(plan.layout.supervisord_log)
    assert options.configroot.supervisord.server_configs[0]["file"] == str(plan.layout.socket)


@pytest.mark.parametrize("name", [*ODD_PATHS, 'say "hi"'])
def test_odd_paths_of_java_and_python_survive(tmp_path, name):
    launch = replace(
        LAUNCH, java=Path("/opt") / name / "java", classpath=(Path("/opt") / name / "a.jar",), archive=Path("/c") / name
    )

    assert_as_planned(plan_of(state_dir=tmp_path / "s"), launch, Path("/opt") / name / "python")


@pytest.mark.parametrize("option", ODD_OPTIONS)
def test_an_odd_java_option_survives(tmp_path, option):
    plan = replace(plan_of(state_dir=tmp_path / "s"), java_options=(option,))

    assert_as_planned(plan)


@pytest.mark.parametrize("value", ["a ;b", "a #b", "a\t;b", "a\u00a0#b", "a\nb", "a\rb"])
def test_what_supervisord_would_cut_is_refused(value):
    plan = replace(plan_of(), java_options=(f"-Da={value}",))

    with pytest.raises(ConfigurationError, match=r"cannot write .* into supervisord\.conf: it reads") as caught:
        rendered(plan)

    assert caught.value.exit_code == 2
    assert "java.options" in caught.value.hint


@pytest.mark.parametrize("name", ["a ;b", "a #b"])
def test_a_state_directory_that_supervisord_would_cut_is_refused(name):
    with pytest.raises(ConfigurationError, match=r"cannot write .* into supervisord\.conf") as caught:
        rendered(plan_of(state_dir=Path("/srv") / name))

    assert "cluster.state_dir" in caught.value.hint


def test_only_keys_that_supervisord_knows_are_written():
    parser = configparser.RawConfigParser(strict=True, inline_comment_prefixes=(";", "#"))
    parser.read_string(rendered(plan_of("[consumer]\ninstances = 2")))

    for section in parser.sections():
        assert set(parser.options(section)) == KEYS[section.split(":")[0]], section


def test_nothing_listens_on_tcp():
    assert "inet_http_server" not in rendered(plan_of())


def test_the_same_plan_renders_to_the_same_bytes():
    assert rendered(plan_of()) == rendered(plan_of())


def test_the_text_is_laid_out_for_people():
    text = rendered(plan_of())

    assert text.startswith("; The process tree of the kraftd cluster local.")
    assert text.endswith("\n")
    assert "\n\n\n" not in text
    assert not re.search(r"[ \t]$", text, re.MULTILINE)
    assert "{" not in text


def test_the_template_of_record_stands_at_the_root_of_the_repository():
    root = Path(__file__).resolve().parents[2]

    assert (root / "supervisord.conf.j2").read_text(encoding="utf-8") == template_text()
