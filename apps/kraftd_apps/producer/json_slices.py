"""Takes a JSON text apart without changing it: the parts are slices of the original text. Pure.

Only the outermost structure is looked at here; whether a part is JSON by our rules is for `json_fault`.
"""

import json
import re

_BLANK = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)


def elements(text: str) -> list[str]:
    """Return the texts of an array's elements.

    Raises:
        ValueError: The text is no JSON array.
    """
    slices = _Slices(text)
    slices.take("[")
    found: list[str] = []
    while not slices.ends_with("]", first=not found):
        found.append(slices.value())
    return found


def members(text: str) -> dict[str, str]:
    """Return an object's members by name, their values as texts.

    Raises:
        ValueError: The text is no JSON object, or has a name twice.
    """
    slices = _Slices(text)
    slices.take("{")
    found: dict[str, str] = {}
    while not slices.ends_with("}", first=not found):
        name = json.loads(slices.value())
        if not isinstance(name, str) or name in found:
            raise ValueError(f"{name!r} is no name or is there twice")
        slices.take(":")
        found[name] = slices.value()
    return found


class _Slices:
    """A place in a text that moves forward."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._skip()

    def take(self, mark: str) -> None:
        if not self._text.startswith(mark, self._at):
            raise ValueError(f"expected {mark!r} at character {self._at}")
        self._at += len(mark)
        self._skip()

    def value(self) -> str:
        start = self._at
        self._at = _DECODER.raw_decode(self._text, start)[1]
        found = self._text[start : self._at]
        self._skip()
        return found

    def ends_with(self, closing: str, *, first: bool) -> bool:
        """Take the closing bracket where it stands and return True; else take the comma before the next part."""
        if self._text.startswith(closing, self._at):
            self.take(closing)
            if self._at < len(self._text):
                raise ValueError(f"more text after the end, at character {self._at}")
            return True
        if not first:
            self.take(",")
        return False

    def _skip(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at
