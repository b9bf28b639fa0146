"""Masking of secrets: values whose names mark them as secret are never shown."""

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from kraftd.plan.plan import Plan

MASK = "***"

URL_PASSWORD = re.compile(r"://[^/:\n]*:([^/\n]*)@")
"""A password in a URL: it would be in a command line, for all users of the machine to see, and in records."""

_SECRET = re.compile(
    r"password|passwd|passphrase|secret|token|credential|jaas|client_config$|webhook_url$|(?:^|[._-]|api)key$",
    re.IGNORECASE,
)
_NAME = re.compile(r"^(?P<name>[\w.-]+)[ \t]*=", re.MULTILINE)
_VALUE = re.compile(r"'(?:[^'\\]|\\[\s\S])*'|(?:\\[\s\S]|[^\n\\])*")
"""In single quotes, as in ``.env``, or to the end of the line; a backslash continues a property."""

_YAML_ADDRESS = re.compile(r"^( *- url: ).*", re.MULTILINE)
"""Whom Alertmanager tells: the address itself is the secret."""

_COMMAND = re.compile(r"^command=(?P<words>.*)$", re.MULTILINE)
_SYSTEM_PROPERTY = re.compile(r"-D(?P<name>[^=]+)=.*", re.DOTALL)


def is_secret(name: str) -> bool:
    """Return whether a name marks its value as secret, to be kept from screens and logs."""
    return _SECRET.search((name.rpartition(".config.")[2] or name).strip('"')) is not None


def masked(items: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Return names with their values, secret ones masked."""
    return tuple((name, masked_value(name, value)) for name, value in items)


def masked_value(name: str, value: Any) -> Any:
    """Return the value of a setting with secrets masked, also in tables and in lists of JVM options."""
    if is_secret(name):
        # An empty one is none.
        return MASK if value else value
    if isinstance(value, dict):
        return {key: masked_value(key, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(masked_value("", inner) for inner in value)
    return masked_option(value) if isinstance(value, str) else value


def masked_option(option: str) -> str:
    """Return a JVM option, or a text, with its secret masked: ``-Djavax.net.ssl.keyStorePassword=***``."""
    found = _SYSTEM_PROPERTY.fullmatch(option)
    if found and is_secret(found["name"]):
        return f"-D{found['name']}={MASK}"
    return URL_PASSWORD.sub(f"://{MASK}@", option)


def without_secrets(plan: Plan) -> Plan:
    """Return a plan with all secrets masked."""
    nodes = tuple(replace(node, config=masked(node.config)) for node in plan.nodes)
    apps = tuple(replace(app, environment=masked(app.environment)) for app in plan.apps)
    topics = tuple(replace(topic, config_items=masked(topic.config_items)) for topic in plan.topics)
    java_options = tuple(masked_option(option) for option in plan.java_options)
    access = replace(plan.access, properties=masked(plan.access.properties))
    tools = tuple(replace(tool, options=masked(tool.options)) for tool in plan.tools)
    return replace(plan, nodes=nodes, apps=apps, topics=topics, access=access, java_options=java_options, tools=tools)


def masked_text(file_name: str, text: str) -> str:
    """Return the text of a rendered file with the values of secret names, and passwords in URLs, masked.

    It may be a properties file, a ``.env``, a supervisord.conf with the command lines of JVMs, Alertmanager's
    configuration, or a single secret.
    """
    if is_secret(file_name):
        return f"{MASK}\n"
    shown, at = "", 0
    for line in _NAME.finditer(text):
        if line.start() >= at and is_secret(line["name"]):
            shown += text[at : line.end()] + MASK
            value = _VALUE.match(text, line.end())
            at = value.end() if value else line.end()
    shown = _COMMAND.sub(_masked_command, shown + text[at:])
    return URL_PASSWORD.sub(f"://{MASK}@", _YAML_ADDRESS.sub(rf"\1{MASK}", shown))


def _masked_command(line: re.Match[str]) -> str:
    try:
        words = shlex.split(line["words"])
    except ValueError:
        return f"command={MASK}"  # not as kraftd writes it
    return f"command={shlex.join(masked_option(word) for word in words)}"


_INNER = re.compile(r"(?P<name>[\w.-]+)\s*=\s*[\"'](?P<value>[^\"']+)[\"']")
_PERCENT = re.compile(rb"%([0-9a-fA-F]{2})")
_LEAST_CHARACTERS = 4
_PLAIN = re.compile(r"[0-9.]*|true|false|none|null", re.IGNORECASE)


class Scrubber:
    """Masks known secrets wherever they occur in a text, as in a log line that repeats one."""

    def __init__(self, values: Iterable[str]) -> None:
        # Longest first: one may be a part of another.
        known = sorted({each for each in values if each}, key=lambda each: (-len(each), each))
        self._pattern = re.compile("|".join(map(re.escape, known))) if known else None

    def scrubbed(self, text: str) -> str:
        """Return a text without the secrets."""
        return self._pattern.sub(MASK, text) if self._pattern else text


def secret_values(plan: Plan, settings: Mapping[str, Any], files: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Return the secrets of a cluster, in the forms in which they may occur; not what is no secret, as a number.

    Args:
        plan: The plan, unmasked.
        settings: Each setting by its key.
        files: The names and texts of the rendered files: a file with a secret name holds nothing else.
    """
    pairs = [pair for node in plan.nodes for pair in node.config]
    pairs += [pair for app in plan.apps for pair in app.environment]
    pairs += [pair for topic in plan.topics for pair in topic.config_items]
    pairs += [pair for tool in plan.tools for pair in tool.options]
    pairs += plan.access.properties
    for option in (*plan.java_options, *_texts(settings)):
        if found := _SYSTEM_PROPERTY.fullmatch(option):
            pairs.append((found["name"], option.partition("=")[2]))
    pairs += [(key, text) for key, value in settings.items() for key, text in _named_texts(key, value)]
    values = {value for name, value in pairs if is_secret(name)}
    values |= {word for name, text in files if is_secret(name) for word in text.split()[-1:]}
    values |= {text for value in values for name, text in _of_json(value) if is_secret(name)}
    values |= {found["value"] for value in values for found in _INNER.finditer(value) if is_secret(found["name"])}
    texts = [value for _, value in pairs] + [*plan.java_options, *_texts(settings)]
    values |= {form for text in texts for each in URL_PASSWORD.findall(text) for form in (each, _sent(each))}
    values |= {json.dumps(value)[1:-1] for value in values}
    return frozenset(each for each in values if len(each) >= _LEAST_CHARACTERS and not _PLAIN.fullmatch(each))


def _sent(password: str) -> str:
    """Return a password of a URL as a client sends it, without percent signs for some characters."""
    content = _PERCENT.sub(lambda found: bytes.fromhex(found[1].decode()), password.encode("utf-8", "replace"))
    return content.decode("utf-8", "replace")


def _named_texts(key: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the texts of a setting by their innermost names."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _named_texts(str(name), inner)
    elif isinstance(value, str):
        yield key, value


def _of_json(text: str) -> Iterator[tuple[str, str]]:
    """Yield the texts of a JSON object by their innermost names; none where the text is no such object."""
    try:
        value = json.loads(text)
        found = [*_named_texts("", value)] if isinstance(value, Mapping) else []
    except (ValueError, RecursionError):
        return
    yield from found


def _texts(settings: Mapping[str, Any]) -> Iterator[str]:
    lists = (value for value in settings.values() if isinstance(value, list | tuple))
    return (each for value in lists for each in value if isinstance(each, str))
