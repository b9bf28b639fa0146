"""`kraftd pause` and `kraftd resume`: programs that the daemon leaves alone on purpose, whatever becomes of them.

A pause changes the desired state only. The process gets no signal, and goes on as it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from kraftd.errors import RefusedError
from kraftd.operate.context import ClusterContext
from kraftd.operate.ownership import was_locked
from kraftd.operate.stop.stop import is_there
from kraftd.plan.desired import DesiredProgram, DesiredState
from kraftd.plan.program import DAEMON
from kraftd.units import timestamp

_STOPPED = "is stopped: it is left alone until it is started"


@dataclass(frozen=True, slots=True)
class PauseResult:
    """Answer to ``kraftd pause`` and ``kraftd resume``.

    Attributes:
        changed: The programs whose desired state changed.
        unchanged: Why the others were left as they are, by name.
    """

    cluster: str
    changed: tuple[str, ...]
    unchanged: dict[str, str]


def pause(cluster: ClusterContext, names: Iterable[str], timeout_s: float) -> PauseResult:
    """Have the daemon neither restart nor signal some programs, until they are resumed, started or stopped.

    Raises:
        UnknownNameError: No program has one of the names.
        RefusedError: The daemon is among them: supervisord restarts it.
        TimedOutError: Another command kept the lock.
    """
    return _change(cluster, names, "pause", timeout_s)


def resume(cluster: ClusterContext, names: Iterable[str], timeout_s: float) -> PauseResult:
    """Have the daemon keep some programs running again; one that ended meanwhile is restarted.

    Raises:
        UnknownNameError: No program has one of the names.
        TimedOutError: Another command kept the lock.
    """
    return _change(cluster, names, "resume", timeout_s)


def _change(cluster: ClusterContext, names: Iterable[str], command: str, timeout_s: float) -> PauseResult:
    chosen = tuple(dict.fromkeys(names))
    cluster.plan.check_names(chosen)
    is_pause = command == "pause"
    if is_pause and DAEMON in chosen:
        raise RefusedError(
            f"cannot pause {DAEMON}: it is what leaves other programs alone, and supervisord restarts it",
            hint=f"'kraftd stop {DAEMON}' stops it, and with it every restart.",
        )
    if not was_locked(cluster.layout) and not is_there(cluster):
        # Nothing was ever started in this directory, and a pause makes none.
        return PauseResult(cluster.plan.cluster, (), dict.fromkeys(chosen, _STOPPED))
    with cluster.lock(command, timeout_s=timeout_s):
        unchanged = {name: why for name in chosen if (why := _why_unchanged(cluster.store.desired(), name, is_pause))}
        changed = tuple(name for name in chosen if name not in unchanged)
        if changed:
            desired = DesiredProgram(
                running=True,
                since=timestamp(cluster.clock.now_s()),
                by=command,
                why="requested on the command line",
                paused=is_pause,
            )
            cluster.store.set_desired(changed, desired)
            for name in changed:
                text = "the daemon leaves it alone" if is_pause else "the daemon keeps it running again"
                cluster.record("paused" if is_pause else "resumed", text, program=name)
    return PauseResult(cluster.plan.cluster, changed, unchanged)


def _why_unchanged(desired: DesiredState, name: str, is_pause: bool) -> str:
    """Return why a program stays as it is; empty where it does not."""
    if desired.is_paused(name):
        return f"is paused already, since {desired.programs[name].since}" if is_pause else ""
    if not desired.wants(name):
        return _STOPPED
    return "" if is_pause else "is not paused"
