"""Failures in the daemon of a Python of its own: kraftd has no place where a test could ask it to fail.

This file is copied into that Python, which loads it when it starts.
"""

import sys
import time
from pathlib import Path

ONCE, ALWAYS = "once", "always"
HANG = "hang"


def _plant(directory, place, owner, method):
    original = getattr(owner, method)

    def planted(*arguments, **options):
        _fail(directory / place)
        return original(*arguments, **options)

    setattr(owner, method, planted)


def _fail(order):
    """Do what a file orders: hang while it is there, or fail, once or each time."""
    try:
        kind = order.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    if kind == HANG:
        while order.exists():
            time.sleep(0.05)
        return
    if kind == ONCE:
        order.unlink()
    raise ZeroDivisionError(f"planted in {order.name}")


def _plant_everywhere(directory):
    # Each Python of the cluster loads this file, and only the daemon needs these.
    import uvicorn
    from kafka.net.selector import NetworkSelector

    from kraftd.daemon.loop import Loop
    from kraftd.observe.collector import Collector

    _plant(directory, "watch", Loop, "tick")
    _plant(directory, "collect", Collector, "collect")
    _plant(directory, "kafka-io-kraftd", NetworkSelector, "_poll_once")
    _plant(directory, "http", uvicorn.Server, "on_tick")


if "kraftd.daemon" in sys.orig_argv:
    _plant_everywhere(Path(sys.orig_argv[-1]).parent / "planted")
