"""Settings from layers (defaults, file, environment, command line), checked, each with its origin."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from kraftd.errors import ConfigurationError
from kraftd.plan.secrets import masked_value
from kraftd.plan.settings import NODES, SETTINGS, Settings
from kraftd.units import shortened

Path = tuple[str, ...]

_FEW_NAMES = 20
_FEW_TABLES = 3


ENVIRONMENT_PREFIX = "KRAFTD_"
DEFAULT_ORIGIN = "default"
_ENVIRONMENT = "environment"


def dotted(path: Path) -> str:
    """Return a path as people write it: ``broker.2.config``."""
    return ".".join(part for part in path if part != NODES)


@cache
def schema() -> Mapping[Path, FieldInfo]:
    """Return every setting by its path, in which NODES stands for a broker's id and a topic has no number."""
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
    """Return the nearest setting above a path that has a description, and that description."""
    steps = in_schema(path)
    for length in range(len(steps), 0, -1):
        field = schema().get(steps[:length])
        if field is not None and field.description:
            return steps[:length], field.description
    return steps, "a table"


def suggested_setting(path: Path, *, is_table: bool = False) -> str:
    """Return a remark on an unknown setting: the same key in other tables, or the nearest one in its own.

    Args:
        path: Where it is.
        is_table: Whether a table stands there, or several: at the top of the file it is no key of another one.
    """
    *table, key = in_schema(path)
    if is_table and not table and (close := difflib.get_close_matches(key, SETTINGS.model_fields, n=1)):
        return _remark(close, ())
    elsewhere = [".".join(known) for known in schema() if known[-1] == key and NODES not in known]
    if 0 < len(elsewhere) <= _FEW_TABLES:
        return f", did you mean {' or '.join(elsewhere)}?"
    beside = {known[-1]: ".".join(known) for known in schema() if list(known[:-1]) == table}
    close = difflib.get_close_matches(key, beside, n=1)
    return _remark([beside[name] for name in close], list(beside.values()))


def suggested_name(name: str, known: Sequence[str]) -> str:
    """Return a remark on an unknown name: the nearest known ones, or all if they are few; else an empty text."""
    return _remark(difflib.get_close_matches(name, known, n=1), known)


def _remark(close: Sequence[str], all_names: Sequence[str]) -> str:
    if close:
        return f", did you mean {close[0]}?"
    return f"; known names: {', '.join(all_names)}" if 0 < len(all_names) <= _FEW_NAMES else ""


@dataclass(frozen=True, slots=True)
class Layer:
    """Raw values from one place, as nested tables."""

    origin: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Configuration:
    """Checked settings, and where each value that is not a default came from."""

    settings: Settings
    origins: Mapping[str, str]

    def rows(self) -> Iterator[tuple[str, Any, str]]:
        """Yield (key, value, origin) of every setting, in the order of the schema."""
        for path, value in _leaves(self.settings.model_dump(by_alias=True), ()):
            yield dotted(path), value, _origin_at(path, self.origins) or DEFAULT_ORIGIN


def parse_toml(text: str, origin: str) -> Layer:
    """Return the layer that a TOML text holds.

    Raises:
        ConfigurationError: The text is not TOML.
    """
    try:
        values = tomllib.loads(text)
        # Of a hexadecimal number Python bounds the digits only when it is written as a decimal one.
        str(values)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"cannot read {origin}: {_said(error)}", hint="Fix that line, or compare with 'kraftd init --stdout'."
        ) from error
    return Layer(origin, values)


def _said(error: ValueError | RecursionError) -> str:
    """Return what is wrong with a TOML text; Python's own bounds are in terms of Python."""
    if isinstance(error, RecursionError):
        return "lists or tables are nested too deeply"
    return str(error) if isinstance(error, tomllib.TOMLDecodeError) else "a number has too many digits"


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """Return the settings among environment variables: ``KRAFTD_<SECTION>_<KEY>``.

    Raises:
        ConfigurationError: A variable with the prefix names no setting.
    """
    known = {_variable(path): path for path in single_keys()}
    texts = [(name, environ[name]) for name in sorted(environ) if name.startswith(ENVIRONMENT_PREFIX)]
    return _layer_of_texts(texts, known, _ENVIRONMENT, "the environment")


def assignments_layer(assignments: Sequence[str]) -> Layer:
    """Return the layer of ``section.key=value`` texts.

    Raises:
        ConfigurationError: A text does not have this form or names no setting.
    """
    malformed = [f"{text}: must have the form section.key=value" for text in assignments if "=" not in text]
    _raise_if(malformed, "the command line")
    known = {dotted(path): path for path in single_keys()}
    pairs = [text.partition("=") for text in assignments]
    return _layer_of_texts([(name, value) for name, _, value in pairs], known, "command line", "the command line")


def configure(layers: Sequence[Layer]) -> Configuration:
    """Return the settings merged from the layers, in which a later layer overrides an earlier one.

    Raises:
        ConfigurationError: Keys or values are wrong; ``details["problems"]`` lists every one.
    """
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        _merge(merged, layer, layer.values, (), origins)
    try:
        return Configuration(SETTINGS.model_validate(merged), origins)
    except ValidationError as error:
        problems = [_problem(item, merged, origins) for item in error.errors(include_url=False)]
        raise _refusal(problems, "the configuration") from error


def _layer_of_texts(texts: Sequence[tuple[str, str]], known: Mapping[str, Path], origin: str, subject: str) -> Layer:
    values: dict[str, dict[str, Any]] = {}
    problems = []
    for name, text in texts:
        if name in known:
            section, key = known[name]
            values.setdefault(section, {})[key] = _from_text(text, (section, key))
        else:
            problems.append(f"{name}: no such setting{suggested_name(name, list(known))}")
    _raise_if(problems, subject)
    return Layer(origin, values)


def _raise_if(problems: list[str], subject: str) -> None:
    if problems:
        raise _refusal(problems, subject)


def _refusal(problems: list[str], subject: str) -> ConfigurationError:
    return ConfigurationError(
        f"cannot use {subject}:\n" + "\n".join(f"  {problem}" for problem in problems),
        hint="'kraftd init --stdout' shows every setting with its default.",
        details={"problems": problems},
    )


def _merge(
    into: dict[str, Any], layer: Layer, values: Mapping[str, Any], prefix: Path, origins: dict[str, str]
) -> None:
    for key, value in values.items():
        path = (*prefix, key)
        if isinstance(value, Mapping) and isinstance(into.setdefault(key, {}), dict):
            _merge(into[key], layer, value, path, origins)
        else:
            into[key] = value
            origins[dotted(path)] = layer.origin


def _problem(item: Any, merged: Mapping[str, Any], origins: Mapping[str, str]) -> str:
    """Return one of pydantic's findings as a line: key path, bad value, what is allowed, where it came from."""
    path: Path = tuple(str(part) for part in item["loc"] if part != "[key]")
    where = dotted(_with_topic_name(path, merged))
    field, allowed = nearest_described(path)
    if item["type"] == "extra_forbidden":
        text = f"{where}: no such setting{suggested_setting(path, is_table=isinstance(item['input'], dict | list))}"
    elif item["type"] == "missing":
        text = f"{where}: is missing: must be {allowed}"
    elif item["loc"][-1] == "[key]":
        text = f"{where}: malformed name in {allowed}"
    elif len(field) < len(in_schema(path)):
        text = f"{where} = {_shown(where, item['input'])}: does not fit into {allowed}"
    else:
        text = f"{where} = {_shown(where, item['input'])}: must be {allowed}"
    origin = _origin_at(path, origins) or _origin_below(path, origins)
    if origin == _ENVIRONMENT:
        origin = f"{_variable(path[:2])} in the environment"
    return f"{text} (from {origin})" if origin else text


def _variable(path: Path) -> str:
    return f"{ENVIRONMENT_PREFIX}{'_'.join(path)}".upper()


def _with_topic_name(path: Path, merged: Mapping[str, Any]) -> Path:
    """Return a path with a topic's name in place of its index, or with its number from 1 if it has no name."""
    if path[0] != "topic" or len(path) == 1:
        return path
    topic = merged["topic"][int(path[1])]
    name = topic.get("name") if isinstance(topic, Mapping) else None
    return ("topic", name if isinstance(name, str) else f"#{int(path[1]) + 1}", *path[2:])


def _shown(name: str, value: Any) -> str:
    value = masked_value(name, value)
    if isinstance(value, bool):
        return str(value).lower()
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return shortened(text, 80)


def _origin_at(path: Path, origins: Mapping[str, str]) -> str:
    """Return where the value at a path, or the list around it, came from; empty for a default."""
    around = (dotted(path[:length]) for length in range(len(path), 0, -1))
    return next((origins[key] for key in around if key in origins), "")


def _origin_below(table: Path, origins: Mapping[str, str]) -> str:
    prefix = f"{dotted(table)}."
    return next((origin for key, origin in origins.items() if key.startswith(prefix)), "")


def _from_text(text: str, path: Path) -> Any:
    """Return the value that a text stands for: a list is parsed as TOML, everything else stays a text."""
    if not isinstance(schema()[path].default, tuple):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _leaves(value: Any, prefix: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*prefix, str(key)))
    elif prefix[-1] != NODES:
        yield prefix, value
