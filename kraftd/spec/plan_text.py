"""A plan as JSON text and back: by msgspec, for pydantic would cost each ``status``, and the daemon, 0.1 s of CPU."""

from pathlib import Path
from typing import Any

import msgspec

from kraftd.errors import KraftdError
from kraftd.spec.plan import Plan


def plan_json(plan: Plan) -> str:
    """Return a plan as JSON text, byte for byte the same for the same plan."""
    return msgspec.json.format(_ENCODER.encode(plan), indent=2).decode() + "\n"


def parse_plan(text: str, path: Path) -> Plan:
    """Return the plan that a text holds.

    Raises:
        KraftdError: The text is damaged.
    """
    try:
        return _DECODER.decode(text)
    except msgspec.DecodeError as error:
        raise KraftdError(
            f"cannot read the plan {path}: it is damaged",
            hint="Remove that file and run 'kraftd start': it is made from the configuration.",
            code="plan_damaged",
        ) from error


def _text(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a plan holds no {type(value).__name__}")


def _path(kind: type, text: Any) -> Any:
    return kind(text)


_ENCODER = msgspec.json.Encoder(enc_hook=_text)
_DECODER = msgspec.json.Decoder(Plan, dec_hook=_path)
