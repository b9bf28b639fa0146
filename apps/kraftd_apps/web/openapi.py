"""The parts of OpenAPI that both apps use."""

from typing import Any

from kraftd_apps.web.problems import KINDS

PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "retriable", "outcome"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"enum": sorted(KINDS)},
        "detail": {"type": "string"},
        "retriable": {"type": "boolean"},
        "outcome": {"enum": ["not_written", "unknown"]},
    },
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the descriptions of error answers, each naming the codes it may have."""
    return {
        status: {
            "description": "; ".join(
                f"`{code}`: {kind.title}" for code, kind in KINDS.items() if kind.status == status
            ),
            "content": {"application/problem+json": {"schema": PROBLEM}},
        }
        for status in statuses
    }
