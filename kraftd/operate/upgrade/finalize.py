"""`kraftd upgrade --finalize`: the levels of features that the new version knows become those of the cluster."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from kraftd.errors import RefusedError, TimedOutError
from kraftd.host.lock import acquire
from kraftd.host.processes import known_process
from kraftd.kafka.model import Failure
from kraftd.kafka.quorum import lacking_nodes
from kraftd.operate.context import ClusterContext
from kraftd.operate.restart import require_running
from kraftd.operate.rolling.journal import refuse_other_owner
from kraftd.operate.selection import ChosenCluster
from kraftd.operate.upgrade import checks
from kraftd.operate.upgrade.upgrade import UpgradeDoors, UpgradingDoor, running_versions, stated_version, unfinalized
from kraftd.plan.manifest import Manifest
from kraftd.plan.versions import is_of_line

COMMAND = "upgrade --finalize"
_ADMIN_TIMEOUT_S = 10.0
_KNOWN_WITHIN_S = 20.0
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Level:
    """A feature and the level that it gets.

    Attributes:
        before: 0 where it was not finalized at all.
    """

    feature: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Finalization:
    """What finalizing does.

    Attributes:
        kafka_version: The version that every node runs.
        no_way_back_to: The versions to which no downgrade is possible then.
    """

    cluster: str
    kafka_version: str
    levels: tuple[Level, ...]
    no_way_back_to: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether everything is finalized already."""
        return not self.levels


class Finalize:
    """One finalization of a running cluster."""

    def __init__(
        self, chosen: ChosenCluster, cluster: ClusterContext, timeout_s: float, doors: UpgradeDoors | None = None
    ) -> None:
        """Store the arguments.

        Args:
            chosen: The cluster with its configuration.
            cluster: The context of the plan that was last started.
            timeout_s: How long the whole command may take.
            doors: The doors of an upgrade.
        """
        self._chosen = chosen
        self._cluster = cluster
        self._timeout_s = timeout_s
        self._doors = doors or UpgradeDoors()

    def plan(self) -> Finalization:
        """Return what would be finalized, checked by Kafka, changing nothing.

        Raises:
            ConfigurationError: The configuration states another version, which no start could use then.
            NeedsRunningClusterError: The cluster does not run.
            RefusedError: Some node does not run the version, or a registered one lacks a level; the text names it.
        """
        cluster = self._cluster
        require_running(cluster)
        refuse_other_owner(cluster, known_process(os.getpid()))
        manifest = cluster.store.manifest()
        version = manifest.kafka_version if manifest else cluster.plan.kafka_version
        checks.refuse_different_versions(running_versions(cluster), version)
        with self._doors.open_kafka(cluster.plan.access, _ADMIN_TIMEOUT_S) as kafka:
            broker = kafka.metadata(()).brokers[0].node_id
            features = kafka.features(broker)
            wanted = unfinalized(features)
            stated = stated_version(self._chosen)
            is_stale = bool(wanted) and stated is not None and not is_of_line(version, stated)
            checks.refuse_stale_configuration(is_stale, stated or "", version, self._chosen.origin)
            if wanted:
                self._refused(kafka.finalize_features(broker, wanted, validate_only=True))
        levels = tuple(Level(name, features.finalized.get(name, 0), level) for name, level in sorted(wanted.items()))
        before = manifest.upgraded_from if manifest else ()
        return Finalization(cluster.plan.cluster, version, levels, before if levels else ())

    def run(self) -> Finalization:
        """Finalize, and return when every broker knows it; idempotent.

        Raises:
            TimedOutError: A broker does not know of it in time; it is finalized anyway.
            KraftdError: As ``plan`` raises.
        """
        cluster = self._cluster
        with (
            acquire(cluster.layout.scale_lock, command=COMMAND, clock=cluster.clock, timeout_s=0.0),
            cluster.lock(COMMAND, timeout_s=self._timeout_s),
        ):
            planned = self.plan()
            wanted = {each.feature: each.after for each in planned.levels}
            if wanted:
                with self._doors.open_kafka(cluster.plan.access, _ADMIN_TIMEOUT_S) as kafka:
                    brokers = [broker.node_id for broker in kafka.metadata(()).brokers]
                    self._refused(kafka.finalize_features(brokers[0], wanted, validate_only=False))
                    self._await_known(kafka, brokers, wanted)
                listed = ", ".join(f"{name} {level}" for name, level in wanted.items())
                cluster.record("finalized", f"finalized {listed} of Kafka {planned.kafka_version}", levels=wanted)
            manifest = cluster.store.manifest()
            if manifest is not None and manifest.upgraded_from and self._is_final(planned, manifest):
                cluster.store.write_manifest(replace(manifest, upgraded_from=()))
            return planned

    def _is_final(self, planned: Finalization, manifest: Manifest) -> bool:
        """Return whether a level bars a downgrade; two versions with the same levels read each other's data."""
        if planned.levels:
            return True
        finalized = self._finalized()
        for before in manifest.upgraded_from:
            try:
                checks.refuse_path(planned.kafka_version, before, finalized)
            except RefusedError:
                return True
        return False

    def _finalized(self) -> Mapping[str, int]:
        with self._doors.open_kafka(self._cluster.plan.access, _ADMIN_TIMEOUT_S) as kafka:
            return kafka.features(kafka.metadata(()).brokers[0].node_id).finalized

    def _refused(self, failure: Failure | None) -> None:
        if failure is None:
            return
        names = {node.node_id: node.name for node in self._cluster.plan.nodes}
        lacking = [names.get(node_id, f"node {node_id}") for node_id in lacking_nodes(failure)]
        who = f" because of {', '.join(lacking)}" if lacking else ""
        raise RefusedError(
            f"cannot finalize{who}: {failure.text}",
            hint="A registered node that has ended counts too: start it with the new version, or let the cluster "
            "forget it ('kraftd scale' removes a broker; 'kraftd kafka cluster unregister --id N' one that is gone).",
            code="level_unknown" if lacking else "not_finalized",
            details={"nodes": lacking, "error": failure.error},
        )

    def _await_known(self, kafka: UpgradingDoor, brokers: list[int], wanted: Mapping[str, int]) -> None:
        """Wait until each broker knows the levels: it learns of them after the controller has answered."""
        limit_s = self._cluster.clock.monotonic_s() + _KNOWN_WITHIN_S
        while late := [each for each in brokers if not _knows(kafka, each, wanted)]:
            if self._cluster.clock.monotonic_s() > limit_s:
                raise TimedOutError(
                    f"cannot see the finalized levels on broker {late[0]} within {_KNOWN_WITHIN_S:g} s",
                    hint="They are finalized. 'kraftd status' shows whether that broker serves.",
                )
            self._cluster.clock.sleep(_POLL_S)


def _knows(kafka: UpgradingDoor, node_id: int, wanted: Mapping[str, int]) -> bool:
    finalized = kafka.features(node_id).finalized
    return all(finalized.get(name) == level for name, level in wanted.items())
