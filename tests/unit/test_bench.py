"""The comparisons are run by hand and rarely: they must at least agree with the names of today."""

import importlib
from pathlib import Path

import pytest

# The sample app runs in an environment of its own, with libraries that kraftd does without.
MODULES = sorted(path.stem for path in (Path(__file__).parents[2] / "bench").glob("*.py") if path.stem != "sample_app")


@pytest.mark.parametrize("name", MODULES)
def test_a_comparison_can_be_imported(name):
    assert importlib.import_module(f"bench.{name}").__doc__
