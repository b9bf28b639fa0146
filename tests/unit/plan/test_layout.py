from pathlib import Path

import pytest

from kraftd.errors import ConfigurationError, IdentityMismatchError
from kraftd.plan.layout import SOCKET_PATH_MAX_BYTES, Ownership, cache_dir, clusters_dir, layout_of, parse_ownership

HOME = Path("/home/ada")


def layout(environ=None, state_dir=None, cluster="local"):
    return layout_of(cluster=cluster, state_dir=state_dir, environ=environ or {}, home=HOME)


def test_state_lives_below_home_by_default():
    found = layout()

    assert found.state_dir == HOME / ".local/state/kraftd/local"
    assert found.socket == HOME / ".local/state/kraftd/local/run/supervisor.sock"


def test_the_xdg_variables_move_state_and_cache_but_never_the_socket_out():
    environ = {"XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/run/user/7", "XDG_CACHE_HOME": "/c"}

    found = layout(environ)

    assert found.state_dir == Path("/s/kraftd/local")
    assert found.socket == Path("/s/kraftd/local/run/supervisor.sock")
    assert (clusters_dir(environ, HOME), cache_dir(environ, HOME)) == (Path("/s/kraftd"), Path("/c/kraftd"))


def test_a_relative_xdg_variable_is_ignored():
    environ = {"XDG_STATE_HOME": "s", "XDG_RUNTIME_DIR": "run", "XDG_CACHE_HOME": "c"}

    assert layout(environ) == layout()
    assert cache_dir(environ, HOME) == HOME / ".cache/kraftd"


def test_a_state_dir_of_ones_own_holds_everything():
    found = layout({"XDG_RUNTIME_DIR": "/run/user/7"}, state_dir=Path("/srv/k"))

    assert found.socket == Path("/srv/k/run/supervisor.sock")


def test_two_programs_share_no_file():
    found = layout()

    for place in (found.data, found.logs, found.console, found.config, found.identity):
        assert place("broker-1") != place("broker-10")


def test_an_identity_names_the_cluster_and_the_program():
    assert layout(state_dir=Path("/srv/k")).identity("broker-1") == "/srv/k/broker-1"


def longest_state_dir():
    """Return the longest state directory that holds its own socket."""
    return Path("/" + "d" * (SOCKET_PATH_MAX_BYTES - len("/run/supervisor.sock") - 1))


def test_a_socket_is_in_the_state_directory_up_to_the_longest_path():
    longest = longest_state_dir()

    assert len(str(layout(state_dir=longest).socket)) == SOCKET_PATH_MAX_BYTES
    assert not layout(state_dir=longest).socket_is_elsewhere
    assert layout(state_dir=Path(f"{longest}d")).socket_is_elsewhere


def test_the_length_of_a_socket_path_is_counted_in_bytes():
    assert layout(state_dir=Path("/" + "é" * 40)).socket_is_elsewhere


def test_a_long_state_directory_has_its_socket_below_the_temporary_one():
    places = [Path(f"{longest_state_dir()}{end}") for end in "ab"]
    sockets = [layout({"TMPDIR": "/var/t"}, state_dir=place).socket for place in places]

    assert {socket.parent.parent for socket in sockets} == {Path("/var/t")}
    assert len(set(sockets)) == 2
    assert sockets[0] == layout({"TMPDIR": "/var/t"}, state_dir=places[0]).socket


@pytest.mark.parametrize("temporary", ["", "relative", "/" + "t" * SOCKET_PATH_MAX_BYTES, "/var/a\nb", "/var/\udcff"])
def test_a_temporary_directory_that_cannot_hold_a_socket_is_not_used(temporary):
    found = layout({"TMPDIR": temporary}, state_dir=Path(f"{longest_state_dir()}d"))

    assert found.socket.parent.parent == Path("/tmp")


@pytest.mark.parametrize(
    "path",
    ["/srv/a,b", '/srv/a"b', "/srv/%p", "/srv/%t", "/srv/${x}", "/srv/a\nb", "/srv/a\rb", "/srv/a\0b", "/srv/\udcff"],
)
def test_a_state_dir_that_a_program_would_misread_is_refused(path):
    with pytest.raises(ConfigurationError, match="cannot use the state directory") as caught:
        layout(state_dir=Path(path))

    assert caught.value.exit_code == 2
    assert caught.value.code == "unusable_state_dir"
    str(caught.value).encode()


@pytest.mark.parametrize(
    "path", ["/srv/100%", "/srv/it's", "/srv/a b", "/srv/a\\b", "/srv/é漢😀", "/srv/a:b", "/srv/$x"]
)
def test_an_unusual_state_dir_is_taken(path):
    assert layout(state_dir=Path(path)).state_dir == Path(path)


PATH = Path("/s/ownership.json")
OWNED = Ownership(("broker-1", "kraftd"))


def test_an_ownership_reads_back_as_it_was_written():
    assert parse_ownership(OWNED.to_json(), PATH) == OWNED


def test_programs_that_are_no_longer_planned_stay_in_the_record():
    assert OWNED.extended(["producer", "broker-1"]).programs == ("broker-1", "kraftd", "producer")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc", "A", "a b", "a-", "a\n", "é"])
def test_a_name_that_no_program_has_is_never_taken_into_the_record(name):
    assert OWNED.extended([name]) == OWNED
    assert parse_ownership(Ownership((name,)).to_json(), PATH) == Ownership()


@pytest.mark.parametrize("directory", ["config", "data", "logs"])
def test_the_directories_of_recorded_programs_are_covered(directory):
    assert OWNED.covers(directory, "broker-1")
    assert OWNED.covers(directory, "supervisord")
    assert not OWNED.covers(directory, "broker-2")
    assert not OWNED.covers(directory, "broker-1 ")


def test_a_program_has_nothing_in_the_other_directories():
    assert not OWNED.covers("run", "broker-1")
    assert not OWNED.covers("events", "broker-1")
    assert not OWNED.covers("src", "broker-1")


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("logs", "supervisord.log"),
        ("logs", "supervisord.log.3"),
        ("run", "supervisord.pid"),
        ("run", "supervisor.sock"),
        ("run", "supervisor.sock.4711"),
        ("events", "daemon.jsonl"),
        ("events", "commands.jsonl.1"),
    ],
)
def test_files_that_belong_to_no_program_are_covered_by_name(directory, name):
    assert OWNED.covers(directory, name)
    assert not OWNED.covers(directory, f"{name}.orig")
    assert not OWNED.covers("data", name)


def test_records_and_what_an_interrupted_write_leaves_of_them_are_covered():
    assert OWNED.covers_record("plan.json")
    assert OWNED.covers_record(".plan.json.4711")
    assert not OWNED.covers_record("plan.json.bak")
    assert not OWNED.covers_record(".env.4711")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "ownership_damaged"),
        ("[]", "ownership_damaged"),
        ('{"schema_version": 1}', "ownership_damaged"),
        ('{"schema_version": 2, "programs": []}', "ownership_too_new"),
    ],
)
def test_a_record_that_cannot_be_read_is_refused(text, code):
    with pytest.raises(IdentityMismatchError, match=str(PATH)) as caught:
        parse_ownership(text, PATH)

    assert caught.value.code == code
