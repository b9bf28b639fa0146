"""supervisord as `kraftd start` brings it up: what it inherits, and what its parent keeps."""

import json
import os
import resource
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kraftd.host.environment import raise_open_files
from tests.harness import eventually
from tests.integration.stand_ins import LAUNCH_IT, stand_ins

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

IN_A_CHILD = """
import os
os.register_at_fork(after_in_child=lambda: os.write(1, b"Python ran in a child"))
"""
LIMITS = """
import json, resource
print(json.dumps(resource.getrlimit(resource.RLIMIT_NOFILE)))
"""


def open_files_limit(pid):
    limits = Path(f"/proc/{pid}/limits").read_text()
    return next(int(line.split()[3]) for line in limits.splitlines() if "open files" in line)


def test_supervisord_gets_the_highest_limit_of_descriptors_its_parent_keeps_its_own(cluster):
    with stand_ins(cluster) as made:
        os.kill(made.supervisor.pid(), signal.SIGKILL)
        eventually(lambda: made.process_table().supervisor is None, within_s=30)
        script = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (512, 4096))" + LAUNCH_IT + LIMITS

        done = subprocess.run(
            [sys.executable, "-c", script, str(made.plan.layout.plan)], check=True, timeout=30, capture_output=True
        )

        assert json.loads(done.stdout) == [512, 4096]
        limits = Path(f"/proc/{made.supervisor.pid()}/limits").read_text()
        assert [line.split()[3:5] for line in limits.splitlines() if "open files" in line] == [["4096", "4096"]]


def test_supervisord_starts_with_low_limits_and_a_soft_one_is_raised_later(cluster):
    with stand_ins(cluster) as made:
        os.kill(made.supervisor.pid(), signal.SIGKILL)
        eventually(lambda: made.process_table().supervisor is None, within_s=30)
        # Below 1024 files, or 200 processes, supervisord by its own defaults refuses to start.
        files = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 300))\n"
        processes = "resource.setrlimit(resource.RLIMIT_NPROC, (100, 150))"
        # Only root can count on a start of its own with so few.
        script = files + ("" if os.geteuid() else processes) + LAUNCH_IT
        subprocess.run([sys.executable, "-c", script, str(made.plan.layout.plan)], check=True, timeout=30)
        supervisord = made.supervisor.pid()
        as_started = open_files_limit(supervisord)
        resource.prlimit(supervisord, resource.RLIMIT_NOFILE, (280, 300))

        raised = raise_open_files(supervisord)
        made.start("broker-1")

        assert (as_started, raised >= 300) == (300, True)
        assert open_files_limit(supervisord) == open_files_limit(made.process("broker-1").pid) == raised


def test_no_python_runs_between_fork_and_exec_for_this_process_may_have_threads(cluster):
    with stand_ins(cluster) as made:
        os.kill(made.supervisor.pid(), signal.SIGKILL)
        eventually(lambda: made.process_table().supervisor is None, within_s=30)

        done = subprocess.run(
            [sys.executable, "-c", IN_A_CHILD + LAUNCH_IT, str(made.plan.layout.plan)],
            check=True,
            timeout=30,
            capture_output=True,
        )

        assert (done.stdout, done.stderr) == (b"", b"")


def test_a_state_directory_that_is_a_project_gives_supervisord_no_modules_of_its_own(cluster):
    with stand_ins(cluster) as made:
        os.kill(made.supervisor.pid(), signal.SIGKILL)
        eventually(lambda: made.process_table().supervisor is None, within_s=30)
        state_dir = made.plan.layout.state_dir
        for name in ("random", "logging", "yaml", "supervisor", "site"):
            (state_dir / f"{name}.py").write_text(f"open({str(state_dir / 'imported')!r}, 'a').write(__name__)\n")

        subprocess.run([sys.executable, "-c", LAUNCH_IT, str(made.plan.layout.plan)], check=True, timeout=30)

        assert made.supervisor.pid()
        assert not (state_dir / "imported").exists()


def test_supervisord_and_its_programs_write_their_logs_in_utc(cluster, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    with stand_ins(cluster) as made:
        os.kill(made.supervisor.pid(), signal.SIGKILL)
        eventually(lambda: made.process_table().supervisor is None, within_s=30)
        began = datetime.now(UTC)

        subprocess.run([sys.executable, "-c", LAUNCH_IT, str(made.plan.layout.plan)], check=True, timeout=30)

        started = made.plan.layout.supervisord_log.read_text().splitlines()[-1]
        written = datetime.strptime(started[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        assert abs((written - began).total_seconds()) < 60


def test_what_supervisord_logs_is_in_its_rotated_log_alone(cluster):
    with stand_ins(cluster) as made:
        layout = made.plan.layout
        made.start("broker-1")

        assert "spawned: " in layout.supervisord_log.read_text()
        assert (layout.logs("supervisord") / "console.log").read_text() == ""


def test_a_full_disk_does_not_end_supervisord(cluster):
    with stand_ins(cluster) as made:
        os.kill(made.supervisor.pid(), signal.SIGKILL)
        eventually(lambda: made.process_table().supervisor is None, within_s=30)
        layout = made.plan.layout
        for log in (layout.supervisord_log, layout.logs("supervisord") / "console.log", layout.console("broker-1")):
            log.unlink(missing_ok=True)
            log.symlink_to("/dev/full")
        subprocess.run([sys.executable, "-c", LAUNCH_IT, str(layout.plan)], check=True, timeout=30)
        supervisord = made.supervisor.pid()
        made.behave("broker-1", after_s=0, status=3)

        made.start("broker-1")
        eventually(lambda: made.process_table().facts["broker-1"].state != "RUNNING", within_s=30)
        made.start("broker-2")

        assert made.supervisor.pid() == supervisord
        assert made.process_table().facts["broker-2"].pid is not None
