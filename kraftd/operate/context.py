"""What a use case of one cluster works with: its plan, its records, its doors, time, and someone to tell."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from kraftd.clock import Clock
from kraftd.host.events import EventLog
from kraftd.host.lock import held
from kraftd.operate.doors import Doors, doors_of
from kraftd.operate.reporting import Reporter
from kraftd.operate.store import Store
from kraftd.operate.workspace import Workspace
from kraftd.spec.layout import Layout
from kraftd.spec.plan import Plan
from kraftd.watch.roster import Roster


@dataclass(frozen=True, slots=True)
class ClusterContext:
    """One cluster, as one command works on it."""

    plan: Plan
    doors: Doors
    workspace: Workspace

    @property
    def layout(self) -> Layout:
        """The paths of the cluster's files."""
        return self.plan.layout

    @property
    def store(self) -> Store:
        """The cluster's records."""
        return Store(self.plan.layout)

    @property
    def clock(self) -> Clock:
        """Time."""
        return self.workspace.clock

    @property
    def reporter(self) -> Reporter:
        """Shows what the command is doing."""
        return self.workspace.reporter

    def following(self, plan: Plan) -> "ClusterContext":
        """Return the context of the same cluster with another plan."""
        return replace(self, plan=plan)

    def find_processes(self) -> Roster:
        """Return which programs run."""
        return self.doors.find_processes(self.plan)

    def lock(self, command: str, *, timeout_s: float) -> AbstractContextManager[None]:
        """Hold the cluster's lock for a command, saying who is waited for.

        Raises:
            TimedOutError: Another command kept it.
            PermissionDeniedError: The lock file cannot be opened.
        """
        return held(
            self.layout.lock,
            command=command,
            clock=self.clock,
            timeout_s=timeout_s,
            on_wait=lambda holder: self.reporter.step(f"Waiting for {holder}"),
        )

    def record(self, kind: str, text: str, **facts: Any) -> None:
        """Record an event of a command."""
        EventLog(self.layout.events, "commands", self.clock).record(kind, text, **facts)


def cluster_context(plan: Plan, workspace: Workspace) -> ClusterContext:
    """Return the context of a plan's cluster with its real doors."""
    return ClusterContext(plan, doors_of(plan.layout), workspace)
