"""What can go wrong before an app serves; the text starts with "cannot", the hint says what to do next."""

from collections.abc import Sequence
from typing import ClassVar


class AppError(Exception):
    """Base of every error that an app raises on purpose.

    Attributes:
        exit_code: What the process exits with.
        hint: The next step, as an instruction; empty where there is none.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SettingsError(AppError):
    """The settings are wrong; whoever set them can mend them.

    Attributes:
        problems: One line per wrong setting.
    """

    exit_code = 2

    def __init__(self, problems: Sequence[str], *, hint: str = "") -> None:
        listed = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"cannot start with these settings:{listed}", hint=hint)
        self.problems = tuple(problems)


class ListenError(AppError):
    """The address to serve on cannot be had."""
