"""The entry point: global options, verbs, and what an error looks like."""

import os
import sys
from pathlib import Path
from typing import Annotated

import click
import typer

import kraftd
from kraftd.cli import cluster_verbs, configuration_verbs, inspection_verbs
from kraftd.cli.arguments import hoisted, parse_duration
from kraftd.cli.invocation import Invocation
from kraftd.errors import ConfigurationError, KraftdError

_EPILOG = "Global options may stand before or after the verb. Exit codes: 0 done, 1 failed or degraded, 2 usage or \
configuration, 3 not running, 4 unknown or no permission, 5 Java or Kafka missing, 6 other data than expected, \
7 needs a running cluster, 8 refused for safety, 124 timed out."

app = typer.Typer(
    name="kraftd",
    help="A real multi-broker Apache Kafka cluster on this machine: kraftd start, kraftd stop.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
cluster_verbs.register(app)
inspection_verbs.register(app)
configuration_verbs.register(app)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"kraftd {kraftd.__version__}")
        raise typer.Exit


@app.callback()
def _global_options(  # noqa: PLR0913, PLR0917 one parameter for each option is typer's way
    context: typer.Context,
    cluster: Annotated[str | None, typer.Option("-c", "--cluster", help="The cluster's name.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Instead of ./kraftd.toml.")] = None,
    state_dir: Annotated[Path | None, typer.Option("--state-dir", help="Where data, logs and records are.")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting; may be repeated.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show more.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours; NO_COLOR does the same.")] = False,
    timeout: Annotated[str | None, typer.Option("--timeout", metavar="DURATION", help="Such as 180s or 3m.")] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    try:
        timeout_s = parse_duration(timeout) if timeout is not None else None
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
    )


def main() -> None:
    """Run the command line and exit with the code of its result."""
    arguments = sys.argv[1:] if "_KRAFTD_COMPLETE" in os.environ else hoisted(sys.argv[1:])
    printer = Invocation(json="--json" in arguments, no_color="--no-color" in arguments)
    try:
        status = app(arguments, standalone_mode=False)
    except KraftdError as error:
        printer.print_error(error)
        sys.exit(error.exit_code)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        usage = ConfigurationError(
            f"cannot run this: {error.format_message()}", hint="'kraftd --help' shows the verbs."
        )
        printer.print_error(usage)
        sys.exit(usage.exit_code)
    except (KeyboardInterrupt, click.exceptions.Abort):
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe went away, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
