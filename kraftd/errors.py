"""Errors, grouped by who can fix them, with their exit codes.

Every text starts with "cannot", names the value at fault and ends without a full stop; the hint says what to do next.
The exit codes are those of the Linux Standard Base for init scripts where it has one; 8 and 124 (GNU timeout's) are
kraftd's own choice.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

LOCKED = "locked"
"""The code of an error where another command is at work, so that this one has changed nothing."""


class KraftdError(Exception):
    """Base of every error that kraftd raises on purpose.

    Attributes:
        exit_code: What the command line exits with.
        code: A stable word for scripts, in the JSON form of the error.
        hint: The next step, as an instruction; empty where there is none.
        details: Facts for scripts, JSON-ready.
    """

    exit_code: ClassVar[int] = 1
    code: str = "failed"

    def __init__(
        self, message: str, *, hint: str = "", code: str = "", details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code or type(self).code
        self.details = dict(details or {})


class ConfigurationError(KraftdError):
    """The configuration or the arguments are wrong; their author can fix them."""

    exit_code = 2
    code = "invalid_configuration"


class NotRunningError(KraftdError):
    """The cluster is not running, which is what the command was to report."""

    exit_code = 3
    code = "not_running"


class UnknownNameError(KraftdError):
    """No such cluster or program, or no permission to read it."""

    exit_code = 4
    code = "unknown"


class FileAccessError(KraftdError):
    """The operating system refuses access to a file or a process."""

    exit_code = 4
    code = "permission_denied"


class RuntimeMissingError(KraftdError):
    """Java or Kafka is missing, too old or damaged, and could not be fetched."""

    exit_code = 5
    code = "runtime_missing"


class IdentityMismatchError(KraftdError):
    """The data on disk belongs to another cluster, node or layout than the plan."""

    exit_code = 6
    code = "identity_mismatch"


class NeedsRunningClusterError(KraftdError):
    """The command works on a running cluster, and this one is not running."""

    exit_code = 7
    code = "needs_running_cluster"


class RefusedError(KraftdError):
    """kraftd refuses: the action could cost the quorum, availability or data."""

    exit_code = 8
    code = "refused"


class TimedOutError(KraftdError):
    """The time limit passed before the awaited state was reached."""

    exit_code = 124
    code = "timed_out"


_MOST_NAMES_LISTED = 20


def unknown_name(message: str, name: str, known: Sequence[str]) -> UnknownNameError:
    """Return the error, with the nearest name and the existing ones in its hint.

    Args:
        message: The text of the error.
        name: The name that was not found.
        known: Every existing name.
    """
    return UnknownNameError(message, hint=known_names(name, known), details={"unknown": [name], "known": list(known)})


def known_names(name: str, known: Sequence[str]) -> str:
    """Return the hint for a name that was not found: the nearest that there is, and all of them."""
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"Did you mean {near[0]}? " if near else ""
    rest = f" and {len(known) - _MOST_NAMES_LISTED} more" if len(known) > _MOST_NAMES_LISTED else ""
    names = ", ".join(known[:_MOST_NAMES_LISTED]) + rest
    return f"{meant}Known names: {names or 'none'}."
