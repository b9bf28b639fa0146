"""`kraftd bundle`: what goes in, what is masked, and that a failure leaves nothing."""

import stat
import tarfile
from dataclasses import replace

import pytest

from kraftd.errors import ConfigurationError, FileAccessError, NeedsRunningClusterError
from kraftd.health.programs.state import ServiceState
from kraftd.health.programs.verdict import judge
from kraftd.health.report.health import health_document, status_document
from kraftd.host.events import EventLog
from kraftd.operate.diagnose.bundle import BundleDoors, default_name, write_bundle
from kraftd.operate.diagnose.findings import Diagnosis, Finding, Level
from kraftd.operate.selection import ChosenCluster
from kraftd.operate.start.start import lock_and_start
from kraftd.plan.loading import configure, parse_toml
from tests.unit.health.views import program, snapshot
from tests.unit.operate.fake_cluster import FakeCluster

SECRETS = ("hunter2-broker", "hunter2-java", "hunter2-topic", "hunter2-url")
SHORT = "x7!"
"""Too short to be looked for in every text: it is masked where its name is."""

TOML = f"""
[broker.config]
"ssl.keystore.password" = "{SECRETS[0]}"
"ssl.truststore.password" = "{SHORT}"
"sasl.oauthbearer.jwks.endpoint.url" = "https://ada:{SECRETS[3]}@keys.example/"
[java]
options = ["-Djavax.net.ssl.keyStorePassword={SECRETS[1]}"]
[[topic]]
name = "test-topic"
[topic.config]
"my.secret" = "{SECRETS[2]}"
"""


@pytest.fixture
def cluster(tmp_path):
    made = FakeCluster(tmp_path, toml=TOML)
    lock_and_start(made.starting())
    return made


def document(cluster, of=status_document, reason="all is well"):
    waiting = program("broker-2", ServiceState.UNREADY, reason)
    look = snapshot(program("broker-1"), waiting, program("kraftd"))
    return of(cluster.plan, look, judge(look), *((1000.0,) if of is health_document else ("command",)))


def written(cluster, path, *, thread_dumps=False, **doors):
    kind = {
        "diagnosis": lambda cluster, chosen: Diagnosis("local", (Finding("disk", Level.OK, "it is large"),)),
        "status": lambda context: document(cluster),
        "health": lambda plan: document(cluster, health_document),
        "run_in_jvm": lambda process, command, clock: f"{command} of {process.pid}",
    }
    chosen = ChosenCluster(configure([parse_toml(TOML, "kraftd.toml")]), "kraftd.toml", cluster.plan.layout)
    return write_bundle(cluster.context, chosen, path, thread_dumps=thread_dumps, doors=BundleDoors(**(kind | doors)))


def texts(path):
    with tarfile.open(path) as archive:
        files = {member.name.partition("/")[2]: archive.extractfile(member) for member in archive}
        return {name: file.read().decode() for name, file in files.items()}


def test_it_holds_documents_records_files_and_logs_and_no_data(cluster, tmp_path):
    layout = cluster.plan.layout
    log = layout.main_log(cluster.plan.program("broker-1"))
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("the last words\n")
    (layout.data("broker-1") / "00000000000000000000.log").write_text("a record")

    names = written(cluster, tmp_path / "b.tar.gz")

    found = texts(tmp_path / "b.tar.gz")
    assert tuple(found) == names
    assert {"doctor.json", "settings.json", "plan.json", "status.json", "health.json", "events.jsonl"} <= set(names)
    assert {"manifest.json", "desired.json", "restarts.json", "ownership.json"} <= set(names)
    assert "rendered/config/broker-1/server.properties" in names
    assert found[str(log.relative_to(layout.state_dir))] == "the last words\n"
    assert "it is large" in found["doctor.json"]
    assert "a record" not in "".join(found.values())


def test_only_its_user_can_read_it(cluster, tmp_path):
    written(cluster, tmp_path / "b.tar.gz")

    assert stat.S_IMODE((tmp_path / "b.tar.gz").stat().st_mode) == 0o600
    with tarfile.open(tmp_path / "b.tar.gz") as archive:
        assert {member.mode for member in archive} == {0o600}


def test_planted_secrets_are_masked_wherever_they_occur(cluster, tmp_path):
    layout = cluster.plan.layout
    spoken = f"they are {', '.join(SECRETS)}"
    for name in cluster.plan.names:
        log = layout.main_log(cluster.plan.program(name))
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"{name}: {spoken}\n")
    EventLog(layout.events, "commands", cluster.clock).record("said", spoken)

    written(
        cluster,
        tmp_path / "b.tar.gz",
        thread_dumps=True,
        diagnosis=lambda cluster, chosen: Diagnosis("local", (Finding("x", Level.OK, spoken),)),
        status=lambda context: replace(document(cluster, reason=spoken)),
        health=lambda plan: document(cluster, health_document, spoken),
        run_in_jvm=lambda process, command, clock: spoken,
    )

    found = texts(tmp_path / "b.tar.gz")
    said = {name for name, text in found.items() if "they are ***, ***, ***, ***" in text}
    assert said >= {"doctor.json", "status.json", "health.json", "events.jsonl", "threads/broker-1.txt"}
    assert [name for name, text in found.items() if any(secret in text for secret in SECRETS)] == []
    assert "ssl.truststore.password=***" in found["rendered/config/broker-1/server.properties"]
    assert [name for name, text in found.items() if SHORT in text] == []


def test_the_tokens_of_programs_are_masked(cluster, tmp_path):
    token = cluster.plan.layout.config("producer") / "producer.token"
    token.parent.mkdir(parents=True, exist_ok=True)
    token.write_text("hunter2-token\n")

    written(cluster, tmp_path / "b.tar.gz", run_in_jvm=lambda *asked: "hunter2-token", thread_dumps=True)

    found = texts(tmp_path / "b.tar.gz")
    assert "rendered/config/producer/producer.token" in found
    assert [name for name, text in found.items() if "hunter2-token" in text] == []


def test_a_link_is_not_followed(cluster, tmp_path):
    (tmp_path / "private").write_text("of somebody else")
    (cluster.plan.layout.config("broker-1") / "link.properties").symlink_to(tmp_path / "private")

    written(cluster, tmp_path / "b.tar.gz")

    assert "of somebody else" not in "".join(texts(tmp_path / "b.tar.gz").values())


def test_what_cannot_be_read_is_in_it_as_the_reason(cluster, tmp_path):
    def refuse(*asked):
        raise NeedsRunningClusterError("cannot ask the daemon")

    def deny(*asked):
        raise PermissionError(13, "Permission denied", "/srv")

    written(cluster, tmp_path / "b.tar.gz", health=refuse, diagnosis=deny)

    found = texts(tmp_path / "b.tar.gz")
    assert found["health.json"] == "cannot ask the daemon\n"
    assert "Permission denied" in found["doctor.json"]
    assert "broker-1" in found["status.json"]


def test_threads_are_asked_of_nodes_that_serve_and_only_if_wanted(cluster, tmp_path):
    quiet = written(cluster, tmp_path / "a.tar.gz")
    names = written(cluster, tmp_path / "b.tar.gz", thread_dumps=True)

    assert [name for name in quiet if name.startswith("threads/")] == []
    assert [name for name in names if name.startswith("threads/")] == ["threads/broker-1.txt"]
    assert texts(tmp_path / "b.tar.gz")["threads/broker-1.txt"].startswith("Thread.print -l of ")


def test_a_file_that_exists_is_left_as_it_is(cluster, tmp_path):
    (tmp_path / "b.tar.gz").write_text("mine")

    with pytest.raises(ConfigurationError) as caught:
        written(cluster, tmp_path / "b.tar.gz")

    assert (caught.value.code, (tmp_path / "b.tar.gz").read_text()) == ("file_exists", "mine")


def test_a_bundle_that_fails_leaves_nothing(cluster, tmp_path):
    directory = tmp_path / "out"
    directory.mkdir()

    def end(*asked):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written(cluster, directory / "b.tar.gz", health=end)

    assert list(directory.iterdir()) == []


def test_a_place_that_is_not_there_is_named(cluster, tmp_path):
    with pytest.raises(FileAccessError, match="nowhere"):
        written(cluster, tmp_path / "nowhere" / "b.tar.gz")


def test_it_is_named_after_the_cluster_and_the_time():
    assert default_name("local", 1_700_000_000.0) == "kraftd-local-20231114221320.tar.gz"
