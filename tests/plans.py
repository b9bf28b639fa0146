"""Plans for tests, from the TOML that a user would write."""

from pathlib import Path

from kraftd.plan.kinds import ALERTMANAGER, GRAFANA, PROMETHEUS, Executable
from kraftd.plan.layout import Layout, layout_of
from kraftd.plan.loading import configure, parse_toml
from kraftd.plan.manifest import Manifest
from kraftd.plan.plan import Plan
from kraftd.plan.planning import build_plan
from kraftd.plan.settings import Settings
from kraftd.render.java_command import JvmLaunch

STATE_DIR = Path("/srv/kraftd/local")
PYTHON = Path("/opt/venv/bin/python")
LAUNCH = JvmLaunch(
    java=Path("/opt/java/bin/java"), java_major=25, classpath=(Path("/cache/kafka.jar"), Path("/cache/scala.jar"))
)

INSTALLED = {
    PROMETHEUS: Executable(Path("/usr/bin/prometheus")),
    ALERTMANAGER: Executable(Path("/usr/bin/prometheus-alertmanager")),
    GRAFANA: Executable(Path("/usr/share/grafana/bin/grafana"), Path("/usr/share/grafana")),
}
TOOLS = "[prometheus]\nenabled = true\n[grafana]\nenabled = true\n"
"""Two tools asked for; every plan has all of them installed."""


def settings_of(toml: str = "") -> Settings:
    return configure([parse_toml(toml, "kraftd.toml")]).settings


def layout_at(state_dir: Path = STATE_DIR) -> Layout:
    return layout_of(cluster="local", state_dir=state_dir, environ={}, home=Path("/home/ada"))


def plan_of(
    toml: str = "",
    *,
    state_dir: Path = STATE_DIR,
    kafka_version: str = "3.9.2",
    manifest: Manifest | None = None,
) -> Plan:
    return build_plan(settings_of(toml), layout_at(state_dir), kafka_version, manifest, INSTALLED)
