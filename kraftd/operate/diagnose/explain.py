"""`kraftd explain lag` and `kraftd why`: chains of facts, from the daemon or, without it, from the cluster's files."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kraftd.errors import KraftdError, unknown_name
from kraftd.escapes import typed
from kraftd.health.lag.status import LagStatus
from kraftd.health.programs.causes import Cause, complaint
from kraftd.health.programs.restarts import from_json
from kraftd.health.programs.state import ProgramView
from kraftd.health.report.documents import GroupSummary, HealthDocument, StatusDocument
from kraftd.health.report.why import ProgramEvent, Statement, StateRecords, node_named, why
from kraftd.health.report.why_lag import explain_lag, group_named, may_be_unseen, most_behind
from kraftd.host.events import read_events
from kraftd.host.files import read_text
from kraftd.kafka.model import Gap, TopicPartition
from kraftd.observe.exits import last_records
from kraftd.operate.context import ClusterContext, CommandContext
from kraftd.operate.observation import observed
from kraftd.operate.render import damage_to, located_files_of
from kraftd.operate.status import best_document
from kraftd.plan.plan import Access, Plan

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to a question, and the facts that it follows from.

    Attributes:
        facts: The answer first, each fact below the one that it explains.
    """

    question: str
    source: str
    facts: tuple[Statement, ...]


Places = Mapping[TopicPartition, int]
"""Offsets by partition."""


def _document(cluster: ClusterContext) -> StatusDocument:
    return best_document(cluster, observed)


def _gaps(access: Access, places: Places) -> dict[TopicPartition, Gap]:
    if not places:
        return {}
    from kraftd.kafka.records.gaps import GapFinder  # noqa: PLC0415 - only where a group does not keep up

    finder = GapFinder(access)
    found = {place: finder.at(place, offset) for place, offset in places.items()}
    return {place: gap for place, gap in found.items() if gap is not None}


@dataclass(frozen=True, slots=True)
class ExplainDoors:
    """The functions through which an explanation looks outside; tests give others.

    Attributes:
        document: The fullest document of a cluster that there is now.
        own_look: The command's own observation, which has every program of the plan.
        gaps: The damage at offsets, for those partitions where there is some.
        files: The rendered files of a plan, with the Java and the jars that are here; raises where there are none.
    """

    document: Callable[[ClusterContext], StatusDocument] = _document
    own_look: Callable[[ClusterContext], StatusDocument] = observed
    gaps: Callable[[Access, Places], dict[TopicPartition, Gap]] = _gaps
    files: Callable[[Plan, CommandContext], dict[Path, str]] = located_files_of


def explain_group_lag(cluster: ClusterContext, group: str, doors: ExplainDoors | None = None) -> Explanation:
    """Return the facts behind a group's lag, or behind its absence.

    Raises:
        UnknownNameError: There is no such group, which is only known while the daemon sees all groups.
    """
    doors = doors or ExplainDoors()
    document = doors.document(cluster)
    names = [each.group for each in document.groups or ()] if isinstance(document, HealthDocument) else []
    group = typed(group, names)
    if isinstance(document, HealthDocument) and not (group_named(document, group) or may_be_unseen(document)):
        raise unknown_name(f"cannot find the group {group}", group, names)
    found = group_named(document, group)
    damage = {} if found is None else doors.gaps(cluster.plan.access, _stuck(found))
    facts = explain_lag(document, group, _records(cluster), cluster.clock.now_s(), damage)
    return Explanation(f"lag of {group}", document.source, tuple(facts))


def _stuck(group: GroupSummary) -> Places:
    """Return where a group stands that does not keep up: no measurement of offsets tells of damage there."""
    stuck = [each for each in most_behind(group) if each.lag != 0 and each.status is not LagStatus.OK]
    return {(each.topic, each.partition): max(each.committed or 0, each.start or 0) for each in stuck}


def explain_program(cluster: ClusterContext, name: str, doors: ExplainDoors | None = None) -> Explanation:
    """Return the facts behind a program's state.

    Raises:
        UnknownNameError: There is no such program.
    """
    cluster.plan.check_names((name,))
    doors = doors or ExplainDoors()
    document = doors.document(cluster)
    if node_named(document, name) is None:
        # The daemon reads the plan when it starts, and has not read this one yet.
        document = doors.own_look(cluster)
    complaints, damage = _complaints(cluster, node_named(document, name)), _damaged_files(cluster, name, doors)
    records = replace(_records(cluster), complaints=complaints, damage=damage)
    facts = why(document, name, records, cluster.clock.now_s())
    return Explanation(f"why {name}", document.source, tuple(facts))


def _complaints(cluster: ClusterContext, node: ProgramView | None) -> dict[str, Cause]:
    """Return what the log of a program says that runs and does not serve, by its name."""
    if node is None or node.ready or node.pid is None:
        return {}
    since_s = cluster.clock.now_s() - (node.uptime_s or 0.0)
    found = complaint(last_records(cluster.layout, cluster.plan.program(node.name), since_s))
    return {} if found is None else {node.name: found}


def _damaged_files(cluster: ClusterContext, name: str, doors: ExplainDoors) -> dict[str, str]:
    """Return the rendered files of a program that are not whole, each with a clause that says in what way."""
    try:
        files = doors.files(cluster.plan, cluster.command_context)
        own = cluster.layout.config(name)
        return {str(path): how for path, how in damage_to(files).items() if path.is_relative_to(own)}
    except KraftdError as error:
        # Its other facts do without.
        logger.debug("No file is compared: %s", error)
        return {}


def _records(cluster: ClusterContext) -> StateRecords:
    events: dict[str, tuple[ProgramEvent, ...]] = {}
    for event in read_events(cluster.layout.events):
        events[event.program] = (*events.get(event.program, ()), ProgramEvent(event.at, event.kind, event.text))
    return StateRecords(cluster.store.desired(), from_json(read_text(cluster.layout.restarts)), events)
