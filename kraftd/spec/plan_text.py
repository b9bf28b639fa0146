"""A plan as JSON text and back: by msgspec, for pydantic would cost each ``status``, and the daemon, 0.1 s of CPU."""

from pathlib import Path
from typing import Any

import msgspec

from kraftd.errors import KraftdError
from kraftd.spec.plan import Plan
from kraftd.spec.plan_schema_1 import plan_of_schema_1

SCHEMA_VERSION = 2


def plan_json(plan: Plan) -> str:
    """Return a plan as JSON text, byte for byte the same for the same plan."""
    document = {"schema_version": SCHEMA_VERSION, **msgspec.to_builtins(plan, enc_hook=_text)}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def parse_plan(text: str, path: Path) -> Plan:
    """Return the plan that a text holds; that of the schema before too, for its cluster may still run.

    Raises:
        KraftdError: The text is damaged, or a newer kraftd wrote it.
    """
    try:
        version = _HEAD.decode(text).schema_version
        if version <= SCHEMA_VERSION:
            return _DECODER.decode(text) if version == SCHEMA_VERSION else plan_of_schema_1(text)
    except msgspec.DecodeError as error:
        raise KraftdError(
            f"cannot read the plan {path}: it is damaged",
            hint="Remove that file and run 'kraftd start': it is made from the configuration.",
            code="plan_damaged",
        ) from error
    raise KraftdError(
        f"cannot read the plan {path}: it has schema version {version}, and this kraftd reads {SCHEMA_VERSION}",
        hint="Use the kraftd that started this cluster, or a newer one.",
        code="plan_too_new",
    )


class _Head(msgspec.Struct):
    """What comes before all else; the first schema had no version."""

    schema_version: int = 1


def _text(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a plan holds no {type(value).__name__}")


def _path(kind: type, text: Any) -> Any:
    return kind(text)


_HEAD = msgspec.json.Decoder(_Head)
_DECODER = msgspec.json.Decoder(Plan, dec_hook=_path)
