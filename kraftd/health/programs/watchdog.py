"""The watchdog: which program runs but gives no answer, and what is done about it next. Pure.

A hung program is woken first: its threads are dumped into its log, and SIGCONT continues one that was only frozen. If
that does not help, it gets SIGTERM, then SIGKILL, and the restart policy decides about its next run.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from kraftd.health.programs.ladder import Silence
from kraftd.health.programs.state import START_GRACE_S
from kraftd.plan.kinds import Node, Tool, WatchdogLimits
from kraftd.plan.program import Program

MIN_SILENT_PROBES = 3
"""A daemon that was frozen itself would else take one silent probe for a long silence."""

ANSWER_WITHIN_S = 10.0
"""A program that was woken has this long to answer."""

LONGEST_PATIENCE_S = 30.0
"""SIGKILL follows SIGTERM after this at the latest."""


class Step(StrEnum):
    """What is done about a hung program."""

    WAKE = "wake"
    TERMINATE = "terminate"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Hang:
    """The silence of one run of a program. Times are those of the clock that never steps.

    Attributes:
        silence: How it gives no answer now.
        since_s: When the first probe without an answer was sent.
        probes: How many probes have had no answer in a row.
        step: The last step; None before the first.
        step_at_s: When that was.
        obstacle: Why the next step is not taken; None where nothing is in its way.
    """

    silence: Silence
    since_s: float
    probes: int = 1
    step: Step | None = None
    step_at_s: float = 0.0
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """What is known of one run of a program.

    Attributes:
        uptime_s: Since its start.
        has_served: Whether it has answered before.
        log_age_s: Since it last wrote to one of its logs; None where it has none.
    """

    uptime_s: float
    has_served: bool
    log_age_s: float | None


def observed(hang: Hang | None, silence: Silence | None, now_s: float) -> Hang | None:
    """Return the silence of a program after one more probe; None where it answered.

    A program that opens or closes its port meanwhile does something: its silence starts over.
    """
    if silence is None:
        return None
    if hang is None or hang.silence is not silence:
        return Hang(silence, now_s)
    return replace(hang, probes=hang.probes + 1)


def taken(hang: Hang, step: Step, now_s: float) -> Hang:
    """Return a silence after a step."""
    return replace(hang, step=step, step_at_s=now_s, obstacle=None)


def next_step(limits: WatchdogLimits, program: Program, hang: Hang, run: Run, now_s: float) -> Step | None:
    """Return the step that is due; None while there is patience left, or nothing more to do.

    Args:
        limits: How long each kind of program may be silent.
        program: The program.
        hang: Its silence.
        run: What is known of this run.
        now_s: The time of the probe.
    """
    match hang.step:
        case None:
            return Step.WAKE if _is_hung(limits, program, hang, run, now_s) else None
        case Step.WAKE:
            return Step.TERMINATE if now_s - hang.step_at_s >= ANSWER_WITHIN_S else None
        case Step.TERMINATE:
            patience_s = min(program.stop.patience_s, LONGEST_PATIENCE_S)
            return Step.KILL if now_s - hang.step_at_s >= patience_s else None
        case Step.KILL:
            return None


def _is_hung(limits: WatchdogLimits, program: Program, hang: Hang, run: Run, now_s: float) -> bool:
    silent_s = now_s - hang.since_s
    if hang.probes < MIN_SILENT_PROBES:
        return False
    if hang.silence is Silence.NOT_LISTENING:
        # What starts, recovers its logs or ends writes that into them.
        silent_s = min(silent_s, run.uptime_s, silent_s if run.log_age_s is None else run.log_age_s)
        return silent_s >= limits.start_silent_s
    if not run.has_served and run.uptime_s < START_GRACE_S:
        return False
    return silent_s >= (limits.node_silent_s if isinstance(program, Node) else limits.app_silent_s)


def wakes_supervisord(limits: WatchdogLimits, hang: Hang, now_s: float) -> bool:
    """Return whether a supervisord that gives no answer is to be continued now.

    Nothing more is done about it: its end would leave every program without it.
    """
    last_s = hang.since_s if hang.step is None else hang.step_at_s
    return limits.enabled and hang.probes >= MIN_SILENT_PROBES and now_s - last_s >= limits.daemon_silent_s


def dumps_threads(program: Program) -> bool:
    """Return whether SIGQUIT makes a program dump its threads: nodes and apps do, while it ends a tool."""
    return not isinstance(program, Tool)


def node_in_the_way(
    program: Program, nodes: Collection[Program], ready: Collection[str], hangs: Mapping[str, Hang]
) -> str | None:
    """Return why a hung node has to wait for another node; None where it need not. One node is ended at a time.

    Args:
        program: The hung program.
        nodes: The nodes that are to run.
        ready: The programs that serve.
        hangs: The silences of all programs.
    """
    if not isinstance(program, Node):
        return None
    for other in nodes:
        hang = hangs.get(other.name)
        if other.name == program.name or other.name in ready:
            continue
        if hang is None or hang.silence is Silence.NOT_LISTENING or hang.step in {Step.TERMINATE, Step.KILL}:
            return f"{other.name} is not back yet"
    return None


def is_served_elsewhere(
    program: Program, brokers: Collection[Program], ready: Collection[str], hangs: Mapping[str, Hang]
) -> bool:
    """Return whether another broker than a hung node serves, or may do so: else its end costs nothing.

    Nobody could tell that cost either. A broker that has missed a probe or two is not yet one that does not serve.
    """
    others = (broker.name for broker in brokers if broker.name != program.name)
    return any(name in ready or (name in hangs and hangs[name].step is None) for name in others)


def describe(hang: Hang, program: Program, now_s: float) -> str:
    """Return what was done about a hung program, as a clause without its subject."""
    silent = f"it has given no answer for {now_s - hang.since_s:.0f} s"
    if hang.obstacle is not None:
        return f"{silent}; the watchdog leaves it running, because {hang.obstacle}"
    match hang.step:
        case None:
            return silent
        case Step.WAKE:
            woken = "dumped its threads into its log and continued it" if dumps_threads(program) else "continued it"
            return f"{silent}; the watchdog {woken}"
        case Step.TERMINATE:
            return f"{silent}; the watchdog sent it SIGTERM"
        case Step.KILL:
            return f"{silent}; the watchdog sent it SIGKILL"
