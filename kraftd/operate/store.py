"""The records of a cluster in its state directory. A writer holds the lock, except for the generation."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from kraftd.errors import KraftdError, NotRunningError
from kraftd.host.files import read_text, write_atomically
from kraftd.host.processes import Process, find_by_marker
from kraftd.plan.desired import NOTHING_DESIRED, DesiredProgram, DesiredState, parse_desired
from kraftd.plan.layout import Layout
from kraftd.plan.manifest import Manifest, parse_manifest
from kraftd.plan.plan import Plan
from kraftd.plan.plan_json import parse_plan, plan_json
from kraftd.plan.program import DAEMON, Marker, java_marker, python_marker
from kraftd.supervisord.rpc import SUPERVISORD

Find = Callable[[Iterable[Marker]], Mapping[Marker, Process]]


class Store:
    """Reads and writes a cluster's records.

    Args:
        layout: The cluster's paths.
        find: Returns the processes that have one of some markers.
    """

    def __init__(self, layout: Layout, find: Find = find_by_marker) -> None:
        self.layout = layout
        self._find = find

    def manifest(self) -> Manifest | None:
        """Return the manifest, which the first format fixed; None before it.

        Raises:
            IdentityMismatchError: The file is damaged.
        """
        text = read_text(self.layout.manifest)
        return parse_manifest(text, self.layout.manifest) if text is not None else None

    def write_manifest(self, manifest: Manifest) -> None:
        """Record what is formatted."""
        write_atomically(self.layout.manifest, manifest.to_json())

    def plan(self) -> Plan | None:
        """Return the plan that the cluster was last started with; None before the first start.

        The plan of a copied or moved state directory still names the old one, which must not be touched.

        Raises:
            KraftdError: The file is damaged.
        """
        text = read_text(self.layout.plan)
        if text is None:
            return None
        plan = parse_plan(text, self.layout.plan)
        recorded, own = plan.layout.state_dir, self.layout.state_dir
        # Not by Path.exists, which fails where the old place is in a directory that another user keeps private.
        is_here = os.path.exists(recorded) and recorded.samefile(own)  # noqa: PTH110
        return plan if is_here else replace(plan, layout=self.layout)

    def plan_if_started(self) -> Plan | None:
        """Return the plan that the cluster was last started with; None where nothing was started.

        Raises:
            KraftdError: The file is damaged, or missing while programs of the cluster run.
        """
        plan = self.plan()
        if plan is None and (running := self._running()):
            raise self.plan_missing(running)
        return plan

    def plan_missing(self, running: Iterable[str]) -> KraftdError:
        """Return the error of a plan that is missing while some programs of the cluster run."""
        names = tuple(running)
        run = "runs" if len(names) == 1 else "run"
        return KraftdError(
            f"cannot read the plan {self.layout.plan}: it is missing, while {', '.join(names)} {run}",
            hint="'kraftd start' writes it again from the configuration, and restarts what runs only where that has "
            "changed since; 'kraftd stop' stops it.",
            code="plan_missing",
        )

    def _running(self) -> tuple[str, ...]:
        """Return what of a cluster without a plan runs, as far as the other records tell its names."""
        if not self.layout.state_dir.exists():
            return ()
        manifest = self._readable_manifest()
        markers = {name: python_marker(self.layout.identity(name)) for name in (SUPERVISORD, DAEMON)}
        nodes = manifest.nodes if manifest is not None else ()
        markers |= {node.name: java_marker(self.layout.identity(node.name)) for node in nodes}
        found = self._find(markers.values())
        return tuple(name for name, marker in markers.items() if marker in found)

    def _readable_manifest(self) -> Manifest | None:
        try:
            return self.manifest()
        except KraftdError:
            return None

    def plan_of_record(self, cluster: str) -> Plan:
        """Return the plan that the cluster was last started with.

        Raises:
            NotRunningError: It was never started, or the file is missing and nothing runs.
            KraftdError: The file is damaged, or missing while programs of the cluster run.
        """
        plan = self.plan_if_started()
        if plan is None and self._readable_manifest() is not None:
            raise NotRunningError(
                f"cannot read the plan {self.layout.plan}: it is missing; the cluster {cluster} does not run, and its "
                "data is there",
                hint="'kraftd start' writes it again from the configuration, and starts the cluster.",
                code="plan_missing",
            )
        if plan is None:
            raise NotRunningError(
                f"cannot find the cluster {cluster}: nothing was started in {self.layout.state_dir}",
                hint="'kraftd start' makes it; 'kraftd list' shows the clusters of this machine.",
                code="never_started",
            )
        return plan

    def write_plan(self, plan: Plan) -> None:
        """Record the plan that the cluster follows from now on."""
        write_atomically(self.layout.plan, plan_json(plan))

    def desired(self) -> DesiredState:
        """Return which programs are to run.

        Raises:
            KraftdError: The file is damaged.
        """
        return parse_desired(read_text(self.layout.desired), self.layout.desired)

    def set_desired(self, programs: Iterable[str], desired: DesiredProgram, *, of_all: bool = False) -> None:
        """Record whether some programs are to run.

        Args:
            programs: Their names.
            desired: Whether they are to run, and which command set that.
            of_all: Whether these are all programs, so that nothing is lost where the file is damaged.

        Raises:
            KraftdError: The file is damaged, so that what is desired of other programs is lost.
        """
        try:
            known = self.desired()
        except KraftdError:
            if not of_all:
                raise
            known = NOTHING_DESIRED
        changed = known.changed(programs, desired, self.generation())
        write_atomically(self.layout.desired, changed.to_json())

    def forget_restarts(self) -> None:
        """Let no restart before now count, as at the start of a cluster."""
        self.layout.restarts.unlink(missing_ok=True)

    def generation(self) -> int:
        """Return how many stops were requested."""
        text = (read_text(self.layout.generation) or "").strip()
        return int(text) if text.isdecimal() else 0

    def raise_generation(self) -> None:
        """Make a running start yield to a stop, at once and without the lock."""
        write_atomically(self.layout.generation, f"{self.generation() + 1}\n")
