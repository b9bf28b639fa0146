from dataclasses import replace
from pathlib import Path

import pytest

from kraftd.errors import ConfigurationError, IdentityMismatchError, RefusedError
from kraftd.operate.configuring import enabling, plan_for, recorded_or_configured_plan, refuse_changed
from kraftd.operate.context import CommandContext
from kraftd.operate.selection import Selection, choose_cluster, read_configuration
from kraftd.operate.store import Store
from kraftd.plan.manifest import manifest_of
from tests.plans import layout_at, plan_of

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qk"


@pytest.fixture
def command_context(tmp_path):
    (tmp_path / "work").mkdir()
    # Only the control socket goes there; below tmp_path its path can be too long.
    environ = {"XDG_RUNTIME_DIR": "/run/user/7"}
    return CommandContext(environ, home=tmp_path / "home", cwd=tmp_path / "work", python=Path("/python"))


def configured_with(selection, command_context):
    return plan_for(choose_cluster(selection, command_context), command_context)


def write_config(command_context, text):
    (command_context.cwd / "kraftd.toml").write_text(text)


def values(command_context, **selection):
    configuration, _ = read_configuration(Selection(**selection), command_context)
    return {key: (value, origin) for key, value, origin in configuration.rows()}


def test_no_file_is_needed(command_context):
    configured = configured_with(Selection(), command_context)

    assert (configured.chosen.origin, configured.manifest) == ("the default configuration", None)
    assert configured.plan.layout.state_dir == command_context.home / ".local/state/kraftd/local"
    assert configured.plan.kafka_version == "3.9.2"


def test_the_file_in_the_working_directory_is_read(command_context):
    write_config(command_context, "[cluster]\nbrokers = 3")

    assert values(command_context)["cluster.brokers"] == (3, "kraftd.toml")
    assert configured_with(Selection(), command_context).chosen.origin == str(command_context.cwd / "kraftd.toml")


def test_a_named_file_is_read_instead(command_context, tmp_path):
    write_config(command_context, "[cluster]\nbrokers = 3")
    (tmp_path / "other.toml").write_text("[cluster]\nbrokers = 5")

    assert values(command_context, config=tmp_path / "other.toml")["cluster.brokers"] == (
        5,
        str(tmp_path / "other.toml"),
    )


def test_flags_win_over_the_environment_and_the_environment_over_the_file(command_context):
    write_config(command_context, '[cluster]\nbrokers = 3\nheap = "1g"\nname = "a"')
    environ = {"KRAFTD_CLUSTER_BROKERS": "4", "KRAFTD_CLUSTER_NAME": "b"}
    surroundings = CommandContext(environ, command_context.home, command_context.cwd, command_context.python)

    found = values(surroundings, cluster="c", assignments=("cluster.port_offset=7", "cluster.name=d"))

    assert found["cluster.heap"] == ("1g", "kraftd.toml")
    assert found["cluster.brokers"] == (4, "environment")
    assert found["cluster.port_offset"] == (7, "command line")
    assert found["cluster.name"] == ("c", "command line")


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_a_named_file_that_cannot_be_read_is_refused(command_context, name):
    with pytest.raises(ConfigurationError, match="cannot read") as caught:
        configured_with(Selection(config=command_context.cwd / name), command_context)

    assert caught.value.exit_code == 2
    assert caught.value.hint


def test_a_relative_state_dir_is_relative_to_the_working_directory(command_context):
    layout = choose_cluster(Selection(state_dir=Path("state")), command_context).layout

    assert layout.state_dir == command_context.cwd / "state"


@pytest.mark.parametrize("home", [None, Path("relative/dir")])
def test_a_home_directory_is_asked_for_only_where_it_is_needed(command_context, tmp_path, home):
    homeless = replace(command_context, home=home)
    with_places = {"XDG_STATE_HOME": str(tmp_path / "state"), **command_context.environ}

    for state_dir in (None, Path("~/s")):
        with pytest.raises(ConfigurationError) as caught:
            choose_cluster(Selection(state_dir=state_dir), homeless)
        assert (caught.value.code, caught.value.exit_code) == ("no_home", 2)
        assert "HOME" in caught.value.hint
    assert choose_cluster(Selection(state_dir=Path("/s")), homeless).layout.state_dir == Path("/s")
    chosen = choose_cluster(Selection(), replace(homeless, environ=with_places))
    assert chosen.layout.state_dir == tmp_path / "state" / "kraftd" / "local"


def test_a_removed_working_directory_is_asked_for_only_where_it_is_needed(command_context):
    nowhere = replace(command_context, cwd=None)

    assert choose_cluster(Selection(), nowhere).origin == "the default configuration"
    assert choose_cluster(Selection(state_dir=Path("/s")), nowhere).layout.state_dir == Path("/s")
    with pytest.raises(ConfigurationError, match="which was removed") as caught:
        choose_cluster(Selection(state_dir=Path("s")), nowhere)
    assert caught.value.code == "no_working_directory"


def test_a_tilde_is_the_home_of_the_caller_or_of_a_user_who_is_known(command_context):
    assert choose_cluster(Selection(state_dir=Path("~/s")), command_context).layout.state_dir == (
        command_context.home / "s"
    )
    with pytest.raises(ConfigurationError, match="the system knows no user 'nobodyhere'"):
        choose_cluster(Selection(state_dir=Path("~nobodyhere/s")), command_context)


def test_what_cannot_be_planned_writes_nothing(command_context, tmp_path):
    write_config(command_context, '[cluster]\nheap = "4gb!"')

    with pytest.raises(ConfigurationError):
        configured_with(Selection(), command_context)

    assert not command_context.home.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["work"]


def manifest_on_disk(command_context, kafka_version):
    plan = configured_with(Selection(), command_context).plan
    Store(plan.layout).write_manifest(manifest_of(plan_of(kafka_version=kafka_version), CLUSTER_ID))


@pytest.mark.parametrize(("toml", "brokers"), [("", 4), ("[cluster]\nbrokers = 5", 5), ("[cluster]\nbrokers = 2", 2)])
def test_a_formatted_cluster_keeps_its_number_of_brokers_where_none_is_stated(command_context, toml, brokers):
    plan = configured_with(Selection(), command_context).plan
    Store(plan.layout).write_manifest(manifest_of(plan_of("[cluster]\nbrokers = 4"), CLUSTER_ID))
    write_config(command_context, toml)

    assert len(configured_with(Selection(), command_context).plan.brokers) == brokers


def test_a_formatted_cluster_keeps_its_patch_version(command_context):
    manifest_on_disk(command_context, "3.9.1")

    assert configured_with(Selection(), command_context).plan.kafka_version == "3.9.1"


def test_another_version_than_the_formatted_one_is_planned_where_it_is_asked_for(command_context):
    manifest_on_disk(command_context, "3.9.1")

    configured = configured_with(Selection(assignments=("cluster.kafka_version=3.9.2",)), command_context)

    assert (configured.plan.kafka_version, configured.manifest.kafka_version) == ("3.9.2", "3.9.1")


@pytest.mark.parametrize(
    ("toml", "before", "planned"),
    [
        ("", (), "4.3.1"),
        ('[cluster]\nkafka_version = "4.3"', (), "4.3.1"),
        ('[cluster]\nkafka_version = "3.9"', ("3.9.2",), "4.3.1"),
        ('[cluster]\nkafka_version = "3.9.1"', ("3.9.1", "3.9.2"), "4.3.1"),
        ('[cluster]\nkafka_version = "3.9"', (), "3.9.2"),
    ],
    ids=["none stated", "the new one", "the old line", "the first one", "the old line, finalized"],
)
def test_an_upgraded_cluster_keeps_its_version_until_a_stated_one_contradicts_it(
    command_context, toml, before, planned
):
    plan = configured_with(Selection(), command_context).plan
    upgraded = replace(manifest_of(plan_of(kafka_version="4.3.1"), CLUSTER_ID), upgraded_from=before)
    Store(plan.layout).write_manifest(upgraded)
    write_config(command_context, toml)

    assert configured_with(Selection(), command_context).plan.kafka_version == planned


def test_a_damaged_manifest_stops_the_plan(command_context):
    manifest_on_disk(command_context, "3.9.2")
    Store(configured_with(Selection(), command_context).plan.layout).layout.manifest.write_text("{")

    with pytest.raises(IdentityMismatchError, match="it is damaged"):
        configured_with(Selection(), command_context)


def test_the_recorded_plan_is_enough_to_end_a_cluster(command_context):
    recorded = configured_with(Selection(assignments=("cluster.brokers=3",)), command_context).plan
    Store(recorded.layout).write_plan(recorded)

    assert recorded_or_configured_plan(choose_cluster(Selection(), command_context), command_context) == recorded


def test_a_damaged_recorded_plan_does_not_stand_in_the_way(command_context):
    planned = configured_with(Selection(), command_context).plan
    planned.layout.plan.parent.mkdir(parents=True)
    planned.layout.plan.write_text("{")

    assert recorded_or_configured_plan(choose_cluster(Selection(), command_context), command_context) == planned


def installed_in(directory, *names):
    """Return an environment whose PATH has these programs only."""
    directory.mkdir()
    for name in names:
        (directory / name).touch(mode=0o755)
    return {"XDG_RUNTIME_DIR": "/run/user/7", "PATH": str(directory)}


ASKED = Selection(assignments=("prometheus.enabled=true", "grafana.enabled=true"))


def test_a_tool_that_is_asked_for_and_on_the_path_is_planned(command_context, tmp_path):
    configured = configured_with(
        ASKED, replace(command_context, environ=installed_in(tmp_path / "bin", "prometheus", "grafana"))
    )

    assert [tool.executable.path for tool in configured.plan.tools] == [
        tmp_path / "bin" / "prometheus",
        tmp_path / "bin" / "grafana",
    ]
    assert configured.absent == {}


def test_a_tool_that_is_asked_for_and_absent_is_left_out_and_told_with_the_remedy(command_context, tmp_path):
    configured = configured_with(ASKED, replace(command_context, environ=installed_in(tmp_path / "bin", "prometheus")))

    assert [tool.name for tool in configured.plan.tools] == ["prometheus"]
    assert configured.absent == {
        "grafana": "grafana is not on the PATH, and is left out: install it (Debian: the repository of grafana.com; "
        "Fedora: dnf install grafana; Homebrew: brew install grafana), or set grafana.enabled = false"
    }


@pytest.mark.parametrize(
    ("words", "assignments"),
    [
        ([], ()),
        (["monitoring"], ("prometheus.enabled=true", "alertmanager.enabled=true", "grafana.enabled=true")),
        (["grafana", "prometheus", "grafana"], ("prometheus.enabled=true", "grafana.enabled=true")),
    ],
)
def test_start_with_a_tool_is_the_setting_that_enables_it(words, assignments):
    assert enabling(words) == assignments


def test_start_with_something_else_is_refused_and_told_what_there_is():
    with pytest.raises(ConfigurationError, match="cannot start with 'zabbix'") as refused:
        enabling(["monitoring", "zabbix"])

    assert refused.value.hint == "Choose from monitoring (all of them), prometheus, alertmanager, grafana."


def test_a_tool_that_nobody_asks_for_is_neither_planned_nor_missed(command_context, tmp_path):
    configured = configured_with(
        Selection(), replace(command_context, environ=installed_in(tmp_path / "bin", "prometheus"))
    )

    assert (configured.plan.tools, configured.absent) == ((), {})


def test_a_byte_order_mark_in_the_file_is_passed_over(command_context):
    (command_context.cwd / "kraftd.toml").write_bytes(b"\xef\xbb\xbf[cluster]\r\nbrokers = 3\r\n")

    assert values(command_context)["cluster.brokers"] == (3, "kraftd.toml")


@pytest.mark.parametrize(
    ("encoding", "place"), [("latin-1", "line 2, column 12"), ("utf-16", "UTF-16"), ("utf-16-le", "UTF-16")]
)
def test_a_file_in_another_encoding_is_refused(command_context, encoding, place):
    text = '[consumer.env]\nNAME = "caf\u00e9"\n'
    (command_context.cwd / "kraftd.toml").write_bytes(text.encode(encoding))

    with pytest.raises(ConfigurationError, match=place) as refused:
        values(command_context)

    assert refused.value.hint == "Save it in UTF-8."


def test_a_configuration_that_differs_in_more_than_a_command_changes_is_refused():
    running = plan_of()
    elsewhere = replace(running, layout=layout_at(Path("/elsewhere")))

    refuse_changed("scale", running, elsewhere, "kraftd.toml", "the number of brokers")
    with pytest.raises(RefusedError) as caught:
        refuse_changed("scale", running, replace(running, topics=()), "kraftd.toml", "the number of brokers")

    assert caught.value.code == "configuration_changed"
