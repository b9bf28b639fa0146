"""What differs between a cluster that runs and its configuration, program by program. Pure.

Compared are the plans, and the rendered files as they are on disk and as they would be written: what a program was
started with is in these, and nowhere else.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from kraftd.kafka.administration.settings import BrokerSetting, same_value
from kraftd.plan.kinds import App, Node
from kraftd.plan.manifest import Manifest
from kraftd.plan.manifest import differences as contradictions_of
from kraftd.plan.plan import Plan
from kraftd.plan.program import DAEMON, Kind, Program
from kraftd.plan.secrets import masked_value
from kraftd.render.java_command import PROPERTIES

_FOR_NEW_TOPICS_ONLY = frozenset(
    {
        "default.replication.factor",
        "offsets.topic.replication.factor",
        "share.coordinator.state.topic.min.isr",
        "share.coordinator.state.topic.replication.factor",
        "transaction.state.log.min.isr",
        "transaction.state.log.replication.factor",
    }
)
"""Defaults that follow from the number of brokers, and are read only when a topic is created: worth no restart."""

_BOOTSTRAP = "KAFKA_BOOTSTRAP_SERVERS"
_ARCHIVE = re.compile(r""" (?:-XX:AOTCache=\S+|'-XX:AOTCache=(?:[^']|'"'"')*')""")
"""As a command line has it, also quoted, for a directory whose name has a space or an accent."""
_INVALID = re.compile(r"Invalid value (?P<value>.*?) for configuration (?P<key>[^\s:]+)", re.DOTALL)
"""What Kafka says of a value that it never takes, in its own form: 50.0 for a 50."""
_SECTION = re.compile(r"^\[(\w+(?::[^\]]+)?)\]$", re.MULTILINE)


class Action(StrEnum):
    """What a changed program needs."""

    START = "start"
    SETTINGS = "settings"
    RESTART = "restart"
    LATER = "next_start"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class ProgramChange:
    """What a changed configuration means for one program.

    Attributes:
        why: What differs, each a clause for people.
        settings: The values that a broker is to take while it runs, by key.
    """

    name: str
    action: Action
    why: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the comparison: a plan, and the text of its files by path; those that are absent are missing."""

    plan: Plan
    files: Mapping[Path, str]


@dataclass(frozen=True, slots=True)
class Differences:
    """What a changed configuration means.

    Attributes:
        refused: What cannot be done while the cluster runs, or at all.
        programs: In the order of the plan, what is removed last.
        topics: The names of declared topics that the running plan has not.
        is_plan_changed: Whether the plans differ at all.
    """

    refused: tuple[str, ...]
    programs: tuple[ProgramChange, ...]
    topics: tuple[str, ...] = ()
    is_plan_changed: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.refused or self.programs or self.topics or self.is_plan_changed)

    def named(self, action: Action) -> tuple[str, ...]:
        """Return the programs with an action."""
        return tuple(change.name for change in self.programs if change.action is action)


def compare(running: Side, wanted: Side, manifest: Manifest | None) -> Differences:
    """Return what a configuration means for a cluster that runs.

    Args:
        running: The recorded plan, and the files on disk.
        wanted: The plan of the configuration, with the paths of the running one, and the files that it renders.
        manifest: What the first format fixed.
    """
    refused = contradictions_of(wanted.plan, manifest) if manifest else []
    before, after = _sections(running), _sections(wanted)
    if before.get("") != after.get(""):
        refused.append("supervisord's own settings differ (cluster.name, another version of kraftd, or an edit)")
    removed = [each for each in running.plan.programs if each.name not in wanted.plan.names]
    changes = [
        ProgramChange(each.name, Action.STOP, ("it is not configured any more",))
        for each in removed
        if not isinstance(each, Node)
    ]
    compared = (
        ProgramChange(each.name, Action.START, ("it is new",))
        if each.name not in running.plan.names
        else _changed(each, running, wanted, (before.get(each.name, ""), after.get(each.name, "")))
        for each in wanted.plan.programs
    )
    topics = {topic.name for topic in running.plan.topics}
    return Differences(
        tuple(refused),
        (*(each for each in compared if each is not None), *changes),
        tuple(topic.name for topic in wanted.plan.topics if topic.name not in topics),
        is_plan_changed=running.plan != wanted.plan,
    )


def settled(differences: Differences, settings: Mapping[str, Mapping[str, BrokerSetting]]) -> Differences:
    """Return the differences with a restart for each broker that cannot take all of its new values while it runs.

    Args:
        differences: What ``compare`` returned.
        settings: What each broker says of the settings that are to change, by its name and the key.
    """
    return replace(differences, programs=tuple(_settled(each, settings) for each in differences.programs))


def refused_while_running(
    differences: Differences,
    refused: Mapping[str, str],
    settings: Mapping[str, Mapping[str, BrokerSetting]] = MappingProxyType({}),
) -> Differences:
    """Return the differences with a restart for each broker that refuses its new values while it runs.

    Args:
        differences: What ``settled`` returned.
        refused: Why, by the name of the broker.
        settings: What each broker says of the settings that are to change: those of the whole cluster are still set.
    """
    programs = (
        restarted_instead(each, refused[each.name], _of_all_brokers(each, settings.get(each.name, {})))
        if each.name in refused and each.settings
        else each
        for each in differences.programs
    )
    return replace(differences, programs=tuple(programs))


def is_of_a_value(refusal: str, values: Mapping[str, str]) -> bool:
    """Return whether Kafka refuses one of these values for itself, and not its change while the broker runs.

    Args:
        refusal: Kafka's text: it has one error for both.
        values: The values that it was given, by key.
    """
    found = _INVALID.match(refusal)
    if found is None or found["key"] not in values:
        return False
    value = values[found["key"]]
    # Of a list, Kafka names the element.
    return any(same_value(found["value"], each) for each in (value, *value.split(",")))


def _of_all_brokers(change: ProgramChange, known: Mapping[str, BrokerSetting]) -> dict[str, str]:
    # A value of the whole cluster wins over the file, so that no restart would change it.
    return {key: value for key, value in change.settings.items() if key in known and known[key].is_of_all_brokers}


def restarted_instead(change: ProgramChange, why: str, settings: Mapping[str, str] | None = None) -> ProgramChange:
    """Return a change of settings as a restart of the program, which then reads all of them.

    Args:
        change: What the program's settings are to become while it runs.
        why: Why that cannot be, added to the reasons of the change.
        settings: Those that are set all the same, because a restart does not change them.
    """
    return ProgramChange(change.name, Action.RESTART, (*change.why, why), settings or {})


def _settled(change: ProgramChange, settings: Mapping[str, Mapping[str, BrokerSetting]]) -> ProgramChange:
    known = settings.get(change.name, {})
    of_all = _of_all_brokers(change, known)
    if change.action is not Action.SETTINGS:
        return replace(change, settings=of_all)
    fixed = [key for key in change.settings if key not in known or not known[key].is_dynamic]
    return restarted_instead(change, f"only at its start: {', '.join(fixed)}", of_all) if fixed else change


def _changed(program: Program, running: Side, wanted: Side, sections: tuple[str, str]) -> ProgramChange | None:
    before, after = (_ARCHIVE.sub("", section) for section in sections)
    why = ["its command line"] if before != after else []
    match program:
        case Node():
            return _changed_node(program, running, wanted, why)
        case App():
            return _changed_app(program, running, wanted, why)
        case _ if program.name == DAEMON:
            why += ["it reads the plan when it starts"] if running.plan != wanted.plan else []
        case _:
            why += _changed_files(program, running, wanted)
    return ProgramChange(program.name, Action.RESTART, tuple(why)) if why else None


def _changed_files(program: Program, running: Side, wanted: Side, *, but: tuple[Path, ...] = ()) -> list[str]:
    directory = wanted.plan.layout.config(program.name)
    return [
        str(path.relative_to(directory))
        for path, text in wanted.files.items()
        if path.is_relative_to(directory) and path not in but and running.files.get(path) != text
    ]


def _changed_node(node: Node, running: Side, wanted: Side, why: list[str]) -> ProgramChange | None:
    layout = wanted.plan.layout
    file, agent = layout.config(node.name) / PROPERTIES, layout.metrics_agent(node.name)
    # A node that has no agent yet gets it from the daemon, while it runs.
    is_agent_new = not (running.files.get(agent) or "").strip()
    why = [*why, *_changed_files(node, running, wanted, but=(file, agent) if is_agent_new else (file,))]
    if file not in running.files:
        return ProgramChange(node.name, Action.RESTART, (*why, f"{PROPERTIES} is missing"))
    before, after = (_pairs(side.files.get(file, "")) for side in (running, wanted))
    keys = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    stated = _stated(node, running)
    later = [key for key in keys if key in _FOR_NEW_TOPICS_ONLY and key not in stated]
    settings = {key: after.get(key) for key in keys if key not in later}
    shown = [f"{key} = {masked_value(key, after.get(key, 'its default'))}" for key in settings]
    # What is escaped, or goes back to Kafka's default, is left to a restart.
    values = {key: value for key, value in settings.items() if value is not None and "\\" not in value}
    if why or len(values) < len(settings):
        return ProgramChange(node.name, Action.RESTART, (*why, *shown), values if node.kind is Kind.BROKER else {})
    if values and node.kind is Kind.BROKER:
        return ProgramChange(node.name, Action.SETTINGS, tuple(shown), values)
    if values:
        return ProgramChange(node.name, Action.RESTART, tuple(shown))
    if later:
        return ProgramChange(node.name, Action.LATER, tuple(f"{key} = {after.get(key)}" for key in later))
    return None


def _stated(node: Node, running: Side) -> set[str]:
    """Return the keys that the user set for a node, before or now."""
    old = next((each for each in running.plan.nodes if each.name == node.name), node)
    return {key for key, _ in (*node.config, *old.config)}


def _changed_app(app: App, running: Side, wanted: Side, why: list[str]) -> ProgramChange | None:
    dotenv = wanted.plan.layout.config(app.name) / ".env"
    before, after = (_pairs(side.files.get(dotenv, "")) for side in (running, wanted))
    keys = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    # Never a value: it may be a secret.
    why = [*why, *(key for key in keys if key != _BOOTSTRAP)]
    if _BOOTSTRAP in keys and not _addresses(before) <= _addresses(after):
        why.append(_BOOTSTRAP)
    if why:
        return ProgramChange(app.name, Action.RESTART, tuple(why))
    # More brokers to ask first: those that it knows tell it of them.
    return ProgramChange(app.name, Action.LATER, (_BOOTSTRAP,)) if keys else None


def _addresses(pairs: Mapping[str, str]) -> set[str]:
    return set(filter(None, pairs.get(_BOOTSTRAP, "").strip("'").split(",")))


def _pairs(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def _sections(side: Side) -> dict[str, str]:
    """Return the text of each program's section of supervisord.conf by its name, and all that is not a program's."""
    text = side.files.get(side.plan.layout.supervisord_conf, "")
    parts = _SECTION.split(text)
    found: dict[str, str] = {"": parts[0]}
    for heading, body in zip(parts[1::2], parts[2::2], strict=True):
        kind, _, name = heading.partition(":")
        if kind == "program":
            found[name] = body.strip()
        elif kind != "group":
            found[""] += f"[{heading}]{body.strip()}\n"
    return found
