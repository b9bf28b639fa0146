"""`kraftd wait`: until the cluster, or a program, is in a state."""

from dataclasses import dataclass

from kraftd.errors import ConfigurationError, TimedOutError
from kraftd.operate.context import ClusterContext
from kraftd.operate.names import check_names
from kraftd.operate.status import StatusResult, status

CONDITIONS = ("ready", "stopped")
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Condition:
    """What is waited for: a state of the cluster, or of one program."""

    state: str
    program: str | None = None


def parse_condition(text: str) -> Condition:
    """Return the condition of ``ready``, ``stopped`` or ``broker-1:ready``.

    Raises:
        ConfigurationError: No condition has this form.
    """
    program, colon, state = text.rpartition(":")
    if state not in CONDITIONS or (colon and not program):
        raise ConfigurationError(
            f"cannot wait for {text!r}: no such condition",
            hint="There are: ready, stopped, and with a program broker-1:ready, producer:stopped.",
        )
    return Condition(state, program or None)


def wait(cluster: ClusterContext, condition: Condition, timeout_s: float) -> StatusResult:
    """Return the status that meets a condition.

    Raises:
        TimedOutError: Naming what is missing.
        UnknownNameError: No program has the name.
    """
    check_names(cluster.plan, (condition.program,) if condition.program else ())
    deadline_s = cluster.clock.monotonic_s() + timeout_s
    while True:
        result = status(cluster)
        missing = _missing(result, condition)
        if not missing:
            return result
        if cluster.clock.monotonic_s() > deadline_s:
            raise TimedOutError(
                f"cannot see {condition.program or 'the cluster'} {condition.state} within {timeout_s:g} s: {missing}",
                hint="'kraftd status' tells more.",
            )
        cluster.clock.sleep(_POLL_S)


def _missing(result: StatusResult, condition: Condition) -> str:
    nodes = [node for node in result.document.nodes if condition.program in (None, node.name)]
    if condition.state == "stopped":
        return ", ".join(f"{node.name} runs" for node in nodes if node.pid is not None)
    if condition.program is None and result.document.ready:
        return ""
    unready = [f"{node.name} is {node.service_state}" for node in nodes if not node.ready]
    reasons = result.document.reasons if condition.program is None else ()
    return ", ".join(unready or reasons)
