"""`kraftd explain lag` and `kraftd why`: chains of facts, from the daemon or, without it, from what else there is."""

from dataclasses import asdict, dataclass
from typing import Any

from kraftd.host.events import read_events
from kraftd.host.files import read_text
from kraftd.operate.names import unknown_name
from kraftd.operate.status import fullest_document
from kraftd.operate.stop import check_names
from kraftd.operate.store import Store
from kraftd.operate.workspace import Workspace
from kraftd.spec.plan import Plan
from kraftd.watch.explain_lag import explain_lag, group_named, may_be_unseen
from kraftd.watch.facts import Fact, Happened, Records
from kraftd.watch.restarts import from_json
from kraftd.watch.why import why


@dataclass(frozen=True, slots=True)
class Explanation:
    """An answer, and the facts that it follows from.

    Attributes:
        facts: The answer first, each fact below the one that it explains.
    """

    question: str
    source: str
    facts: tuple[Fact, ...]

    @property
    def document(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {
            "ok": True,
            "schema_version": 1,
            "question": self.question,
            "source": self.source,
            "facts": [asdict(fact) for fact in self.facts],
        }


def explain_group_lag(store: Store, plan: Plan, group: str, workspace: Workspace) -> Explanation:
    """Return the facts behind a group's lag, or behind its absence.

    Raises:
        UnknownNameError: There is no such group, which only a daemon that sees all groups can tell.
    """
    document = fullest_document(store, plan, workspace)
    if group_named(document, group) is None and not may_be_unseen(document):
        raise unknown_name(f"cannot find the group {group}", group, [each["group"] for each in document["groups"]])
    facts = explain_lag(document, group, _records(store, plan), workspace.clock.now_s())
    return Explanation(f"lag of {group}", document["source"], tuple(facts))


def explain_program(store: Store, plan: Plan, name: str, workspace: Workspace) -> Explanation:
    """Return the facts behind a program's state.

    Raises:
        UnknownNameError: There is no such program.
    """
    check_names(plan, (name,))
    document = fullest_document(store, plan, workspace)
    facts = why(document, name, _records(store, plan), workspace.clock.now_s())
    return Explanation(f"why {name}", document["source"], tuple(facts))


def _records(store: Store, plan: Plan) -> Records:
    events: dict[str, tuple[Happened, ...]] = {}
    for event in read_events(plan.layout.events):
        events[event.program] = (*events.get(event.program, ()), Happened(event.at, event.kind, event.text))
    return Records(store.desired(), from_json(read_text(plan.layout.restarts)), events)
