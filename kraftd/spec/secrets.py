"""What is not shown: the values of settings whose names say that they are secret."""

import re
from dataclasses import replace

from kraftd.spec.plan import Plan

MASK = "***"

_SECRET = re.compile(r"password|secret|token|credential|jaas", re.IGNORECASE)
_LINE = re.compile(r"^(?P<name>[\w.-]+)=.*$", re.MULTILINE)


def is_secret(name: str) -> bool:
    """Return whether the value under a name is to be kept from screens and logs."""
    return _SECRET.search(name.rpartition(".config.")[2] or name) is not None


def masked(items: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Return names with their values, secret ones masked."""
    return tuple((name, MASK if is_secret(name) else value) for name, value in items)


def without_secrets(plan: Plan) -> Plan:
    """Return a plan that may be shown."""
    nodes = tuple(replace(node, config=masked(node.config)) for node in plan.nodes)
    apps = tuple(replace(app, environment=masked(app.environment)) for app in plan.apps)
    return replace(plan, nodes=nodes, apps=apps)


def masked_text(text: str) -> str:
    """Return the text of a properties or ``.env`` file with the values of secret names masked."""
    return _LINE.sub(lambda line: f"{line['name']}={MASK}" if is_secret(line["name"]) else line[0], text)
