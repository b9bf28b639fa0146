"""Settings from environment variables: typed, checked, and every problem reported at once."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from kraftd_apps.web.errors import SettingsError

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


def environment(directory: Path, process: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the process environment over the values of `.env` in a directory.

    `$` in `.env` has no meaning: a password may contain it.

    Raises:
        SettingsError: `.env` is there and cannot be read.
    """
    found = dict(os.environ if process is None else process)
    path = directory / ".env"
    if not path.is_file():
        return found
    from dotenv import dotenv_values  # noqa: PLC0415 - costs start-up time only where there is a file

    try:
        listed = dotenv_values(path, interpolate=False, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: cannot be read: {error}"]) from error
    return {**{name: value for name, value in listed.items() if value is not None}, **found}


class Reader:
    """Reads variables one by one, notes what is wrong and goes on; `check` then reports everything.

    An empty variable counts as absent. After a problem the default is returned, so that reading can go on.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.problems: list[str] = []

    def text(self, name: str, default: str) -> str:
        """Return the variable without surrounding blanks."""
        return self._values.get(name, "").strip() or default

    def integer(self, name: str, default: int, *, minimum: int, maximum: int) -> int:
        """Return a whole number within its bounds."""
        raw = self.text(name, str(default))
        try:
            value = int(raw)
        except ValueError:
            value = minimum - 1
        if minimum <= value <= maximum:
            return value
        self._wrong(name, raw, f"must be a whole number from {minimum} to {maximum}")
        return default

    def seconds(self, name: str, default: float, *, maximum: float) -> float:
        """Return a duration in seconds, fractions allowed."""
        raw = self.text(name, str(default))
        try:
            value = float(raw)
        except ValueError:
            value = -1.0
        if 0 <= value <= maximum:
            return value
        self._wrong(name, raw, f"must be a number of seconds from 0 to {maximum:g}")
        return default

    def choice(self, name: str, default: str, *, allowed: tuple[str, ...]) -> str:
        """Return one of a few words, in lower case."""
        raw = self.text(name, default)
        if raw.lower() in allowed:
            return raw.lower()
        self._wrong(name, raw, f"must be one of {', '.join(allowed)}")
        return default

    def flag(self, name: str, *, default: bool) -> bool:
        """Return whether something is switched on."""
        raw = self.text(name, "on" if default else "off")
        if raw.lower() in _TRUE | _FALSE:
            return raw.lower() in _TRUE
        self._wrong(name, raw, "must be on or off")
        return default

    def words(self, name: str) -> tuple[str, ...]:
        """Return the parts of a comma-separated list, none where the variable is absent."""
        return tuple(word.strip() for word in self.text(name, "").split(",") if word.strip())

    def scalars(self, name: str) -> dict[str, str | int | float | bool]:
        """Return a JSON object of plain values; its text is never repeated in a problem: it may hold a secret."""
        raw = self.text(name, "{}")
        try:
            value = json.loads(raw)
        except ValueError:
            value = None
        if isinstance(value, dict) and all(isinstance(item, (str, int, float)) for item in value.values()):
            return value
        self.wrong(name, "must be a JSON object of texts, numbers, true and false")
        return {}

    def wrong(self, name: str, rule: str) -> None:
        """Note a problem without showing the value."""
        self.problems.append(f"{name}: {rule}")

    def check(self) -> None:
        """Report what was noted.

        Raises:
            SettingsError: Something was.
        """
        if self.problems:
            raise SettingsError(self.problems, hint="set these variables in the environment or in ./.env")

    def _wrong(self, name: str, raw: str, rule: str) -> None:
        self.problems.append(f"{name}={raw!r}: {rule}")
