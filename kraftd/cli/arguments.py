"""Global options may stand before or after the verb. Pure."""

import re
from collections.abc import Sequence

_WITH_VALUE = ("-c", "--cluster", "--config", "--state-dir", "--timeout", "--set")
_SWITCHES = ("--json", "-q", "--quiet", "-v", "--verbose", "--no-color")
_PASS_THROUGH = ("kafka", "exec")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def split_arguments(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the global options, wherever they stand, and all other arguments.

    What follows ``--``, and what follows the verbs that hand their arguments on, stays where it is.
    """
    front: list[str] = []
    rest: list[str] = []
    at = 0
    while at < len(argv):
        argument = argv[at]
        if argument == "--" or (rest and rest[0] in _PASS_THROUGH):
            rest += argv[at:]
            break
        if argument in _SWITCHES or argument.startswith(
            tuple(f"{option}=" for option in _WITH_VALUE if len(option) > 2)
        ):
            front.append(argument)
        elif argument in _WITH_VALUE and at + 1 == len(argv):
            # Its value is missing: no verb after it, which would be taken for that.
            return [*front, argument], []
        elif argument in _WITH_VALUE:
            front += argv[at : at + 2]
            at += 1
        else:
            rest.append(argument)
        at += 1
    return front, rest


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as ``180s``, ``500ms``, ``3m`` or ``2h``; a bare number is seconds.

    Raises:
        ValueError: The text is no duration, or none at all.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("it is no duration")
    seconds = float(match[1]) * _UNITS_S[match[2]]
    if not seconds:
        raise ValueError("it leaves no time")
    return seconds
