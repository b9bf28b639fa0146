"""Names of programs and groups that do not exist, and the nearest that do."""

import difflib
from collections.abc import Sequence

from kraftd.errors import UnknownNameError
from kraftd.spec.plan import Plan

_MOST_NAMED = 20


def unknown_name(message: str, name: str, known: Sequence[str]) -> UnknownNameError:
    """Return the error, with the nearest name and those that there are.

    Args:
        message: What could not be found.
        name: The name that was given.
        known: Every name that there is.
    """
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"Did you mean {near[0]}? " if near else ""
    rest = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
    there_are = ", ".join(known[:_MOST_NAMED]) + rest
    return UnknownNameError(
        message,
        hint=f"{meant}There are: {there_are or 'none'}.",
        details={"unknown": [name], "known": list(known)},
    )


def check_names(plan: Plan, names: Sequence[str]) -> None:
    """Refuse names that no program of the plan has.

    Raises:
        UnknownNameError: With the names that there are.
    """
    unknown = [name for name in names if name not in plan.names]
    if unknown:
        message = f"cannot find the program {unknown[0]} in the cluster {plan.cluster}"
        raise unknown_name(message, unknown[0], plan.names)
