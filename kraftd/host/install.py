"""Files that ship with kraftd outside its package: from a checkout, or below the installation's data directory."""

import sysconfig
from pathlib import Path

import kraftd
from kraftd.errors import KraftdError
from kraftd.host.files import read_text

_TEMPLATE = "supervisord.conf.j2"


def template_text() -> str:
    """Return the text of supervisord.conf's template.

    Raises:
        KraftdError: The installation is incomplete.
    """
    return (_root() / _TEMPLATE).read_text(encoding="utf-8")


def monitoring_dir() -> Path:
    """Return the directory of what Prometheus, Grafana and the metrics agent are given.

    Raises:
        KraftdError: The installation is incomplete.
    """
    return _root() / "monitoring"


def runbooks_text() -> str:
    """Return the text of docs/runbooks.md, a section for each alert; empty where it was removed.

    Raises:
        KraftdError: The installation is incomplete.
    """
    return read_text(_root() / "docs" / "runbooks.md") or ""


def rule_files() -> tuple[Path, ...]:
    """Return the rule files for Prometheus that ship with kraftd.

    Raises:
        KraftdError: The installation is incomplete.
    """
    return tuple(sorted((monitoring_dir() / "rules").glob("*.yml")))


def dashboards_dir() -> Path:
    """Return the directory of the dashboards for Grafana that ship with kraftd.

    Raises:
        KraftdError: The installation is incomplete.
    """
    return monitoring_dir() / "grafana" / "dashboards"


def metrics_agent_rules() -> Path:
    """Return the rules of the JMX metrics agent.

    Raises:
        KraftdError: The installation is incomplete.
    """
    return monitoring_dir() / "jmx" / "kafka.yml"


def _root() -> Path:
    checkout = Path(kraftd.__file__).resolve().parent.parent
    schemes = (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user"))
    installed = [Path(sysconfig.get_path("data", scheme)) / "share" / "kraftd" for scheme in schemes]
    for candidate in (checkout, *installed):
        if (candidate / _TEMPLATE).is_file():
            return candidate
    raise KraftdError(
        f"cannot find {_TEMPLATE}: it is in none of {', '.join(str(place) for place in (checkout, *installed))}",
        hint="Reinstall kraftd from its wheel.",
        code="installation_incomplete",
    )
