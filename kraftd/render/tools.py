"""Prometheus and Grafana as kraftd runs them: on loopback, without a login, calling nobody but the cluster."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from kraftd.spec.plan import GRAFANA, PROMETHEUS, Plan, Tool

SCRAPE_INTERVAL_S = 5
_RETENTION = "15d"
_RENDERED = "Rendered by kraftd; changes here are overwritten."
_DATASOURCE = "Prometheus"
_TOKEN_VARIABLE = "APP_API_TOKEN"  # noqa: S105 the variable's name


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
        tokens = {_token_file(plan, app): token for app, token in _tokens(plan).items()}
        return {configuration: _prometheus_yml(plan, rules), **tokens}
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
    guarded = _tokens(plan)
    lines += ["scrape_configs:", *_scrape_job(plan, "kraftd")]
    if guarded:
        lines += _only("drop", guarded)
    for app in guarded:
        lines += _scrape_job(plan, app)
        # By file: anyone on this machine who finds Prometheus' port can read its configuration.
        lines += [
            "    authorization:",
            f"      credentials_file: {_quoted(_token_file(plan, app))}",
            *_only("keep", [app]),
        ]
    return "\n".join([*lines, ""])


def _scrape_job(plan: Plan, name: str) -> list[str]:
    return [
        f"  - job_name: {name}",
        "    http_sd_configs:",
        f'      - url: "http://{plan.daemon.host}:{plan.daemon.port}/sd/prometheus"',
        f"        refresh_interval: {SCRAPE_INTERVAL_S}s",
    ]


def _only(action: str, programs: Iterable[str]) -> list[str]:
    return [
        "    relabel_configs:",
        "      - source_labels: [program]",
        f"        regex: {'|'.join(programs)}",
        f"        action: {action}",
    ]


def _tokens(plan: Plan) -> dict[str, str]:
    """Return the tokens of the apps that want one from whoever reads their metrics, by app."""
    tokens = {app.name: dict(app.environment).get(_TOKEN_VARIABLE, "").strip() for app in plan.apps}
    return {name: token for name, token in tokens.items() if token}


def _token_file(plan: Plan, app: str) -> Path:
    return plan.layout.config(PROMETHEUS) / f"{app}.token"


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
