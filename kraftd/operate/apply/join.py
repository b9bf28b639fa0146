"""New programs beside those that run: written, formatted, made known to supervisord, and started."""

import logging
from dataclasses import replace
from pathlib import Path

from kraftd.errors import RefusedError
from kraftd.host.files import write_changed
from kraftd.operate.ownership import claim, refuse_foreign, remove_stale_secrets
from kraftd.operate.render import files_of
from kraftd.operate.setup import PreparedRuntime
from kraftd.operate.start.formatting import format_nodes, unformatted
from kraftd.operate.start.launch import restart_daemon
from kraftd.operate.start.preflight import check_free_disk, check_memory, make_program_directories
from kraftd.operate.start.sequence import StartSequence
from kraftd.operate.start.start import Start, check_foreign_ports
from kraftd.plan.desired import DesiredProgram
from kraftd.plan.plan import Plan
from kraftd.plan.program import DAEMON
from kraftd.supervisord.rpc import SupervisorRefusedError
from kraftd.units import timestamp

_WHY = "added by a changed configuration"

logger = logging.getLogger(__name__)


def start_beside(start: Start) -> list[str]:
    """Start the programs of a plan that the running cluster has not, beside those that run, which are not touched.

    What runs follows its new files and its new command line from its next start on; the daemon alone is restarted, as
    it reads the plan when it starts. A call that was killed is finished by the next one.

    Args:
        start: Its cluster follows the new plan, which keeps the paths of the running one; the caller holds the lock.

    Returns:
        Notes for the user, one sentence each.

    Raises:
        KraftdError: As ``start`` raises; before anything is written where the new programs cannot run here.
    """
    check_joining(start)
    prepared = start.doors.prepare_runtime(start.cluster.plan, start.cluster.command_context)
    files = files_of(start.cluster.plan, prepared.launch, start.cluster.command_context)
    adopt(start, prepared, files)
    return complete(start)


def following_configuration(start: Start, running: Plan) -> Start:
    """Return a start whose plan is the configured one, with the paths of the cluster that runs.

    Its control socket may be where an earlier kraftd, or a shell with another TMPDIR, has it.
    """
    return replace(start, cluster=start.cluster.following(replace(start.configured.plan, layout=running.layout)))


def new_programs(start: Start) -> tuple[str, ...]:
    """Return the programs of the plan that the recorded one has not."""
    recorded = start.cluster.store.plan()
    return tuple(name for name in start.cluster.plan.names if recorded is None or name not in recorded.names)


def check_joining(start: Start) -> None:
    """Refuse, before anything is written, new programs and ports that cannot be used here.

    Raises:
        KraftdError: As ``start`` raises.
    """
    plan = start.cluster.plan
    refuse_foreign(plan.layout, plan.names)
    unformatted(plan, start.configured.manifest)
    check_memory(plan, start.doors.memory_bytes())
    check_free_disk(start.doors.disk_spaces(plan), plan.min_free_disk_bytes)
    check_foreign_ports(start)


def adopt(start: Start, prepared: PreparedRuntime, files: dict[Path, str]) -> None:
    """Write a plan and its files, format its new nodes, and let supervisord and the daemon follow it.

    Raises:
        RefusedError: The supervisord that runs cannot take new programs.
    """
    cluster, plan = start.cluster, start.cluster.plan
    new = new_programs(start)
    owned = claim(plan.layout, plan.names)
    make_program_directories(plan, new)
    # Also where nothing is empty: a broker that comes back with its data is on record before it starts.
    format_nodes(plan, unformatted(plan, start.configured.manifest), prepared.bootstrap_checkpoint)
    for path in write_changed(files):
        logger.debug("Wrote %s", path)
    remove_stale_secrets(plan.layout, owned, files)
    now = timestamp(cluster.clock.now_s())
    # Before the plan, which makes them known: a killed command must not leave programs that nobody wants.
    cluster.store.set_desired(new, DesiredProgram(running=True, since=now, by=start.options.command, why=_WHY))
    cluster.store.write_plan(plan)
    try:
        cluster.supervisor.update()
    except SupervisorRefusedError as error:
        raise RefusedError(
            f"cannot add programs to the supervisord that runs: {error}",
            hint="'kraftd restart' replaces it, and applies the configuration.",
            code="needs_restart",
        ) from error
    restart_daemon(cluster)


def complete(start: Start) -> list[str]:
    """Start what should run and does not, create the declared topics, and wait until all of it serves."""
    desired, processes = start.cluster.store.desired(), start.cluster.find_processes().processes
    wanted = tuple(name for name in start.cluster.plan.names if desired.wants(name) or name == DAEMON)
    missing = tuple(name for name in wanted if name not in processes)
    return StartSequence(start.cluster, start.doors, start.deadline).run(wanted, missing)
