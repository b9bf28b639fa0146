from pathlib import Path

import pytest

from kraftd.errors import ConfigurationError
from kraftd.spec.layout import SOCKET_PATH_MAX_BYTES, cache_dir, clusters_dir, layout_of

HOME = Path("/home/ada")


def layout(environ=None, state_dir=None, cluster="local"):
    return layout_of(cluster=cluster, state_dir=state_dir, environ=environ or {}, home=HOME)


def test_state_lives_below_home_by_default():
    found = layout()

    assert found.state_dir == HOME / ".local/state/kraftd/local"
    assert found.socket == HOME / ".local/state/kraftd/local/run/supervisor.sock"


def test_the_xdg_variables_move_state_socket_and_cache():
    environ = {"XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/run/user/7", "XDG_CACHE_HOME": "/c"}

    found = layout(environ)

    assert found.state_dir == Path("/s/kraftd/local")
    assert found.socket == Path("/run/user/7/kraftd/local/supervisor.sock")
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


def test_the_longest_socket_path_is_taken_and_one_byte_more_is_refused():
    rest = len("/run/supervisor.sock")
    longest = Path("/" + "d" * (SOCKET_PATH_MAX_BYTES - rest - 1))

    assert len(str(layout(state_dir=longest).socket)) == SOCKET_PATH_MAX_BYTES
    with pytest.raises(ConfigurationError, match="its path has 96 bytes, and at most 95 work") as caught:
        layout(state_dir=Path(f"{longest}d"))
    assert caught.value.exit_code == 2
    assert "cluster.state_dir" in caught.value.hint


def test_the_length_of_a_socket_path_is_counted_in_bytes():
    with pytest.raises(ConfigurationError, match="bytes"):
        layout(state_dir=Path("/" + "é" * 40))


@pytest.mark.parametrize(
    "path", ["/srv/a,b", '/srv/a"b', "/srv/%p", "/srv/%t", "/srv/${x}", "/srv/a\nb", "/srv/a\rb", "/srv/\udcff"]
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
