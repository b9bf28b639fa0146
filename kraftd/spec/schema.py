"""The settings by their paths: what each allows, and which one a wrong name may have meant."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kraftd.spec.settings import NODES, SETTINGS

Path = tuple[str, ...]

_FEW_NAMES = 11
_FEW_TABLES = 3


def dotted(path: Path) -> str:
    """Return a path as people write it: ``broker.2.config``."""
    return ".".join(part for part in path if part != NODES)


@cache
def schema() -> Mapping[Path, FieldInfo]:
    """Return every setting by its path; a broker's id stands there as NODES, a topic's number not at all."""
    return dict(_fields(SETTINGS, ()))


def _fields(model: type[BaseModel], prefix: Path) -> Iterator[tuple[Path, FieldInfo]]:
    for name, field in model.model_fields.items():
        path = (*prefix, field.alias or name)
        yield path, field
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from _fields(inner, path)


def single_keys() -> list[Path]:
    """Return the paths of the settings that one text can hold: no tables, no lists of tables."""
    return [
        path for path, field in schema().items() if len(path) == 2 and path[0] != "topic" and not field.default_factory
    ]


def in_schema(path: Path) -> Path:
    """Return the path under which the schema knows a value's path: without broker ids and numbers of topics."""
    steps = zip(("", *path), path, strict=False)
    return tuple(part for before, part in steps if not (before in {NODES, "topic"} and part.isdecimal()))


def nearest_described(path: Path) -> tuple[Path, str]:
    """Return the nearest setting on the way to a path that says what it allows, and its words."""
    steps = in_schema(path)
    for length in range(len(steps), 0, -1):
        field = schema().get(steps[:length])
        if field is not None and field.description:
            return steps[:length], field.description
    return steps, "a table"


def suggested_setting(path: Path) -> str:
    """Return a remark on an unknown setting: the same key in other tables, or the nearest one in its own."""
    *table, key = in_schema(path)
    elsewhere = [".".join(known) for known in schema() if known[-1] == key and NODES not in known]
    if 0 < len(elsewhere) <= _FEW_TABLES:
        return f", did you mean {' or '.join(elsewhere)}?"
    beside = {known[-1]: ".".join(known) for known in schema() if list(known[:-1]) == table}
    close = difflib.get_close_matches(key, beside, n=1)
    return _remark([beside[name] for name in close], list(beside.values()))


def suggested_name(name: str, known: Sequence[str]) -> str:
    """Return a remark on an unknown name among known ones; empty where none is near and they are many."""
    return _remark(difflib.get_close_matches(name, known, n=1), known)


def _remark(close: Sequence[str], all_names: Sequence[str]) -> str:
    if close:
        return f", did you mean {close[0]}?"
    return f"; there are: {', '.join(all_names)}" if 0 < len(all_names) <= _FEW_NAMES else ""
