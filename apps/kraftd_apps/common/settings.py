"""Settings from environment variables: typed, checked, and every problem reported at once."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from kraftd.web.guard import Access

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, never bound by itself
_WITHOUT_TOKEN = frozenset({"/healthz", "/readyz"})
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class AppError(Exception):
    """An error that an app raises on purpose before it serves; the text starts with "cannot".

    Attributes:
        exit_code: The exit status of the process.
        hint: The next step, as an instruction; empty where there is none.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SettingsError(AppError):
    """Some settings are wrong.

    Attributes:
        problems: One line per wrong setting.
    """

    exit_code = 2

    def __init__(self, problems: Sequence[str], *, hint: str = "") -> None:
        listed = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"cannot start with these settings:{listed}", hint=hint)
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How an app serves HTTP."""

    host: str
    """Address to listen on; loopback unless the user says otherwise."""
    port: int
    allowed_hosts: frozenset[str]
    """Names a request may use in `Host`; holds `*` where every name may. Stops DNS rebinding."""
    api_token: str = field(repr=False)
    """Token that every request but the health checks needs, as a bearer token or a password; empty: none."""
    max_body_bytes: int
    """Longest request body; longer ones are answered with 413 before they are read to the end."""
    max_batch_bytes: int
    """The same for a batch, whose single records keep to `max_body_bytes`."""
    body_timeout_s: float
    """How long a client may take to send one body."""
    drain_s: float
    """How long requests in flight may take after SIGTERM before they are failed, with their outcome."""
    access_log: bool

    @property
    def access(self) -> Access:
        """Who is served."""
        return Access(
            "this app",
            self.allowed_hosts,
            "add the name to APP_ALLOWED_HOSTS",
            token=self.api_token,
            unauthorized_hint="send the token of APP_API_TOKEN as a bearer token, or as the password of any user name",
            without_token=_WITHOUT_TOKEN,
            has_forms=True,
        )


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


def read_http(reader: Reader, *, port: int) -> HttpSettings:
    """Read the `APP_*` variables; `port` is the port where none is set."""
    host = reader.text("APP_HOST", "127.0.0.1")
    named = {name.lower().strip("[]") for name in reader.words("APP_ALLOWED_HOSTS")}
    own = set() if host in _EVERY_ADDRESS else {host.lower()}
    return HttpSettings(
        host=host,
        port=reader.integer("APP_PORT", port, minimum=1, maximum=65535),
        allowed_hosts=_LOOPBACK_NAMES | named | own,
        api_token=reader.text("APP_API_TOKEN", ""),
        max_body_bytes=reader.integer("APP_MAX_BODY", 1024 * 1024, minimum=1024, maximum=100 * 1024 * 1024),
        max_batch_bytes=reader.integer(
            "APP_MAX_BATCH_BODY", 16 * 1024 * 1024, minimum=1024, maximum=1024 * 1024 * 1024
        ),
        body_timeout_s=reader.seconds("APP_BODY_TIMEOUT_SECONDS", 30.0, maximum=3600.0),
        drain_s=reader.seconds("APP_DRAIN_SECONDS", 5.0, maximum=60.0),
        access_log=reader.flag("APP_ACCESS_LOG", default=False),
    )
