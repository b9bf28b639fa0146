from dataclasses import replace
from pathlib import Path

import pytest

from kraftd.errors import ConfigurationError
from kraftd.render.systemd import Service, systemd_unit

COMMAND = ("/opt/venv/bin/kraftd", "--state-dir", "/srv/kraftd/local", "start", "--foreground")
SERVICE = Service("local", COMMAND, Path("/srv/kraftd/local"), {}, "ada")


def lines(**changes):
    return systemd_unit(replace(SERVICE, **changes)).splitlines()


def value(name, **changes):
    (found,) = (line.partition("=")[2] for line in lines(**changes) if line.startswith(f"{name}="))
    return found


def test_a_unit_says_when_it_is_ready_and_stops_kraftd_first():
    unit = lines()

    assert {"Type=notify", "KillMode=mixed", "Restart=on-failure", "WatchdogSignal=SIGTERM"} <= set(unit)
    assert {"User=ada", "OOMPolicy=continue", "WantedBy=multi-user.target"} <= set(unit)
    assert int(value("TimeoutStopSec")) > 330
    assert value("RestartPreventExitStatus") == "2 4 6 8"
    assert value("ExecStart") == ":" + " ".join(f'"{word}"' for word in COMMAND)


def test_a_unit_is_started_where_it_says_or_where_the_manager_chooses():
    assert value("WorkingDirectory", working_dir=Path("/srv/100 %")) == "/srv/100 %%"
    assert [line for line in lines() if line.startswith("WorkingDirectory=")] == []


def test_nothing_in_a_unit_keeps_java_from_compiling_or_commands_from_attaching():
    names = {line.partition("=")[0] for line in lines()}

    assert names.isdisjoint({"MemoryDenyWriteExecute", "PrivateTmp", "ProtectHome", "PrivateNetwork"})


def test_a_unit_of_a_users_manager_has_no_user_and_needs_no_mount_namespace():
    unit = lines(user=None)

    assert "WantedBy=default.target" in unit
    assert "NoNewPrivileges=yes" in unit
    assert [line for line in unit if line.startswith(("User=", "Protect", "ReadWritePaths=", "After="))] == []


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("spa ce", '"spa ce"'),
        ("100% %s", '"100%% %%s"'),
        ('quo"te', r'"quo\"te"'),
        ("it's", '"it\'s"'),
        ("back\\slash", r'"back\\slash"'),
        ("$HOME ${HOME}", '"$HOME ${HOME}"'),
        ("a;b ; c", '"a;b ; c"'),
        ("tab\tline\nend\x7f", r'"tab\x09line\x0aend\x7f"'),
        ("ümläut中", '"ümläut中"'),
        ("", '""'),
    ],
)
def test_an_argument_reaches_the_command_as_it_is(word, written):
    assert value("ExecStart", command=("/bin/kraftd", word)) == f':"/bin/kraftd" {written}'
    assert value("Environment", environment={"PATH": word}) == f'"PATH={written[1:]}'


@pytest.mark.parametrize("name", ['quo"te', "it's", "back\\slash"])
def test_an_executable_that_systemd_refuses_is_called_through_a_shell(name):
    command = value("ExecStart", command=(f"/opt/{name}/kraftd", "start"))

    assert command.startswith(r':"/bin/sh" "-c" "exec \"$0\" \"$@\"" "/opt/')
    assert command.endswith('/kraftd" "start"')


def test_settings_of_the_environment_are_named_and_not_told():
    unit = lines(left_out=["KRAFTD_CLUSTER_HEAP"])

    assert sum("KRAFTD_CLUSTER_HEAP" in line and line.startswith("#") for line in unit) == 1


def test_what_is_not_utf_8_is_refused():
    with pytest.raises(ConfigurationError) as caught:
        lines(command=("/bin/kraftd", "\udcfc"))

    assert caught.value.code == "not_utf_8"
