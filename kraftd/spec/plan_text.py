"""A plan as JSON text and back."""

from pathlib import Path

from pydantic import TypeAdapter

from kraftd.errors import KraftdError
from kraftd.spec.plan import Plan

_ADAPTER = TypeAdapter(Plan)


def plan_json(plan: Plan) -> str:
    """Return a plan as JSON text, byte for byte the same for the same plan."""
    return _ADAPTER.dump_json(plan, indent=2).decode() + "\n"


def parse_plan(text: str, path: Path) -> Plan:
    """Return the plan that a text holds.

    Raises:
        KraftdError: The text is damaged.
    """
    try:
        return _ADAPTER.validate_json(text)
    except ValueError as error:
        raise KraftdError(
            f"cannot read the plan {path}: it is damaged",
            hint="Remove that file and run 'kraftd start': it is made from the configuration.",
            code="plan_damaged",
        ) from error
