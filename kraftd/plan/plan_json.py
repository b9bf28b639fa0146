"""plan.json: the plan as JSON and back, also as an earlier kraftd wrote it."""

from pathlib import Path
from typing import Any

import msgspec

from kraftd.errors import KraftdError
from kraftd.plan import kinds
from kraftd.plan.kinds import TOOL_DEFINITIONS, Executable, Node, Selection, Tool, kafka_listener
from kraftd.plan.layout import Layout
from kraftd.plan.plan import Plan, Topic, Voter, access_to
from kraftd.plan.program import Purpose

SCHEMA_VERSION = 2


class _Listener(msgspec.Struct):
    port: int


class _Node(msgspec.Struct):
    node_id: int
    client: _Listener | None
    controller: _Listener | None
    jmx_port: int | None
    heap_bytes: int
    config: tuple[tuple[str, str], ...]


class _App(msgspec.Struct):
    name: str
    port: int
    environment: tuple[tuple[str, str], ...]


class _Tool(msgspec.Struct):
    name: str
    port: int
    executable: Executable


class _Daemon(msgspec.Struct):
    port: int
    interval_s: float
    lag_interval_s: float
    probe: bool
    selection: Selection


class _Plan(msgspec.Struct):
    cluster: str
    kafka_version: str
    layout: Layout
    nodes: tuple[_Node, ...]
    voters: tuple[Voter, ...]
    topics: tuple[Topic, ...]
    apps: tuple[_App, ...]
    daemon: _Daemon
    tools: tuple[_Tool, ...] = ()
    kafka_home: Path | None = None
    java_home: Path | None = None
    java_options: tuple[str, ...] = ()


def plan_of_schema_1(text: str) -> Plan:
    """Return the plan that a text of the first schema holds.

    Raises:
        msgspec.DecodeError: The text is damaged.
    """
    old = _SCHEMA_1_DECODER.decode(text)
    nodes = tuple(map(_node, old.nodes))
    return Plan(
        cluster=old.cluster,
        kafka_version=old.kafka_version,
        layout=old.layout,
        access=access_to(node.client for node in nodes if node.client),
        nodes=nodes,
        voters=old.voters,
        topics=old.topics,
        apps=tuple(kinds.app(app.name, app.name.split("-")[0], app.port, app.environment) for app in old.apps),
        daemon=kinds.daemon(
            old.daemon.port,
            interval_s=old.daemon.interval_s,
            lag_interval_s=old.daemon.lag_interval_s,
            canary=old.daemon.probe,
            selection=old.daemon.selection,
        ),
        tools=tuple(found for tool in old.tools for found in _tools(tool)),
        kafka_home=old.kafka_home,
        java_home=old.java_home,
        java_options=old.java_options,
    )


def _node(old: _Node) -> Node:
    ports = {
        Purpose.CLIENT: old.client.port if old.client else None,
        Purpose.CONTROLLER: old.controller.port if old.controller else None,
        Purpose.JMX: old.jmx_port,
    }
    listeners = tuple(kafka_listener(purpose, port) for purpose, port in ports.items() if port is not None)
    if old.client is None:
        return kinds.controller(old.node_id, listeners, old.heap_bytes, old.config)
    return kinds.broker(old.node_id, listeners, old.heap_bytes, old.config)


def _tools(old: _Tool) -> list[Tool]:
    known = (each for each in TOOL_DEFINITIONS if each.name == old.name)
    return [kinds.tool(each, old.port, old.executable) for each in known]


def _schema_1_path(kind: type, text: Any) -> Any:
    return kind(text)


_SCHEMA_1_DECODER = msgspec.json.Decoder(_Plan, dec_hook=_schema_1_path)


def plan_json(plan: Plan) -> str:
    """Return a plan as JSON text, byte for byte the same for the same plan."""
    document = {"schema_version": SCHEMA_VERSION, **msgspec.to_builtins(plan, enc_hook=_text)}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def parse_plan(text: str, path: Path) -> Plan:
    """Return the plan that a text holds, of this schema or the one before.

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
            hint="Remove that file and run 'kraftd start', which makes it from the configuration.",
            code="plan_damaged",
        ) from error
    raise KraftdError(
        f"cannot read the plan {path}: it has schema version {version}, and this kraftd reads {SCHEMA_VERSION}",
        hint="Use the kraftd that started this cluster, or a newer one.",
        code="plan_too_new",
    )


class _Head(msgspec.Struct):
    """The schema version, which the first schema lacked."""

    schema_version: int = 1


def _text(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a plan holds no {type(value).__name__}")


def _path(kind: type, text: Any) -> Any:
    return kind(text)


_HEAD = msgspec.json.Decoder(_Head)
_DECODER = msgspec.json.Decoder(Plan, dec_hook=_path)
