"""A chain of facts: each stands below the one that it explains. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from kraftd.spec.desired import DesiredState
from kraftd.spec.program import Kind
from kraftd.watch.documents import HealthDocument, StatusDocument
from kraftd.watch.restarts import Memory
from kraftd.watch.snapshot import ProgramView


@dataclass(frozen=True, slots=True)
class Fact:
    """One sentence.

    Attributes:
        depth: How far down the chain; 0 is the answer itself.
        about: What it is about, as ``broker-2`` or ``group readers``.
        text: What is known, without the subject and without a full stop.
        source: Where that comes from.
    """

    depth: int
    about: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of a program, as the log of events has it."""

    at: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Records:
    """What the state directory tells beside the document.

    Attributes:
        desired: Which programs shall run, and who said so.
        memories: The restarts of each program.
        events: What happened to each program lately, oldest first.
    """

    desired: DesiredState
    memories: Mapping[str, Memory] = field(default_factory=dict)
    events: Mapping[str, tuple[Happened, ...]] = field(default_factory=dict)


def below(facts: Iterator[Fact], depth: int = 1) -> Iterator[Fact]:
    """Yield facts further down."""
    for fact in facts:
        yield replace(fact, depth=fact.depth + depth)


def node_named(document: StatusDocument, name: str) -> ProgramView | None:
    """Return a program's record."""
    return next((node for node in document.nodes if node.name == name), None)


def broker_with(document: StatusDocument, node_id: int | None) -> ProgramView | None:
    """Return the record of the broker with an id."""
    brokers = (node for node in document.nodes if node.kind is Kind.BROKER)
    return next((node for node in brokers if node.node_id == node_id), None)


def look(document: StatusDocument) -> str:
    """Return who looked, and how long ago."""
    if isinstance(document, HealthDocument):
        return f"the daemon's look of {document.age_s:.1f} s ago"
    return "this command's own look at supervisord and the ports"
