"""The comparisons are run by hand and rarely: they must at least agree with the names of today."""

import importlib
import os
import signal
from pathlib import Path

import pytest

from bench.measuring import end_on_signals

# The sample app runs in an environment of its own, with libraries that kraftd does without.
MODULES = sorted(path.stem for path in (Path(__file__).parents[2] / "bench").glob("*.py") if path.stem != "sample_app")


@pytest.mark.parametrize("name", MODULES)
def test_a_comparison_can_be_imported(name):
    assert importlib.import_module(f"bench.{name}").__doc__


def end_within_a_run(number, stopped):
    try:
        os.kill(os.getpid(), number)
        signal.pause()
    finally:
        stopped.append(number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_comparison_that_is_ended_stops_what_it_started(number):
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    stopped = []
    try:
        end_on_signals()
        with pytest.raises(SystemExit) as ended:
            end_within_a_run(number, stopped)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert (ended.value.code, stopped) == (128 + number, [number])
