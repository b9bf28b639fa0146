"""The parts of a collection, guarded one by one and timed."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from kraftd.broker.errors import KafkaAccessError
from kraftd.clock import Clock
from kraftd.watch.kafka_view import CollectorRun

logger = logging.getLogger("kraftd.daemon")

T = TypeVar("T")

_NEVER_RUN = CollectorRun(up=False, duration_s=0.0, last_success_s=None)


class Parts:
    """Runs parts, and keeps how each went the last time.

    Attributes:
        failures: By name of the part, why it failed the last time.
        runs: By name of the part.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.failures: dict[str, str] = {}
        self.runs: dict[str, CollectorRun] = {}

    def run(self, name: str, ask: Callable[[], T]) -> T | None:
        """Return what a part finds, None where it fails."""
        begun_s = self._clock.monotonic_s()
        before = self.runs.get(name, _NEVER_RUN)
        try:
            value = ask()
        except KafkaAccessError as error:
            self._note_failure(name, before, begun_s, str(error), str(error.details.get("error", error.code)))
            return None
        except Exception as error:
            # A defect in one part must not end the others; it is in the log with its traceback.
            logger.exception("Collecting %s failed", name)
            self._note_failure(name, before, begun_s, f"cannot collect {name}: {error!r}", "defect")
            return None
        self.failures.pop(name, None)
        duration_s, now_s = self._clock.monotonic_s() - begun_s, self._clock.now_s()
        self.runs[name] = replace(before, up=True, duration_s=duration_s, last_success_s=now_s)
        return value

    def skip(self, name: str, reason: str) -> None:
        """Note that a part cannot be asked."""
        before = self.runs.get(name, _NEVER_RUN)
        self.failures[name] = reason
        self.runs[name] = replace(before, up=False, duration_s=0.0)

    def _note_failure(self, name: str, before: CollectorRun, begun_s: float, text: str, error: str) -> None:
        self.failures[name] = text
        errors = {**before.errors, error: before.errors.get(error, 0) + 1}
        duration_s = self._clock.monotonic_s() - begun_s
        self.runs[name] = replace(before, up=False, duration_s=duration_s, errors=errors)
