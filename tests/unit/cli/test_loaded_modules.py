"""What a call of the command line does not load: each module costs every call of a command its time."""

import subprocess
import sys

import pytest

CALL = """
import sys
from kraftd.cli.main import main
try:
    main()
finally:
    print(*sorted(sys.modules), file=sys.stderr)
"""
FRAMEWORKS = ("asyncio", "confluent_kafka", "fastapi", "jinja2", "kafka", "uvicorn", "zstandard")
"""For the daemon, the apps, and what commands do with Kafka."""

LIVE = ("rich.live", "rich.progress")
PLANNING = ("kraftd.plan.planning", "kraftd.render", "kraftd.runtime")
"""For commands that make a plan: others follow the one that is on record."""

OBSERVING = ("kraftd.observe.exits", "kraftd.observe.probes", "kraftd.operate.observation")
"""For where the daemon does not answer."""


def loaded_by(tmp_path, *argv):
    done = subprocess.run(
        [sys.executable, "-c", CALL, "--state-dir", str(tmp_path / "never-started"), *argv],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("argv", "absent"),
    [
        (
            ["--help"],
            (*FRAMEWORKS, *LIVE, *PLANNING, "kraftd.health", "kraftd.operate", "msgspec", "psutil", "pydantic"),
        ),
        (["--version"], (*FRAMEWORKS, "kraftd.health", "kraftd.operate", "msgspec", "psutil", "pydantic", "rich")),
        (["status"], (*FRAMEWORKS, *LIVE, *PLANNING, *OBSERVING, "kraftd.kafka.admin")),
        (
            ["events", "--json"],
            (*FRAMEWORKS, *LIVE, *PLANNING, *OBSERVING, "kraftd.health.report", "kraftd.kafka.admin", "rich"),
        ),
        (["pause", "broker-1"], (*FRAMEWORKS, *LIVE)),
    ],
)
def test_a_command_loads_nothing_that_it_does_not_use(argv, absent, tmp_path):
    loaded = loaded_by(tmp_path, *argv)

    assert "kraftd.cli.options" in loaded
    assert [name for name in absent if name in loaded] == []


def test_a_command_does_not_search_for_garbage_when_it_ends(tmp_path):
    code = CALL.replace("print(*sorted(sys.modules)", "import gc; print(gc.get_freeze_count()")
    argv = [sys.executable, "-c", code, "--state-dir", str(tmp_path / "never-started"), "status"]

    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert int(done.stderr.splitlines()[-1]) > 10_000


def test_the_daemon_begins_without_what_it_uses_later_or_never():
    code = "import sys, kraftd.daemon.service, kraftd.daemon.__main__; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())

    assert "kraftd.daemon.loop" in loaded
    assert [name for name in ("fastapi", "jinja2", "kafka", "pydantic", "typer") if name in loaded] == []
