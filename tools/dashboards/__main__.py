"""Writes the dashboards' JSON: ``python -m tools.dashboards``, or ``make dashboards``."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards.apps import apps
from tools.dashboards.brokers import brokers
from tools.dashboards.groups import groups
from tools.dashboards.overview import overview
from tools.dashboards.programs import programs
from tools.dashboards.quorum import quorum
from tools.dashboards.topics import topics

DASHBOARDS = Path(__file__).resolve().parents[2] / "monitoring" / "grafana" / "dashboards"


def documents() -> dict[str, str]:
    """Return the text of each file by its name."""
    whole = [overview(), brokers(), quorum(), topics(), groups(), apps(), programs()]
    return {_name(each): as_json(each) for each in whole}


def as_json(whole: object) -> str:
    """Return a part of Grafana's model as text."""
    return json.dumps(whole, cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _name(each: Dashboard) -> str:
    return f"{(each.uid or '').removeprefix('kraftd-')}.json"


if __name__ == "__main__":
    DASHBOARDS.mkdir(parents=True, exist_ok=True)
    for old in DASHBOARDS.glob("*.json"):
        old.unlink()
    for name, text in documents().items():
        (DASHBOARDS / name).write_text(text, encoding="utf-8")
