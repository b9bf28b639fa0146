"""Masking of secrets: values whose names mark them as secret are never shown."""

import re
import shlex
from dataclasses import replace
from typing import Any

from kraftd.plan.plan import Plan

MASK = "***"

_SECRET = re.compile(r"password|passwd|passphrase|secret|token|credential|jaas|(?:^|[._-]|api)key$", re.IGNORECASE)
_NAME = re.compile(r"^(?P<name>[\w.-]+)[ \t]*=", re.MULTILINE)
_VALUE = re.compile(r"'(?:[^'\\]|\\[\s\S])*'|(?:\\[\s\S]|[^\n\\])*")
"""In single quotes, as in ``.env``, or to the end of the line; a backslash continues a property."""

_COMMAND = re.compile(r"^command=(?P<words>.*)$", re.MULTILINE)
_SYSTEM_PROPERTY = re.compile(r"-D(?P<name>[^=]+)=.*", re.DOTALL)


def is_secret(name: str) -> bool:
    """Return whether a name marks its value as secret, to be kept from screens and logs."""
    return _SECRET.search((name.rpartition(".config.")[2] or name).strip('"')) is not None


def masked(items: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Return names with their values, secret ones masked."""
    return tuple((name, MASK if is_secret(name) else value) for name, value in items)


def masked_value(name: str, value: Any) -> Any:
    """Return the value of a setting with secrets masked, also in tables and in lists of JVM options."""
    if is_secret(name):
        return MASK
    if isinstance(value, dict):
        return {key: masked_value(key, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(masked_value("", inner) for inner in value)
    return masked_option(value) if isinstance(value, str) else value


def masked_option(option: str) -> str:
    """Return a JVM option with its secret masked: ``-Djavax.net.ssl.keyStorePassword=***``."""
    found = _SYSTEM_PROPERTY.fullmatch(option)
    return f"-D{found['name']}={MASK}" if found and is_secret(found["name"]) else option


def without_secrets(plan: Plan) -> Plan:
    """Return a plan with all secrets masked."""
    nodes = tuple(replace(node, config=masked(node.config)) for node in plan.nodes)
    apps = tuple(replace(app, environment=masked(app.environment)) for app in plan.apps)
    topics = tuple(replace(topic, config_items=masked(topic.config_items)) for topic in plan.topics)
    java_options = tuple(masked_option(option) for option in plan.java_options)
    access = replace(plan.access, properties=masked(plan.access.properties))
    return replace(plan, nodes=nodes, apps=apps, topics=topics, access=access, java_options=java_options)


def masked_text(file_name: str, text: str) -> str:
    """Return the text of a rendered file with the values of secret names masked.

    It may be a properties file, a ``.env``, a supervisord.conf with the command lines of JVMs, or a single secret.
    """
    if is_secret(file_name):
        return f"{MASK}\n"
    shown, at = "", 0
    for line in _NAME.finditer(text):
        if line.start() >= at and is_secret(line["name"]):
            shown += text[at : line.end()] + MASK
            value = _VALUE.match(text, line.end())
            at = value.end() if value else line.end()
    return _COMMAND.sub(_masked_command, shown + text[at:])


def _masked_command(line: re.Match[str]) -> str:
    try:
        words = shlex.split(line["words"])
    except ValueError:
        return f"command={MASK}"  # not as kraftd writes it
    return f"command={shlex.join(masked_option(word) for word in words)}"
