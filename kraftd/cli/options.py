"""The global options, given before or after the command, the call that they configure, and the question it asks."""

import codecs
import functools
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kraftd.errors import ConfigurationError, KraftdError, UnknownNameError
from kraftd.escapes import escaped_json, escaped_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from kraftd.cli.terminal import Console
    from kraftd.operate.context import ClusterContext, CommandContext, Reporter
    from kraftd.operate.selection import ChosenCluster, Selection
    from kraftd.plan.plan import Plan

_WITH_VALUE = ("-c", "--cluster", "--config", "--state-dir", "--timeout", "--set")
_SWITCHES = ("--json", "-q", "--quiet", "-v", "--verbose", "--no-color")
_PASS_THROUGH = ("kafka", "exec")
_QUOTED_COMMAND = re.compile(r"'kraftd (?=[a-z])(?!list\b)")
"""Every command but the one that is about all clusters."""

_NOT_ASCII = re.compile("[^\x00-\x7f]")
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
"""The answer to ``confirm``, for every command that asks."""

ENVELOPE = {"ok": True, "schema_version": 1}
"""The head of every document of a command that did its work."""


def split_arguments(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the global options, wherever they are given, and all other arguments.

    Arguments after ``--``, and after commands that hand their arguments on, are left alone. ``help topics create`` is
    ``topics create --help``.
    """
    front: list[str] = []
    rest: list[str] = []
    at = 0
    while at < len(argv):
        argument = argv[at]
        if argument == "--" or (rest and rest[0] in _PASS_THROUGH):
            rest += argv[at:]
            break
        if _is_of_topics(rest, argv[at : at + 2]):
            length = 1 if "=" in argument else 2
            rest += argv[at : at + length]
            at += length - 1
        elif argument in _SWITCHES or argument.startswith(
            tuple(f"{option}=" for option in _WITH_VALUE if len(option) > 2)
        ):
            front.append(argument)
        elif argument in _WITH_VALUE and at + 1 == len(argv):
            # Its value is missing: a command after it would be taken for the value.
            return [*front, argument], []
        elif argument in _WITH_VALUE:
            front += argv[at : at + 2]
            at += 1
        else:
            rest.append(argument)
        at += 1
    return front, [*rest[1:], "--help"] if rest[:1] == ["help"] else rest


def _is_of_topics(rest: Sequence[str], words: Sequence[str]) -> bool:
    """Return whether ``--config NAME=VALUE`` is a topic's, as in Kafka's tools, and not the file of kraftd.

    A name without a value, as ``retention.ms``, is a topic's too, so that the error is about that and not about a file.
    """
    value = words[0].removeprefix("--config=") if words[0] != "--config" else words[-1]
    is_config = words[0].startswith("--config=") or (words[0] == "--config" and len(words) > 1)
    is_setting = "=" in value or (rest[1:2] in (["create"], ["alter"]) and not _is_file(value))
    return rest[:1] == ["topics"] and is_config and is_setting


def _is_file(text: str) -> bool:
    return text.endswith(".toml") or os.sep in text


def json_for_stdout(text: str) -> str:
    r"""Return the same JSON for stdout: nothing in it acts on a terminal, and it has no character that stdout lacks.

    The stream itself would write such a character as Python does, ``\xe9``, which is no JSON.
    """
    shown = escaped_json(text)
    is_any_held = codecs.lookup(sys.stdout.encoding or "utf-8").name.startswith("utf")
    return shown if is_any_held else _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], shown)


def called_as(text: str, command: str) -> str:
    """Return a text that names commands as ``'kraftd status'`` with another way to call kraftd."""
    return _QUOTED_COMMAND.sub(lambda _: f"'{command} ", text)


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of the command line.

    Attributes:
        timeout_s: The value of ``--timeout``; None for the command's own limit.
        prints_lines: Whether the command's JSON is a document a line.
        at_end: Registers a callback for the end of the command, however it ends.
    """

    cluster: str | None = None
    config: Path | None = None
    state_dir: Path | None = None
    assignments: tuple[str, ...] = ()
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    no_color: bool = False
    timeout_s: float | None = None
    prints_lines: bool = False
    at_end: "Callable[[Callable[[], None]], object] | None" = None

    @property
    def selection(self) -> "Selection":
        """The options that choose the cluster and its configuration."""
        from kraftd.operate.selection import Selection

        return Selection(self.cluster, self.config, self.state_dir, self.assignments)

    @property
    def command(self) -> str:
        """How the user can call kraftd for the same cluster."""
        chosen = (("--config", self.config), ("--cluster", self.cluster), ("--state-dir", self.state_dir))
        options = [word for option, value in chosen if value is not None for word in (option, shlex.quote(str(value)))]
        return " ".join((_command_name(), *options))

    def called(self, text: str) -> str:
        """Return a text in which the commands reach the cluster that the options of this call chose.

        Args:
            text: It names commands as ``'kraftd status'``, as every text does that is made below the command line.
        """
        if (self.config, self.cluster, self.state_dir) == (None, None, None):
            return text
        return called_as(text, self.command)

    def command_context(self, default_timeout_s: float | None = None) -> "CommandContext":
        """Return the context of this call, with progress on stderr, and its time limit: --timeout, else the default."""
        from kraftd.operate.context import this_command_context

        return this_command_context(self.reporter(), self.timeout_s or default_timeout_s)

    def reporter(self) -> "Reporter":
        """Return the reporter that fits the options and the terminal.

        With --quiet it shows nothing, with --verbose every step and its time; plain lines with --json, and where
        stderr is not a terminal, or one without cursor movements. What shows them is loaded with the first line: most
        commands have no progress.
        """
        if self.quiet:
            from kraftd.operate.context import NullReporter

            return NullReporter()
        from kraftd.cli.progress import PlainLines, verbose_lines
        from kraftd.cli.streams import is_interactive, restore_on_signals

        @functools.cache
        def console() -> "Console":
            return self.console(stderr=True)

        def say(text: str) -> None:
            console().print(text)

        if self.verbose:
            return verbose_lines(say)
        if self.json or not is_interactive(os.environ, stderr=True):
            return PlainLines(say)
        from kraftd.cli.live import LiveLines

        lines = LiveLines(console())
        restore_on_signals(console().file.fileno(), lines.restoring)
        if self.at_end is not None:
            # An error is printed below the last lines, not among lines that still change.
            self.at_end(lines.close)
        return lines

    def chosen(self, command_context: "CommandContext") -> "ChosenCluster":
        """Return the cluster that this call is about, its configuration checked.

        Raises:
            ConfigurationError: The configuration is wrong.
        """
        from kraftd.operate.selection import choose_cluster

        return choose_cluster(self.selection, command_context)

    def recorded(self) -> "ClusterContext":
        """Return the context of a cluster with the plan that it was last started with.

        Raises:
            NotRunningError: It was never started.
            UnknownNameError: It is another cluster than the one that --cluster names.
        """
        from kraftd.operate.context import cluster_context
        from kraftd.operate.store import Store

        command_context = self.command_context()
        chosen = self.chosen(command_context)
        plan = Store(chosen.layout).plan_of_record(chosen.configuration.settings.cluster.name)
        self.check_name(plan)
        return cluster_context(plan, command_context)

    def any_plan(self) -> "ClusterContext":
        """Return the context of a cluster with the plan that it was last started with, else with the configured one.

        Raises:
            ConfigurationError: The configuration is wrong.
            UnknownNameError: It is another cluster than the one that --cluster names.
        """
        from kraftd.operate.context import cluster_context
        from kraftd.operate.selection import recorded_plan

        command_context = self.command_context()
        chosen = self.chosen(command_context)
        plan = recorded_plan(chosen.layout)
        if plan is None:
            from kraftd.operate.configuring import plan_for

            plan = plan_for(chosen, command_context).plan
        self.check_name(plan)
        return cluster_context(plan, command_context)

    def check_name(self, plan: "Plan") -> None:
        """Refuse the plan of another cluster than the one that --cluster names: the state directory may be configured.

        Raises:
            UnknownNameError: With both names.
        """
        if self.cluster not in (None, plan.cluster):
            place = plan.layout.state_dir
            raise UnknownNameError(
                f"cannot find the cluster {self.cluster}: {place} has the cluster {plan.cluster}",
                hint=f"Name {plan.cluster} or none; or give --state-dir, as cluster.state_dir of the configuration "
                "applies to every name.",
            )

    def console(self, *, stderr: bool = False) -> "Console":
        """Return the console of stdout or stderr."""
        from kraftd.cli.streams import open_console

        return open_console(os.environ, stderr=stderr, no_color=self.no_color, called=self.called)

    def print_document(self, document: object) -> None:
        """Print one JSON document on stdout; the commands that its notes name reach the cluster of this call."""
        plain = _plain(document)
        if "notes" in plain:
            plain["notes"] = [self.called(note) for note in plain["notes"]]
        indent = None if self.prints_lines else 2
        sys.stdout.write(json_for_stdout(json.dumps(plain, indent=indent, ensure_ascii=False)) + "\n")

    def print_result(self, result: object) -> None:
        """Print what a command did as one JSON document on stdout: a mapping or a dataclass, in kraftd's envelope."""
        self.print_document(ENVELOPE | _plain(result))

    @staticmethod
    def print_lines(text: str, *, newline: bool = True) -> None:
        """Print the lines of a log or a file: exactly where another program reads them, escaped for people."""
        sys.stdout.write((escaped_lines(text) if sys.stdout.isatty() else text) + ("\n" if newline else ""))
        # Who follows a log through a pipe waits for each line.
        sys.stdout.flush()

    def print_error(self, error: KraftdError) -> None:
        """Print an error: as JSON on stdout if asked for, else as text on stderr; with --verbose its traceback too."""
        if self.verbose:
            import traceback

            sys.stderr.write(escaped_lines("".join(traceback.format_exception(error))))
        hint = self.called(error.hint)
        if self.json:
            facts = {"code": error.code, "message": str(error), "hint": hint, "details": error.details}
            self.print_document({"ok": False, "error": facts})
            return
        console = self.console(stderr=True)
        # Lists in a message have a line for each item.
        for line in f"kraftd: {error}".split("\n"):
            console.print(line, style="bold red")
        if hint:
            console.print(hint)


def printer_of(options: Sequence[str], rest: Sequence[str] = ()) -> Invocation:
    """Return the call that prints errors, also where the rest of its arguments is wrong.

    Args:
        options: The global options, as ``split_arguments`` returns them.
        rest: The other arguments.
    """
    values = _option_values(options)
    config, state_dir = values.get("--config"), values.get("--state-dir")
    return Invocation(
        cluster=values.get("-c") or values.get("--cluster"),
        config=Path(config) if config else None,
        state_dir=Path(state_dir) if state_dir else None,
        json="--json" in options,
        verbose=not {"-v", "--verbose"}.isdisjoint(options),
        no_color="--no-color" in options,
        prints_lines=rest[:1] in (["events"], ["tail"]),
    )


def check_places(options: Sequence[str]) -> None:
    """Check that the options that name a place do: an empty one, as of a variable that is not set, is the directory.

    Args:
        options: The global options, as ``split_arguments`` returns them.

    Raises:
        ConfigurationError: One is empty.
    """
    values = _option_values(options)
    for option in ("--config", "--state-dir"):
        if values.get(option) == "":
            raise ConfigurationError(
                f"cannot use {option} '': it is empty", hint="Name a place, or leave the option out.", code="usage"
            )


def _option_values(options: Sequence[str]) -> dict[str, str]:
    """Return the values of global options; one whose value is missing has none."""
    values: dict[str, str] = {}
    words = iter(options)
    for word in words:
        option, is_joined, value = word.partition("=")
        if option in _WITH_VALUE and (found := value if is_joined else next(words, None)) is not None:
            values[option] = found
    return values


def program_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the programs of the chosen cluster that a word may become, for the completion of a shell."""
    given = context.find_root().params
    invocation = Invocation(
        cluster=given.get("cluster"),
        config=given.get("config"),
        state_dir=given.get("state_dir"),
        assignments=tuple(given.get("assignments") or ()),
    )
    try:
        plan = invocation.any_plan().plan
    except (KraftdError, OSError):
        # Nobody reads an error in the middle of a line.
        return []
    return [name for name in plan.names if name.startswith(incomplete)]


def _command_name() -> str:
    """Return how to call kraftd: by name where it is on the PATH, else by the path or the module that was called."""
    called = Path(sys.argv[0])
    if called.suffix == ".py":
        return f"{shlex.quote(sys.executable)} -m kraftd"
    found = shutil.which("kraftd")
    if found is not None and Path(found).resolve() == called.resolve():
        return "kraftd"
    try:
        return str(called.relative_to(Path.cwd()))
    except (ValueError, OSError):
        # Elsewhere, or called from a directory that was removed.
        return str(called)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def confirm(invocation: Invocation, action: str, facts: Sequence[str], *, yes: bool) -> None:
    """Show what a command is about to do, and return where the user agrees.

    Args:
        invocation: The call.
        action: What is done, as an instruction: ``delete the topic t``.
        facts: What that comes to, a line each; shown unless ``yes`` answers already.
        yes: Whether ``--yes`` was given.

    Raises:
        ConfigurationError: Nobody can be asked.
        KraftdError: The user does not agree.
    """
    if yes:
        return
    console = invocation.console(stderr=True)
    for fact in facts:
        console.print(fact)
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"cannot ask whether to {action}: stdin is not a terminal",
            hint="Add --yes to do it.",
            code="not_confirmed",
            details={"facts": list(facts)},
        )
    if not typer.confirm(f"{action[:1].upper()}{action[1:]}?", err=True):
        raise KraftdError(f"cannot {action} without confirmation: nothing was changed", code="not_confirmed")
