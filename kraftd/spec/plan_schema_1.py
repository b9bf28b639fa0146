"""The plan as kraftd wrote it before a program was its unit: enough of it to see and to stop a cluster that runs."""

from pathlib import Path
from typing import Any

import msgspec

from kraftd.spec import kinds
from kraftd.spec.kinds import Executable, Node, Selection, Tool, kafka_listener
from kraftd.spec.layout import Layout
from kraftd.spec.plan import Plan, Topic, Voter, access_to
from kraftd.spec.program import Purpose
from kraftd.spec.tool_definitions import TOOL_DEFINITIONS


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
    old = _DECODER.decode(text)
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
        return kinds.controller(old.node_id, listeners[0], old.heap_bytes)
    return kinds.broker(old.node_id, listeners, old.heap_bytes, old.config)


def _tools(old: _Tool) -> list[Tool]:
    known = (each for each in TOOL_DEFINITIONS if each.name == old.name)
    return [kinds.tool(each, old.port, old.executable) for each in known]


def _path(kind: type, text: Any) -> Any:
    return kind(text)


_DECODER = msgspec.json.Decoder(_Plan, dec_hook=_path)
