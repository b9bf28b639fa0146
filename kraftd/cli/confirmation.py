"""The question before a command changes or removes data."""

import sys
from collections.abc import Sequence

import typer

from kraftd.cli.options import Invocation
from kraftd.errors import ConfigurationError, KraftdError


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
