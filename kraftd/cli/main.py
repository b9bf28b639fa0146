"""The entry point: global options, commands, and the form of errors."""

import gc
import os
import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperArgument, TyperGroup

import kraftd
from kraftd.cli.commands import (
    backup,
    clients,
    cluster,
    config,
    diagnose,
    groups,
    inspect,
    records,
    scale,
    topics,
    upgrade,
)
from kraftd.cli.options import Invocation, check_places, printer_of, split_arguments
from kraftd.cli.streams import UnwritableOutputError, discard_output, open_streams
from kraftd.cli.values import parse_timeout
from kraftd.errors import ConfigurationError, FileAccessError, KraftdError
from kraftd.host.signals import INTERRUPTED, interruptible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typer._click import Command, Context, HelpFormatter

SECTIONS = {
    "Run": ("start", "stop", "restart", "apply", "scale", "upgrade", "pause", "resume", "destroy"),
    "Look": ("status", "wait", "health", "lag", "top", "logs", "events", "operations", "list"),
    "Find out why": ("why", "explain", "doctor", "bundle"),
    "Topics, records and groups": ("topics", "tail", "send", "groups", "backup"),
    "Clients": ("env", "exec", "kafka"),
    "Configure": ("init", "config", "plan", "render", "setup", "version"),
}
"""The commands by what they are for, in the order of the help."""

_EPILOG = (
    "Global options may be given before or after the command. Exit codes: 0 done, 1 failed or degraded, 2 usage or "
    "configuration, 3 not running, 4 unknown or no permission, 5 Java or Kafka missing, 6 other data than expected, "
    "7 needs a running cluster, 8 refused for safety, 124 timed out, 130 interrupted. exec and kafka end as what they "
    "run; 126 and 127: exec cannot run it, or finds no such program."
)

_EPILOG_OF_COMMAND = "'kraftd --help' shows the options of every command, such as --json."
_WIDEST_HELP = 120
_LONGEST_SENTENCE = 500
_NEW_OBJECTS = 50_000
"""The objects that Python makes between two searches for cyclic garbage: among what a command loads there is none, and
with Python's 700 the searches were an eighth of the CPU until a start launches supervisord."""

_BROKEN_PIPE = 141
"""128 and the signal's number, as shells report an end by SIGPIPE."""


class Argument(TyperArgument):
    """An argument that its name describes: typer adds Python's type to it, and braces."""

    def _usage_display_name(self) -> str:
        name = self.display_name_raw if self.required else f"[{self.display_name_raw}]"
        return name if self.nargs == 1 else f"{name}..."

    def display_type_rich(self, ctx: "Context") -> None:
        """Return no type."""


class Sections(TyperGroup):
    """All commands; the help shows them by section."""

    def __init__(self, **attributes: Any) -> None:
        """Put the commands in order, and give each the form of kraftd's help."""
        super().__init__(**attributes)
        in_order = chain(*SECTIONS.values(), self.commands)
        self.commands = {name: self.commands[name] for name in in_order}
        for command in _all_commands(self.commands.values()):
            command.epilog = _EPILOG_OF_COMMAND
            # Its first sentence, whole: typer would cut it to the width of the line.
            command.short_help = command.get_short_help_str(_LONGEST_SENTENCE)
            for parameter in command.params:
                if isinstance(parameter, TyperArgument):
                    # typer makes its arguments itself, and takes no class for them.
                    parameter.__class__ = Argument

    def format_commands(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """Write the sections."""
        width = max(map(len, self.commands))
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), self.commands[name].short_help or "") for name in names])


def _all_commands(commands: "Iterable[Command]") -> "Iterator[Command]":
    """Yield the commands, and those below them."""
    for command in commands:
        yield command
        if isinstance(command, TyperGroup):
            yield from _all_commands(command.commands.values())


app = typer.Typer(
    name="kraftd",
    cls=Sections,
    help="A real multi-broker Apache Kafka cluster on this machine: kraftd start, kraftd stop.",
    epilog=_EPILOG,
    add_completion=True,
    pretty_exceptions_enable=False,
    # Boxes around each section would make the help twice as long.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": _WIDEST_HELP},
)
cluster.register(app)
scale.register(app)
upgrade.register(app)
inspect.register(app)
topics.register(app)
groups.register(app)
records.register(app)
clients.register(app)
diagnose.register(app)
config.register(app)
backup.register(app)


def _version(asked: bool) -> None:
    if asked:
        Invocation.print_lines(f"kraftd {kraftd.__version__}")
        raise typer.Exit


# typer's check of the files is off: kraftd's own message says more.
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", readable=False, help="Instead of ./kraftd.toml.")
]
StateDirectory = Annotated[
    Path | None,
    typer.Option("--state-dir", metavar="DIR", readable=False, help="The directory of data, logs and records."),
]


@app.callback()
def _global_options(  # noqa: PLR0913, PLR0917 one parameter for each option is typer's way
    context: typer.Context,
    cluster: Annotated[str | None, typer.Option("-c", "--cluster", metavar="NAME", help="The cluster's name.")] = None,
    config: ConfigFile = None,
    state_dir: StateDirectory = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting; may be repeated.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show times and tracebacks.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours; NO_COLOR does the same.")] = False,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="DURATION", help="Such as 180s or 3m; commands have defaults.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    try:
        timeout_s = parse_timeout(timeout) if timeout is not None else None
    except ValueError as error:
        raise ConfigurationError(
            f"cannot use --timeout {timeout}: {error}", hint="Give a duration such as 180s, 3m or 500ms."
        ) from error
    context.obj = Invocation(
        cluster=cluster,
        config=config,
        state_dir=state_dir,
        assignments=tuple(assignments or ()),
        json=json,
        quiet=quiet,
        verbose=verbose,
        no_color=no_color,
        timeout_s=timeout_s,
        at_end=context.call_on_close,
    )


def main() -> None:
    """Run the command line and exit with the code of its result."""
    gc.set_threshold(_NEW_OBJECTS)
    open_streams()
    # A umask that takes rights from the owner too would leave files that the next command cannot read.
    os.umask(os.umask(0o077) & 0o077)
    if not sys.stdout.isatty():
        # COLUMNS is about a terminal that is not written to.
        app.info.context_settings = {**(app.info.context_settings or {}), "terminal_width": _WIDEST_HELP}
    try:
        with interruptible():
            status = _run(sys.argv[1:])
            sys.stdout.flush()
    except KeyboardInterrupt:
        # Before or after what the command itself does, which ends as `typer.Abort`, or says what it leaves.
        status = INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has ended, as `head` does.
        discard_output()
        status = _BROKEN_PIPE
    except UnwritableOutputError as error:
        discard_output()
        Invocation(no_color="--no-color" in sys.argv).print_error(error)
        status = error.exit_code
    # Else the interpreter searches everything for garbage as it ends: a sixth of the time of `status`.
    gc.freeze()
    sys.exit(status)


def _run(argv: list[str]) -> int:
    options, rest = ([], argv) if "_KRAFTD_COMPLETE" in os.environ else split_arguments(argv)
    printer = printer_of(options, rest)
    try:
        check_places(options)
        status = app([*options, *rest] or ["--help"], standalone_mode=False)
    except UnwritableOutputError:
        raise
    except KraftdError as error:
        printer.print_error(error)
        return error.exit_code
    except typer.TyperException as error:
        usage = ConfigurationError(
            f"cannot run this: {_clause(error.format_message())}", hint=_help_hint(error), code="usage"
        )
        printer.print_error(usage)
        return usage.exit_code
    except typer.Abort:
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except OSError as error:
        failure = _failure(error)
        printer.print_error(failure)
        return failure.exit_code
    except SystemExit as ended:
        # typer's own exit for a broken pipe.
        if isinstance(ended.__context__, BrokenPipeError):
            raise BrokenPipeError from ended
        raise
    if not argv:
        return ConfigurationError.exit_code
    return status if isinstance(status, int) else 0


def _help_hint(error: typer.TyperException) -> str:
    """Return which help shows what could have been typed."""
    context: Context | None = getattr(error, "ctx", None)
    command = context.command if context is not None else None
    names: list[str] = []
    while context is not None and context.parent is not None:
        names.insert(0, str(context.info_name))
        context = context.parent
    if not names:
        return "'kraftd --help' shows the commands, 'kraftd COMMAND --help' the options of one."
    called = " ".join(("kraftd", *names))
    if isinstance(command, TyperGroup):
        return f"'{called} --help' shows its commands: {', '.join(command.commands)}."
    return f"'{called} --help' shows its arguments and options."


def _failure(error: OSError) -> KraftdError:
    """Return the error for an operating system error that no use case named."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return ConfigurationError(
            "cannot finish: the working directory was removed",
            hint="Change to another directory, then run it again.",
            code="no_working_directory",
        )
    kind = FileAccessError if isinstance(error, PermissionError) else KraftdError
    what = (error.strerror or str(error)).lower()
    where = f": {error.filename}" if error.filename else ""
    return kind(f"cannot finish: {what}{where}", hint="Fix that, then run it again.", code="refused_by_system")


def _clause(sentence: str) -> str:
    return (sentence[:1].lower() + sentence[1:]).removesuffix(".")


if __name__ == "__main__":
    main()
