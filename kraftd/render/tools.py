"""Prometheus and Grafana as kraftd runs them: on loopback, without a login, calling nobody but the cluster."""

import json
from collections.abc import Sequence
from pathlib import Path

from kraftd.spec.plan import GRAFANA, PROMETHEUS, Plan, Tool

SCRAPE_INTERVAL_S = 5
_RETENTION = "15d"
_RENDERED = "Rendered by kraftd; changes here are overwritten."
_DATASOURCE = "Prometheus"


def tool_command(plan: Plan, tool: Tool) -> tuple[str, ...]:
    """Return the argv of a tool."""
    return _prometheus_command(plan, tool) if tool.name == PROMETHEUS else _grafana_command(plan, tool)


def tool_files(plan: Plan, tool: Tool, rules: Sequence[Path]) -> dict[Path, str]:
    """Return the text of each of a tool's files by its path.

    Args:
        plan: The cluster.
        tool: One of its tools.
        rules: Files of alerting and recording rules, for Prometheus.
    """
    configuration = plan.layout.config(tool.name) / tool.configuration
    if tool.name == PROMETHEUS:
        return {configuration: _prometheus_yml(plan, rules)}
    datasources = _provisioning(plan) / "datasources" / "prometheus.yml"
    return {configuration: _grafana_ini(plan, tool), datasources: _datasources(plan.tool(PROMETHEUS))}


def _prometheus_command(plan: Plan, tool: Tool) -> tuple[str, ...]:
    return (
        str(tool.executable.path),
        *plan.marker(tool.name).arguments,
        f"--storage.tsdb.path={plan.layout.data(tool.name)}",
        f"--storage.tsdb.retention.time={_RETENTION}",
        f"--web.listen-address={tool.host}:{tool.port}",
        # By default a page of any origin may read the API.
        f"--web.cors.origin={tool.url.rstrip('/')}",
        "--log.level=warn",
    )


def _grafana_command(plan: Plan, tool: Tool) -> tuple[str, ...]:
    home = (f"--homepath={tool.executable.home}",) if tool.executable.home else ()
    return (str(tool.executable.path), "server", *plan.marker(tool.name).arguments, *home)


def _prometheus_yml(plan: Plan, rules: Sequence[Path]) -> str:
    lines = [f"# {_RENDERED}", "global:"]
    lines += [f"  {key}: {SCRAPE_INTERVAL_S}s" for key in ("scrape_interval", "evaluation_interval")]
    if rules:
        lines += ["rule_files:", *(f"  - {_quoted(path)}" for path in rules)]
    return "\n".join(
        [
            *lines,
            "scrape_configs:",
            "  - job_name: kraftd",
            "    http_sd_configs:",
            f'      - url: "http://{plan.daemon.host}:{plan.daemon.port}/sd/prometheus"',
            f"        refresh_interval: {SCRAPE_INTERVAL_S}s",
            "",
        ]
    )


def _provisioning(plan: Plan) -> Path:
    return plan.layout.config(GRAFANA) / "provisioning"


def _datasources(prometheus: Tool | None) -> str:
    head = [f"# {_RENDERED}", "apiVersion: 1"]
    if prometheus is None:
        # What an earlier start provided stays in Grafana's database otherwise.
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


def _grafana_ini(plan: Plan, tool: Tool) -> str:
    data = plan.layout.data(tool.name)
    sections: dict[str, dict[str, object]] = {
        "paths": {
            "data": data,
            "logs": plan.layout.logs(tool.name),
            "plugins": data / "plugins",
            "provisioning": _provisioning(plan),
        },
        # A page of another origin could rebind its name to this machine.
        "server": {"http_addr": tool.host, "http_port": tool.port, "domain": tool.host, "enforce_domain": "true"},
        # Nobody can log in, so that there is no admin, and no password of one.
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
    blocks = [
        "\n".join([f"[{name}]", *(f"{key} = {value}" for key, value in keys.items())])
        for name, keys in sections.items()
    ]
    return "\n\n".join([f"; {_RENDERED}", *blocks]) + "\n"


def _quoted(path: Path) -> str:
    # A JSON string is a YAML string.
    return json.dumps(str(path))
