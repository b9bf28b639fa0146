"""docs/apps.md names every setting and every problem code, and nothing else."""

import re
from pathlib import Path

import pytest

from kraftd_apps.common.problems import PROBLEM_TYPES
from kraftd_apps.consumer import settings as consumer
from kraftd_apps.producer import settings as producer
from kraftd_apps.producer.async_producer import _BY_KAFKA_NAME

DOCUMENT = (Path(__file__).parents[3] / "docs" / "apps.md").read_text(encoding="utf-8")
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
SECTIONS = dict(zip(_HEADING.findall(DOCUMENT), _HEADING.split(DOCUMENT)[2::2], strict=True))
# Problems whose outcome depends on when the request failed, or on what Kafka answered.
EITHER = {
    "malformed_request",
    "head_too_large",
    "internal",
    "producer_away",
    "brokers_down",
    "not_enough_replicas",
    "producer_restarting",
    "draining",
    "delivery_timeout",
}


class Asked(dict):
    """Settings of nothing, which remember what was looked for."""

    def __init__(self):
        self.names = set()

    def get(self, name, default=None):
        self.names.add(name)
        return default


def rows(section):
    """Return the first two cells of each row, without their quotes."""
    return {name: cells[0] for name, cells in all_cells(section).items()}


def all_cells(section):
    """Return the cells of each row by its first, without their quotes."""
    found = re.findall(r"^\| `(\w+)` \|(.*)\|$", SECTIONS[section], re.MULTILINE)
    return {name: [cell.strip().replace("`", "") for cell in cells.split("|")] for name, cells in found}


@pytest.mark.parametrize(("section", "settings"), [("Producer", producer), ("Consumer", consumer)])
def test_every_setting_is_described(section, settings):
    asked = Asked()
    settings.read_settings(asked)
    assert asked.names == rows("Both").keys() | rows(section).keys()


@pytest.mark.parametrize(("section", "settings"), [("Producer", producer), ("Consumer", consumer)])
def test_the_defaults_are_those_that_are_described(section, settings):
    described = rows("Both") | rows(section)
    described["APP_PORT"] = described["APP_PORT"].split(", ")[section == "Consumer"]
    assert settings.read_settings(described) == settings.read_settings({})


def test_every_problem_is_described():
    assert all_cells("Problems") == {
        code: [str(found.status), "yes" if found.retriable else "no", "either" if code in EITHER else found.outcome]
        for code, found in PROBLEM_TYPES.items()
    }


def test_an_outcome_of_kafkas_errors_is_described():
    outcomes = {code: PROBLEM_TYPES[code].outcome for code in PROBLEM_TYPES}
    assert {code for code, outcome in _BY_KAFKA_NAME.values() if outcome != outcomes[code]} <= EITHER
