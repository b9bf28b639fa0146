"""The launch of supervisord, detached from the terminal, and of another daemon below it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from kraftd.errors import KraftdError, TimedOutError
from kraftd.host.environment import raised_limits, supervised_environment
from kraftd.host.logs import tail
from kraftd.operate.context import ClusterContext, CommandContext
from kraftd.operate.stop.execute import StopExecution
from kraftd.plan.plan import Plan
from kraftd.plan.program import DAEMON, python_marker
from kraftd.supervisord.rpc import SUPERVISORD, Supervisor, SupervisorUnreachableError

_LAUNCH_TIMEOUT_S = 20.0
_POLL_S = 0.02
_DAEMON_STARTS_WITHIN_S = 5.0
_DAEMON_POLL_S = 0.05


def launch_supervisord(
    plan: Plan, command_context: CommandContext, meanwhile: Callable[[], None] | None = None
) -> Supervisor:
    """Start supervisord in a session of its own and return when it answers.

    Args:
        plan: The cluster.
        command_context: The caller of the command.
        meanwhile: Called once while supervisord boots, which takes 0.1 s of one core.

    Raises:
        KraftdError: It ended, with the last lines that it wrote.
        TimedOutError: It does not answer.
    """
    layout = plan.layout
    layout.socket.unlink(missing_ok=True)
    console = layout.logs("supervisord") / "console.log"
    console.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    console.touch(mode=0o600)
    has_object_store = plan.daemon.backups is not None and plan.daemon.backups.has_url
    with console.open("ab") as output, raised_limits():
        process = subprocess.Popen(
            _command(plan, command_context),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=layout.state_dir,
            env=supervised_environment(command_context.environ, has_object_store=has_object_store),
            start_new_session=True,
            umask=0o077,
        )
    if meanwhile is not None:
        meanwhile()
    return _answering(process, console, plan, command_context)


def restart_daemon(cluster: ClusterContext) -> None:
    """End the daemon, which supervisord starts again at once, also where this command is killed in between.

    For one that ends within a second of its start, supervisord would wait: it is spawned here. That supervisord has
    noticed the end is waited for.
    """
    supervisor = cluster.supervisor
    before = supervisor.processes()[DAEMON]
    StopExecution(cluster, cluster.find_processes().processes).stop_clients((DAEMON,))
    deadline_s = cluster.clock.monotonic_s() + _DAEMON_STARTS_WITHIN_S
    while True:
        supervisor.start(cluster.plan.daemon.supervised_name)
        now = supervisor.processes()[DAEMON]
        is_started = now.pid is not None and (now.pid, now.started_at_s) != (before.pid, before.started_at_s)
        if is_started or cluster.clock.monotonic_s() > deadline_s:
            return
        cluster.clock.sleep(_DAEMON_POLL_S)


def _answering(
    process: "subprocess.Popen[bytes]", console: Path, plan: Plan, command_context: CommandContext
) -> Supervisor:
    supervisor = Supervisor(plan.layout.socket)
    deadline_s = command_context.clock.monotonic_s() + _LAUNCH_TIMEOUT_S
    while True:
        try:
            supervisor.pid()
        except SupervisorUnreachableError as error:
            if process.poll() is not None:
                raise _ended(process.returncode, console) from error
            if command_context.clock.monotonic_s() > deadline_s:
                raise TimedOutError(
                    f"cannot reach supervisord within {_LAUNCH_TIMEOUT_S:g} s of its start",
                    hint=f"Its log is {plan.layout.supervisord_log}.",
                ) from error
            command_context.clock.sleep(_POLL_S)
        else:
            return supervisor


def _command(plan: Plan, command_context: CommandContext) -> list[str]:
    marker = python_marker(plan.layout.identity(SUPERVISORD))
    conf = str(plan.layout.supervisord_conf)
    # Safe path: its working directory may be a project's, whose random.py or logging.py would be imported.
    return [str(command_context.python), "-P", *marker.arguments, "-m", "kraftd.supervisord", "-c", conf]


def _ended(status: int, console: Path) -> KraftdError:
    said = "\n".join(f"  {line}" for line in tail(console, 5)) or "  (it wrote nothing)"
    return KraftdError(
        f"cannot start supervisord: it ended with status {status}, and its last output was\n{said}",
        hint=f"The whole text is in {console}.",
        code="supervisord_failed",
    )
