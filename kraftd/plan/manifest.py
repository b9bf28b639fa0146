"""The manifest: what was fixed when a cluster was first formatted, and so must not change in a later plan.

Only its Kafka version changes, by ``kraftd upgrade``.
"""

import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kraftd.errors import IdentityMismatchError
from kraftd.plan.plan import Plan, Voter
from kraftd.plan.versions import line_of, numbers

_SCHEMA_VERSION = 1
_OTHER_CLUSTER = "or make a second cluster with --cluster NAME and its own port_offset."
_CLUSTER_ID = re.compile(r"[A-Za-z0-9_-]{22}")


@dataclass(frozen=True, slots=True)
class FormattedNode:
    """A node as it was formatted.

    Attributes:
        ports: Every Kafka port of the node; clients and the other nodes know them.
    """

    name: str
    node_id: int
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The identity of a cluster, as first formatted.

    Attributes:
        kafka_version: The version of the first format, or of the last upgrade.
        unfinished: Names of nodes that were being formatted when this was written: these may have no identity yet.
        removed: Names of brokers that have left the cluster; their data may still be there.
        upgraded_from: The versions before, the last one last, to which nothing finalized bars the way.
    """

    cluster_id: str
    kafka_version: str
    voters: tuple[Voter, ...]
    nodes: tuple[FormattedNode, ...]
    unfinished: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    upgraded_from: tuple[str, ...] = ()

    def upgraded(self, kafka_version: str) -> "Manifest":
        """Return the manifest of the cluster with another version: one that it comes to, or goes back to."""
        known = (*self.upgraded_from, self.kafka_version)
        before = known[: known.index(kafka_version)] if kafka_version in known else known
        return replace(self, kafka_version=kafka_version, upgraded_from=before)

    def to_json(self) -> str:
        """Return the text of ``manifest.json``."""
        return json.dumps({"schema_version": _SCHEMA_VERSION, **asdict(self)}, indent=2) + "\n"


def manifest_of(plan: Plan, cluster_id: str, removed: tuple[str, ...] = ()) -> Manifest:
    """Return the manifest of a plan whose nodes are being formatted; a broker of the plan is not removed any more."""
    nodes = tuple(
        FormattedNode(node.name, node.node_id, tuple(listener.port for listener in node.kafka_listeners))
        for node in plan.nodes
    )
    gone = tuple(name for name in removed if name not in plan.names)
    return Manifest(cluster_id, plan.kafka_version, plan.voters, nodes, removed=gone)


def parse_manifest(text: str, path: Path) -> Manifest:
    """Return the manifest that a text holds.

    Raises:
        IdentityMismatchError: The text is damaged, or a newer kraftd wrote it: nodes must not be formatted by it.
    """
    try:
        raw = json.loads(text)
        _check_schema(int(raw["schema_version"]), path)
        if not _CLUSTER_ID.fullmatch(raw["cluster_id"]):
            raise ValueError(f"no cluster id: {raw['cluster_id']!r}")  # noqa: TRY301 one report for all damage
        return Manifest(
            cluster_id=raw["cluster_id"],
            kafka_version=str(raw["kafka_version"]),
            voters=tuple(Voter(int(v["node_id"]), str(v["host"]), int(v["port"])) for v in raw["voters"]),
            nodes=tuple(
                FormattedNode(str(n["name"]), int(n["node_id"]), tuple(int(port) for port in n["ports"]))
                for n in raw["nodes"]
            ),
            unfinished=tuple(str(name) for name in raw.get("unfinished", [])),
            removed=tuple(str(name) for name in raw.get("removed", [])),
            upgraded_from=tuple(str(version) for version in raw.get("upgraded_from", [])),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise IdentityMismatchError(
            f"cannot read the manifest {path}: it is damaged ({_cause(error)})",
            hint="Restore the file from a backup. The cluster id is also in data/*/meta.properties.",
            code="manifest_damaged",
        ) from error


def _check_schema(version: int, path: Path) -> None:
    if version > _SCHEMA_VERSION:
        raise IdentityMismatchError(
            f"cannot read the manifest {path}: it has schema version {version}, this kraftd knows {_SCHEMA_VERSION}",
            hint="Use the kraftd that made this cluster, or a newer one.",
            code="manifest_too_new",
        )


def differences(plan: Plan, manifest: Manifest) -> list[str]:
    """Return a message for each contradiction of the manifest; adding broker-only nodes is none."""
    found = []
    if plan.kafka_version != manifest.kafka_version:
        found.append(f"Kafka version: planned {plan.kafka_version}, the data is of {manifest.kafka_version}")
    if plan.voters != manifest.voters:
        found.append(f"voters: planned {_voters(plan.voters)}, formatted with {_voters(manifest.voters)}")
    planned = {node.node_id: tuple(listener.port for listener in node.kafka_listeners) for node in plan.nodes}
    for node in manifest.nodes:
        if node.node_id not in planned:
            found.append(f"{node.name}: not in the plan, but formatted as node {node.node_id}, with data")
        elif planned[node.node_id] != node.ports:
            found.append(
                f"{node.name}: planned ports {_ports(planned[node.node_id])}, formatted with {_ports(node.ports)}"
            )
    found += [
        f"{name}: planned, but 'kraftd scale' has removed it from the cluster"
        for name in manifest.removed
        if name in plan.names
    ]
    return found


def check_against(plan: Plan, manifest: Manifest, config_origin: str) -> None:
    """Refuse a plan that contradicts the manifest.

    Args:
        plan: The plan made from the configuration.
        manifest: The manifest of the first format.
        config_origin: The source of the configuration, for the message.

    Raises:
        IdentityMismatchError: The plan contradicts the manifest; the text has both values and both places.
    """
    found = differences(plan, manifest)
    if found:
        raise IdentityMismatchError(
            f"cannot use {config_origin} with the cluster in {plan.layout.state_dir}: "
            f"it contradicts {plan.layout.manifest}\n" + "\n".join(f"  {line}" for line in found),
            hint=remedy(plan, manifest),
            details={"differences": found, "manifest": str(plan.layout.manifest)},
        )


def remedy(plan: Plan, manifest: Manifest) -> str:
    """Return how to come from a plan that contradicts the manifest to one that does not."""
    other_version = version_hint(plan, manifest)
    is_more = len(differences(plan, manifest)) > bool(other_version)
    return " ".join(filter(None, (other_version, _way_back(plan, manifest) if is_more else "")))


def version_hint(plan: Plan, manifest: Manifest) -> str:
    """Return what to do where a plan has another Kafka version than the data; nothing where it has the same."""
    planned, there = plan.kafka_version, manifest.kafka_version
    if planned == there:
        return ""
    kept = f'Set cluster.kafka_version = "{line_of(there)}"'
    if numbers(planned) > numbers(there):
        return f"{kept} and start; then 'kraftd upgrade --to {planned}' upgrades the cluster while it serves."
    if planned in manifest.upgraded_from:
        return f"{kept} and start; then 'kraftd upgrade --to {planned}' goes back while the cluster serves."
    return f"{kept}: Kafka {planned} may not read what Kafka {there} has written."


def _way_back(plan: Plan, manifest: Manifest) -> str:
    """Return how to come to a plan that does not contradict; where all ports are shifted alike, by how much."""
    formatted = {node.node_id: node.ports for node in manifest.nodes}
    shifts = {
        there - listener.port
        for node in plan.nodes
        for listener, there in zip(node.kafka_listeners, formatted.get(node.node_id, ()), strict=False)
    }
    shift = shifts.pop() if len(shifts) == 1 else 0
    if shift:
        return (
            f"Its ports are {abs(shift)} {'higher' if shift > 0 else 'lower'}: change cluster.port_offset by as much "
            f"(--set cluster.port_offset, where it was given so before), {_OTHER_CLUSTER}"
        )
    return f"Set cluster.brokers and cluster.port_offset back ('kraftd scale' changes the brokers), {_OTHER_CLUSTER}"


def _cause(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _voters(voters: tuple[Voter, ...]) -> str:
    return ",".join(f"{voter.node_id}@{voter.host}:{voter.port}" for voter in voters)


def _ports(ports: tuple[int, ...]) -> str:
    return ", ".join(str(port) for port in ports)
