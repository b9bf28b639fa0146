"""`kraftd start --foreground` on the command line: what it prints while it stays."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from kraftd.cli import output
from kraftd.cli.commands.inspect import event_line
from kraftd.cli.options import Invocation
from kraftd.cli.streams import UnwritableOutputError, discard_output
from kraftd.errors import ConfigurationError
from kraftd.host.events import Event
from kraftd.host.notify import service_manager
from kraftd.host.signals import StopSignals
from kraftd.operate.context import Reporter
from kraftd.operate.start.foreground import Foreground
from kraftd.operate.start.start import StartOptions, StartResult
from kraftd.operate.stop.stop import StopResult


def run_in_foreground(invocation: Invocation, options: StartOptions) -> None:
    """Start the cluster, print its events until it is to stop, and stop it.

    Raises:
        ConfigurationError: Programs were named: the cluster is stopped as a whole.
        KraftdError: As ``Foreground.run`` raises.
    """
    if options.names:
        raise ConfigurationError(
            f"cannot start {', '.join(options.names)} in the foreground: that is for the whole cluster",
            hint="Leave out the names, or --foreground.",
            code="usage",
        )
    with StopSignals() as signals:
        # Before the environment is copied: no child may speak for this process.
        manager = service_manager(os.environ)
        command_context = invocation.command_context(options.timeout_s)
        manager.on_failure = command_context.reporter.step
        chosen = invocation.chosen(command_context)
        view = Lines(invocation, command_context.reporter)
        Foreground(chosen, options, command_context, signals, manager, view).run()


@dataclass(slots=True)
class Lines:
    """What happens, on stdout, in lines; a reader that is gone ends nothing but them."""

    invocation: Invocation
    reporter: Reporter
    _is_lost: bool = field(default=False, init=False)

    def started(self, result: StartResult) -> None:
        """Print where everything is; as JSON, the event says it."""
        if not self.invocation.json:
            self._print(lambda: output.started(self.invocation.console(), result, self.invocation.command))

    def event(self, event: Event) -> None:
        """Print an event as `kraftd events` does."""
        self._print(lambda: self.invocation.print_lines(event_line(event, as_json=self.invocation.json)))

    def stopped(self, result: StopResult) -> None:
        """Print how the cluster was stopped."""
        if not self.invocation.json:
            self._print(lambda: output.stopped(self.invocation.console(), result))

    def _print(self, write: Callable[[], object]) -> None:
        if self.invocation.quiet or self._is_lost:
            return
        try:
            write()
        except (BrokenPipeError, UnwritableOutputError) as error:
            self._is_lost = True
            discard_output()
            self.reporter.step(f"Nothing more is printed: {error}")
