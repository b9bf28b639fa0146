"""Where Prometheus and Grafana are installed on this machine."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from kraftd.spec.plan import GRAFANA, Executable

_GRAFANA_HOME = Path("/usr/share/grafana")
"""Where the packages of Grafana Labs have it. Their executable on the PATH is a script with paths of its own."""


def installed_tool(name: str, environ: Mapping[str, str], *, grafana_home: Path = _GRAFANA_HOME) -> Executable | None:
    """Return a tool as the PATH has it; None where it is on none of its directories.

    Args:
        name: Its name, which its executable has too.
        environ: The environment variables.
        grafana_home: Where Grafana's packages put it.
    """
    # An empty path would make which() look at this process' own.
    found = shutil.which(name, path=environ.get("PATH") or "/nonexistent")
    if found is None:
        return None
    path = Path(found).absolute()
    return _grafana(path, grafana_home) if name == GRAFANA else Executable(path)


def _grafana(found: Path, packaged: Path) -> Executable:
    """Return Grafana with its home: beside its executable (its archive, Homebrew), or where packages put it."""
    prefix = found.resolve().parent.parent
    for home in (prefix, prefix / "share" / "grafana", packaged):
        if (home / "conf" / "defaults.ini").is_file():
            own = home / "bin" / found.name
            return Executable(own if own.is_file() else found, home)
    return Executable(found)
