import os
import pty
import sys

from kraftd.cli.live import pressed, single_keys


def test_a_key_that_is_pressed_right_after_an_arrow_key_is_read_with_it(monkeypatch):
    keyboard, terminal = pty.openpty()
    with os.fdopen(terminal, encoding="utf-8") as stdin, os.fdopen(keyboard, "wb", buffering=0) as keys:
        monkeypatch.setattr(sys, "stdin", stdin)
        with single_keys():
            keys.write(b"\x1b[Aq")
            assert pressed(5.0) == "\x1b[Aq"
