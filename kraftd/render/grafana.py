"""Grafana's arguments and configuration: on loopback, without a login, connecting to nothing outside the cluster."""

from pathlib import Path

from kraftd.escapes import yaml_string
from kraftd.plan.kinds import PROMETHEUS, Tool
from kraftd.plan.plan import Plan
from kraftd.render.prometheus import SCRAPE_INTERVAL_S
from kraftd.render.tools import RENDERED, MonitoringFiles, configuration_path

_DATASOURCE = "Prometheus"
_HOME = "overview.json"


def arguments(plan: Plan, tool: Tool) -> tuple[str, ...]:
    """Return the arguments of its executable."""
    home = (f"--homepath={tool.executable.home}",) if tool.executable.home else ()
    return ("server", *plan.marker(tool.name).arguments, *home)


def files(plan: Plan, tool: Tool, monitoring: MonitoringFiles) -> dict[Path, str]:
    """Return its configuration, its data source, and where it finds its dashboards."""
    provisioning = _provisioning(plan, tool)
    texts = {
        configuration_path(plan, tool): _grafana_ini(plan, tool, monitoring.dashboards),
        provisioning / "datasources" / "prometheus.yml": _datasources(plan.tool(PROMETHEUS)),
    }
    if monitoring.dashboards:
        texts[provisioning / "dashboards" / "kraftd.yml"] = _dashboards(monitoring.dashboards)
    return texts


def _provisioning(plan: Plan, tool: Tool) -> Path:
    return plan.layout.config(tool.name) / "provisioning"


def _datasources(prometheus: Tool | None) -> str:
    head = [f"# {RENDERED}", "apiVersion: 1"]
    if prometheus is None:
        # Otherwise the data source of an earlier start stays in Grafana's database.
        return "\n".join([*head, "deleteDatasources:", f"  - name: {_DATASOURCE}", "    orgId: 1", ""])
    return "\n".join(
        [
            *head,
            "datasources:",
            f"  - name: {_DATASOURCE}",
            "    uid: prometheus",
            "    type: prometheus",
            "    access: proxy",
            f'    url: "{prometheus.url.rstrip("/")}"',
            "    isDefault: true",
            "    editable: false",
            "    jsonData:",
            f"      timeInterval: {SCRAPE_INTERVAL_S}s",
            "",
        ]
    )


def _dashboards(directory: Path) -> str:
    return "\n".join(
        [
            f"# {RENDERED}",
            "apiVersion: 1",
            "providers:",
            "  - name: kraftd",
            "    folder: kraftd",
            "    type: file",
            "    disableDeletion: true",
            "    allowUiUpdates: false",
            "    options:",
            # Grafana puts the variables of its environment in place of $NAME.
            f"      path: {yaml_string(str(directory).replace('$', '$$'))}",
            "",
        ]
    )


def _grafana_ini(plan: Plan, tool: Tool, dashboards: Path | None) -> str:
    data = plan.layout.data(tool.name)
    sections: dict[str, dict[str, object]] = {
        "paths": {
            "data": _literal(data),
            "logs": _literal(plan.layout.logs(tool.name)),
            "plugins": _literal(data / "plugins"),
            "provisioning": _literal(_provisioning(plan, tool)),
        },
        # Against DNS rebinding by a page of another origin.
        "server": {"http_addr": tool.host, "http_port": tool.port, "domain": tool.host, "enforce_domain": "true"},
        # Without logins there is no admin account with a default password.
        "security": {"disable_initial_admin_creation": "true", "disable_gravatar": "true"},
        "auth": {"disable_login_form": "true"},
        "auth.basic": {"enabled": "false"},
        "auth.anonymous": {"enabled": "true", "org_role": "Viewer"},
        "users": {"allow_sign_up": "false"},
        "analytics": {
            "reporting_enabled": "false",
            "check_for_updates": "false",
            "check_for_plugin_updates": "false",
            "feedback_links_enabled": "false",
        },
        "news": {"news_feed_enabled": "false"},
        "plugins": {"plugin_admin_enabled": "false", "preinstall_disabled": "true"},
        "snapshots": {"external_enabled": "false"},
        "log": {"mode": "console", "level": "warn"},
    }
    if dashboards:
        sections["dashboards"] = {"default_home_dashboard_path": _literal(dashboards / _HOME)}
    blocks = [
        "\n".join([f"[{name}]", *(f"{key} = {value}" for key, value in keys.items())])
        for name, keys in sections.items()
    ]
    return "\n\n".join([f"; {RENDERED}", *blocks]) + "\n"


def _literal(path: Path) -> str:
    """Return a path in backticks, of which Grafana reads all up to the last one; others end at a ``#`` or ``;``."""
    return f"`{path}`"
