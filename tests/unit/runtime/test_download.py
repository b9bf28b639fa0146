import errno
import threading

import pytest
from requests.exceptions import ProxyError, SSLError
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import MaxRetryError
from urllib3.exceptions import ProxyError as TunnelError

from kraftd.errors import RuntimeMissingError
from kraftd.runtime.download import MavenCentral
from tests.unit.runtime.jars import CONTENTS, JARS, Heard


def hand_out(jar, into, count):
    into.mkdir()
    path = into / jar.file_name
    path.write_bytes(CONTENTS[jar.artifact])
    count(jar.size_bytes)
    return path


def fetched(download, tmp_path, heard=None, **options):
    source = MavenCentral(download, pause_s=0.0, **options)
    return {jar.artifact: path.read_bytes() for jar, path in source.fetch(JARS, tmp_path, heard or Heard())}


def test_every_jar_comes_with_its_file(tmp_path):
    heard = Heard()

    assert fetched(hand_out, tmp_path, heard) == CONTENTS
    assert heard.seen_bytes == sum(map(len, CONTENTS.values()))


def test_bytes_of_unknown_length_still_add_up(tmp_path):
    heard = Heard()

    fetched(lambda jar, into, _count: hand_out(jar, into, lambda _bytes: None), tmp_path, heard)

    assert heard.seen_bytes == sum(map(len, CONTENTS.values()))


def test_jars_are_fetched_at_the_same_time(tmp_path):
    all_here = threading.Barrier(len(JARS), timeout=10)

    def wait_for_the_others(jar, into, count):
        all_here.wait()
        return hand_out(jar, into, count)

    assert fetched(wait_for_the_others, tmp_path) == CONTENTS


def test_a_connection_that_breaks_is_tried_again_and_its_bytes_count_once(tmp_path):
    heard = Heard()
    broken = []

    def break_once(jar, into, count):
        if jar.artifact == "beta" and not broken:
            broken.append(jar)
            count(10)
            raise ConnectionError("reset by peer")
        return hand_out(jar, into, count)

    assert fetched(break_once, tmp_path, heard) == CONTENTS
    assert heard.seen_bytes == sum(map(len, CONTENTS.values()))


def test_without_network_each_thread_tries_once(tmp_path):
    tries = []

    def refuse(jar, _into, _count):
        tries.append(jar.artifact)
        raise ConnectionError("no route to host")

    with pytest.raises(RuntimeMissingError, match=r"cannot fetch 3 jars \(4\.4 KiB\) .*: no connection") as caught:
        fetched(refuse, tmp_path)

    assert len(tries) == len(set(tries))
    assert caught.value.exit_code == 5
    assert "kraftd setup" in caught.value.hint
    assert caught.value.details["missing_bytes"] == sum(map(len, CONTENTS.values()))


MISSING_BUNDLE = "Could not find a suitable TLS CA certificate bundle"


def refused_by_a_proxy(why):
    """Return what requests makes of it."""
    tunnel = TunnelError("Unable to connect to proxy", OSError(why))
    return ProxyError(MaxRetryError(HTTPSConnectionPool("repo.example.org"), "/maven2/a.jar", tunnel))


@pytest.mark.parametrize("error", [SSLError("CERTIFICATE_VERIFY_FAILED"), OSError(MISSING_BUNDLE)])
def test_the_hint_for_a_certificate_names_where_more_of_them_are_told(tmp_path, error):
    def fail(_jar, _into, _count):
        raise error

    with pytest.raises(RuntimeMissingError) as caught:
        fetched(fail, tmp_path)

    assert "REQUESTS_CA_BUNDLE" in caught.value.hint


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on device"),
        (RuntimeError("not found in remote repositories"), "the repository does not serve it"),
        (SSLError("CERTIFICATE_VERIFY_FAILED"), "of a proxy, is not trusted"),
        (
            refused_by_a_proxy("407 Proxy Authentication Required"),
            "the proxy refuses: 407 Proxy Authentication Required$",
        ),
        (ProxyError("no such proxy"), "the proxy refuses: no such proxy"),
        (OSError(f"{MISSING_BUNDLE}, invalid path: /nowhere.pem"), "could not find .*: /nowhere.pem"),
    ],
)
def test_other_causes_are_told_as_they_are(tmp_path, error, said):
    def fail(_jar, _into, _count):
        raise error

    with pytest.raises(RuntimeMissingError, match=said):
        fetched(fail, tmp_path)


def test_a_jar_that_never_comes_ends_the_fetch(tmp_path):
    def never_beta(jar, into, count):
        count(1)
        if jar.artifact == "beta":
            raise ConnectionError("reset by peer")
        return hand_out(jar, into, count)

    with pytest.raises(RuntimeMissingError, match="no connection"):
        fetched(never_beta, tmp_path)


def test_a_network_that_says_nothing_ends_the_fetch_in_time(tmp_path):
    ended = threading.Event()

    def hang(_jar, _into, _count):
        ended.wait()
        raise ConnectionError("at last")

    try:
        with pytest.raises(RuntimeMissingError, match="nothing comes"):
            fetched(hang, tmp_path, silence_s=0.05)
    finally:
        ended.set()


def test_a_fetch_goes_on_while_files_grow_of_which_no_bytes_are_reported(tmp_path):
    ended = threading.Event()
    sizes = iter([10, 20, 20])

    def hang(_jar, _into, _count):
        ended.wait()
        raise ConnectionError("at last")

    try:
        with pytest.raises(RuntimeMissingError, match="nothing comes"):
            fetched(hang, tmp_path, silence_s=0.01, arrived_bytes=lambda into: into == tmp_path and next(sizes))
    finally:
        ended.set()

    assert list(sizes) == []
