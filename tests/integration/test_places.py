"""Commands where the system gives less than usual: no home, no working directory, a disk that is not mounted."""

import json
import os
import shlex
import subprocess

import pytest

from kraftd.observe.processes import find_processes
from kraftd.supervisord.rpc import Supervisor
from tests.integration.formatted import format_cluster
from tests.integration.stand_ins import stand_ins

pytestmark = pytest.mark.integration

ROOT = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
SANDBOX = ["unshare", *ROOT, "--pid", "--fork", "--mount-proc"]
"""As a container that shares the directory: with pids of its own."""


@pytest.fixture
def plan(cluster):
    return format_cluster(cluster)


def answer(cluster, arguments, *, prefix=(), shell=""):
    """Return the status and the document of a command below a prefix, after a line of shell."""
    words = [*prefix, cluster.python, "-m", "kraftd", "--json", *arguments]
    done = subprocess.run(
        ["sh", "-c", f"{shell} exec {shlex.join(words)}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cluster.state_dir.parent,
        # Without this, python -m adds the working directory to its path, and complains where there is none.
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize(
    "prefix",
    [
        ["unshare", "-U", "--map-user=12345", "env", "-u", "HOME", "-u", "XDG_STATE_HOME"],
        ["env", "-u", "XDG_STATE_HOME", "HOME=relative/dir"],
    ],
    ids=["nobody", "relative"],
)
def test_without_a_home_directory_a_command_says_so_where_it_needs_one(cluster, plan, prefix):
    if prefix[0] == "unshare" and subprocess.run([*prefix[:3], "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespaces here")

    status, document = answer(cluster, ["start"], prefix=prefix)
    asked, told = answer(cluster, ["--state-dir", str(cluster.state_dir), "status"], prefix=prefix)

    assert (status, document["error"]["code"]) == (2, "no_home")
    assert (asked, told["status"]) == (3, "down")
    assert not (cluster.state_dir.parent / "relative").exists()


def test_without_a_loopback_interface_a_start_says_so_at_once(cluster):
    prefix = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    here = ["--state-dir", str(cluster.state_dir), "--set", "cluster.heap=256m"]

    status, document = answer(cluster, [*here, "start"], prefix=prefix)
    judged, found = answer(cluster, [*here, "doctor"], prefix=prefix)

    assert (status, document["error"]["code"]) == (1, "loopback_down")
    assert (judged, [each["status"] for each in found["findings"] if each["name"] == "loopback"]) == (1, ["failure"])
    # The lock is a file of its own.
    assert [each.name for each in cluster.state_dir.glob("*")] in ([], ["lock"])


@pytest.fixture
def sandboxed():
    if subprocess.run([*SANDBOX, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespaces here")


@pytest.mark.usefixtures("sandboxed")
def test_in_another_container_no_command_touches_what_its_pids_do_not_mean(cluster):
    names = ("producer", "broker-1", "broker-2", "controller-101")
    with stand_ins(cluster) as made:
        made.set_desired(True, *names)
        made.start(*names)
        before = made.process_table().processes
        here = ["--state-dir", str(cluster.state_dir)]
        commands = (
            ["stop"],
            ["stop", "producer"],
            ["start"],
            ["restart", "producer"],
            ["destroy", "--yes"],
            ["status"],
        )

        answers = [answer(cluster, [*here, *command], prefix=SANDBOX) for command in commands]
        judged, found = answer(cluster, [*here, "doctor"], prefix=SANDBOX)

        assert {(status, document["error"]["code"]) for status, document in answers} == {(8, "other_pid_namespace")}
        failing = [each["name"] for each in found["findings"] if each["status"] == "failure"]
        assert (judged, failing) == (1, ["supervision"])
        assert made.process_table().processes == before
        assert made.store.desired().wants("producer")


class Misled(Supervisor):
    """As in a sandbox whose kernel tells the pid of who asks in place of that of who listens."""

    listener_pid = property(lambda self: os.getpid(), lambda self, pid: None)


def test_a_supervisord_with_its_own_marker_is_of_here_whatever_pid_the_kernel_tells(cluster):
    with stand_ins(cluster) as made:
        found = find_processes(made.plan, Misled(made.plan.layout.socket))

        assert found.supervisor == made.process_table().supervisor
        assert found.supervisor is not None


def test_in_a_removed_working_directory_a_command_says_so_where_it_needs_one(cluster, plan):
    shell = "mkdir gone && cd gone && rmdir ../gone &&"

    asked, told = answer(cluster, ["--state-dir", str(cluster.state_dir), "status"], shell=shell)
    relative, refused = answer(cluster, ["--state-dir", "s", "status"], shell=shell)
    written, document = answer(cluster, ["init"], shell=shell)

    assert (asked, told["status"]) == (3, "down")
    assert (relative, refused["error"]["code"]) == (2, "no_working_directory")
    assert (written, document["error"]["code"]) == (2, "no_working_directory")


@pytest.mark.parametrize("variable", ["state", "XDG_CACHE_HOME"])
def test_a_link_to_a_disk_that_is_not_mounted_is_named_and_waited_for_by_nobody(cluster, tmp_path, variable):
    link = tmp_path / "link"
    link.symlink_to("/mnt/not-mounted")
    if variable == "state":
        cluster.state_dir = link
    else:
        cluster.environ = {variable: str(link)}

    done = cluster.run("--json", "start" if variable == "state" else "setup", timeout_s=20)

    error = done.document["error"]
    assert (done.status, error["code"]) == (4, "permission_denied")
    assert f"{link} is a symbolic link to /mnt/not-mounted" in error["message"]
    assert ("--state-dir" if variable == "state" else variable) in error["hint"]
