"""docs/apps.md names every setting and every problem code, and nothing else."""

import re
from pathlib import Path

import pytest

from kraftd_apps.common.problems import PROBLEM_TYPES
from kraftd_apps.consumer import settings as consumer
from kraftd_apps.producer import settings as producer

DOCUMENT = (Path(__file__).parents[3] / "docs" / "apps.md").read_text(encoding="utf-8")
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
SECTIONS = dict(zip(_HEADING.findall(DOCUMENT), _HEADING.split(DOCUMENT)[2::2], strict=True))


class Asked(dict):
    """Settings of nothing, which remember what was looked for."""

    def __init__(self):
        self.names = set()

    def get(self, name, default=None):
        self.names.add(name)
        return default


def rows(section):
    """Return the first two cells of each row, without their quotes."""
    found = re.findall(r"^\| `(\w+)` \|(.*?)\|", SECTIONS[section], re.MULTILINE)
    return {name: cell.strip().replace("`", "") for name, cell in found}


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
    assert rows("Problems") == {code: str(found.status) for code, found in PROBLEM_TYPES.items()}
