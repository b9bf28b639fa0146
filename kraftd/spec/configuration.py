"""From layers of raw values to checked settings, each value with its origin.

Layers are the built-in defaults, kraftd.toml, the environment and the command line; a later one overrides an
earlier one key by key. All problems are reported at once.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from kraftd.errors import ConfigurationError
from kraftd.spec.settings import Settings

ENVIRONMENT_PREFIX = "KRAFTD_"
DEFAULT_ORIGIN = "default"

Path = tuple[str, ...]


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
        for key, value in _leaves(self.settings.model_dump(), ()):
            dotted = _dotted(key)
            yield dotted, value, self.origins.get(dotted, DEFAULT_ORIGIN)


def parse_toml(text: str, origin: str) -> Layer:
    """Return the layer that a TOML text holds.

    Raises:
        ConfigurationError: The text is not TOML.
    """
    try:
        return Layer(origin, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            f"cannot read {origin}: {error}", hint="Mend the line, or compare with 'kraftd init --stdout'."
        ) from error


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """Return the settings among environment variables: ``KRAFTD_<SECTION>_<KEY>``.

    Raises:
        ConfigurationError: A variable with the prefix names no setting.
    """
    known = {f"{ENVIRONMENT_PREFIX}{section}_{key}".upper(): (section, key) for section, key in _scalar_keys()}
    values: dict[str, dict[str, Any]] = {}
    problems = []
    for name in sorted(environ):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        if name in known:
            section, key = known[name]
            values.setdefault(section, {})[key] = _from_text(environ[name], (section, key))
        else:
            problems.append(f"{name}: no such setting{_nearest(name, list(known))}")
    _raise_if(problems, "the environment")
    return Layer("environment", values)


def assignments_layer(assignments: Sequence[str], origin: str = "command line") -> Layer:
    """Return the layer of ``section.key=value`` texts.

    Raises:
        ConfigurationError: A text has another form or names no setting.
    """
    values: dict[str, dict[str, Any]] = {}
    problems = []
    known = {f"{section}.{key}": (section, key) for section, key in _scalar_keys()}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator:
            problems.append(f"{assignment}: must have the form section.key=value")
        elif name not in known:
            problems.append(f"{name}: no such setting{_nearest(name, list(known))}")
        else:
            section, key = known[name]
            values.setdefault(section, {})[key] = _from_text(text, (section, key))
    _raise_if(problems, "the command line")
    return Layer(origin, values)


def configure(layers: Sequence[Layer]) -> Configuration:
    """Return the settings that the layers make together, the last one winning.

    Raises:
        ConfigurationError: Keys or values are wrong; ``details["problems"]`` lists every one.
    """
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        _merge(merged, layer.values, layer.origin, (), origins)
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        problems = [_problem(item, origins) for item in error.errors(include_url=False)]
        _raise_if(list(dict.fromkeys(problems)), "the configuration")
        raise
    return Configuration(settings, origins)


def _raise_if(problems: list[str], subject: str) -> None:
    if not problems:
        return
    raise ConfigurationError(
        f"cannot use {subject}:\n" + "\n".join(f"  {problem}" for problem in problems),
        hint="'kraftd init --stdout' shows every setting with its default.",
        details={"problems": problems},
    )


def _merge(into: dict[str, Any], values: Mapping[str, Any], origin: str, prefix: Path, origins: dict[str, str]) -> None:
    for key, value in values.items():
        path = (*prefix, key)
        if isinstance(value, Mapping):
            table = into.setdefault(key, {})
            if isinstance(table, dict):
                _merge(table, value, origin, path, origins)
                continue
        into[key] = value
        origins[_dotted(path)] = origin


def _problem(item: Any, origins: Mapping[str, str]) -> str:
    location: Path = tuple(str(part) for part in item["loc"] if part != "nodes")
    where = _dotted(location)
    origin = next(
        (origins[_dotted(location[:n])] for n in range(len(location), 0, -1) if _dotted(location[:n]) in origins),
        "",
    )
    suffix = f" (from {origin})" if origin else ""
    if item["type"] == "extra_forbidden":
        return f"{where}: no such setting{_nearest(location[-1], _sibling_keys(location))}{suffix}"
    if item["type"] == "missing":
        return f"{where}: must be given: {_allowed(location)}{suffix}"
    return f"{where} = {_shown(item['input'])}: must be {_allowed(location)}{suffix}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _allowed(location: Path) -> str:
    """Return what the nearest described field on the way to a location allows."""
    allowed = "a table"
    for model, part in _walk(location):
        info = model.model_fields.get(part)
        if info is not None and info.description:
            allowed = info.description
    return allowed


def _sibling_keys(location: Path) -> list[str]:
    siblings: list[str] = []
    for model, _part in _walk(location):
        siblings = [key for key in model.model_fields if key != "nodes"]
    return siblings


def _walk(location: Path) -> Iterator[tuple[type[BaseModel], str]]:
    """Yield the model that each part of a location is looked up in, as far as models reach."""
    model: type[BaseModel] | None = Settings
    for part in location:
        if part.isdecimal():
            model = _model_of(model.model_fields["nodes"]) if model and "nodes" in model.model_fields else model
            continue
        if model is None:
            return
        yield model, part
        info = model.model_fields.get(part)
        model = _model_of(info) if info is not None else None


def _model_of(info: FieldInfo) -> type[BaseModel] | None:
    for candidate in (info.annotation, *get_args(info.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _scalar_keys() -> Iterator[tuple[str, str]]:
    for section, info in Settings.model_fields.items():
        model = _model_of(info)
        if model is None or section == "topic":
            continue
        for key, field in model.model_fields.items():
            if not str(field.annotation).startswith("dict"):
                yield section, key


def _from_text(text: str, path: Path) -> Any:
    """Return a text as the setting takes it: a list is written as TOML, everything else as it stands."""
    section = _model_of(Settings.model_fields[path[0]])
    if section is not None and isinstance(section.model_fields[path[1]].default, tuple):
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return text
    return text


def _leaves(value: Any, prefix: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, prefix if key == "nodes" else (*prefix, str(key)))
    elif prefix and not (isinstance(value, dict) and prefix[-1] == "broker"):
        yield prefix, value


def _dotted(path: Path) -> str:
    return ".".join(path)


def _nearest(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f", did you mean {close[0]}?" if close else f"; there are: {', '.join(sorted(names))}" if names else ""
