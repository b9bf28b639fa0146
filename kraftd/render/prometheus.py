"""Prometheus' arguments and configuration: on loopback, with its targets discovered through the daemon."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from kraftd.escapes import yaml_string
from kraftd.plan.kinds import ALERTMANAGER, PROMETHEUS, TOOL_DEFINITIONS, Tool
from kraftd.plan.plan import Plan
from kraftd.plan.program import LOOPBACK
from kraftd.render.tools import RENDERED, MonitoringFiles, configuration_path

SCRAPE_INTERVAL_S = 5
_AGENT_INTERVAL_S = 15
"""A JMX agent reads a thousand values from the broker's JVM for each scrape."""

_TOKEN_VARIABLE = "APP_API_TOKEN"  # noqa: S105 the variable's name
_PATTERN = str.maketrans({"\\": "\\\\", "[": "\\[", "?": "\\?", "*": "[)-+]"})
"""How the signs of a pattern are themselves in one. Prometheus refuses a directory with a star, escaped too: a range of
characters around it stands for it."""

_STANDALONE = "For a Prometheus of your own. Another cluster is one more url in both lists; add its jobs with tokens."


def arguments(plan: Plan, tool: Tool) -> tuple[str, ...]:
    """Return the arguments of its executable."""
    return (
        *plan.marker(tool.name).arguments,
        f"--storage.tsdb.path={plan.layout.data(tool.name)}",
        f"--storage.tsdb.retention.time={tool.option('retention')}",
        f"--storage.tsdb.retention.size={tool.option('retention_size')}",
        f"--web.listen-address={tool.host}:{tool.port}",
        # By default pages of every origin may read the API.
        f"--web.cors.origin={tool.url.rstrip('/')}",
        "--log.level=warn",
    )


def files(plan: Plan, tool: Tool, monitoring: MonitoringFiles) -> dict[Path, str]:
    """Return its configuration."""
    own = [*_itself(tool.host, tool.port), f"          kafka_cluster: {yaml_string(plan.cluster)}"]
    text = _prometheus_yml(plan, monitoring.rules, RENDERED, SCRAPE_INTERVAL_S, own)
    return {configuration_path(plan, tool): text}


def standalone(plan: Plan, rules: Sequence[Path]) -> str:
    """Return the configuration of a Prometheus that kraftd does not run, on its default port.

    Args:
        plan: The cluster.
        rules: Files of alerting and recording rules.
    """
    (port,) = (tool.default_port for tool in TOOL_DEFINITIONS if tool.name == PROMETHEUS)
    return _prometheus_yml(plan, rules, _STANDALONE, _AGENT_INTERVAL_S, _itself(LOOPBACK, port))


def token_files(plan: Plan) -> dict[Path, str]:
    """Return the token of each app that requires one, in the file from which Prometheus reads it."""
    return {_token_file(plan, app): token for app, token in _tokens(plan).items()}


def _prometheus_yml(plan: Plan, rules: Sequence[Path], head: str, interval_s: int, own: Sequence[str]) -> str:
    lines = [f"# {head}", "global:"]
    lines += [f"  {key}: {interval_s}s" for key in ("scrape_interval", "evaluation_interval")]
    if rules:
        lines += ["rule_files:", *(f"  - {yaml_string(_pattern_of(path))}" for path in rules)]
    if alertmanager := plan.tool(ALERTMANAGER):
        address = f"{alertmanager.host}:{alertmanager.port}"
        lines += ["alerting:", "  alertmanagers:", "  - static_configs:", f'    - targets: ["{address}"]']
    guarded = _tokens(plan)
    lines += ["scrape_configs:", *_scrape_job(plan, "kraftd", interval_s), "    relabel_configs:"]
    lines += [*_only("drop", "job", ["kafka"]), *(_only("drop", "program", guarded) if guarded else ())]
    lines += [*_scrape_job(plan, "kafka", interval_s), f"    scrape_interval: {_AGENT_INTERVAL_S}s"]
    lines += ["    relabel_configs:", *_only("keep", "job", ["kafka"])]
    for app in guarded:
        lines += _scrape_job(plan, app, interval_s)
        # In a file, because every user of this machine can read Prometheus' configuration through its port.
        lines += ["    authorization:", f"      credentials_file: {yaml_string(str(_token_file(plan, app)))}"]
        lines += ["    relabel_configs:", *_only("keep", "program", [app])]
    lines += [f"  - job_name: {PROMETHEUS}", "    static_configs:", *own]
    return "\n".join([*lines, ""])


def _pattern_of(path: Path) -> str:
    """Return a path as a pattern of Go's filepath.Glob, which Prometheus takes it for."""
    return str(path).translate(_PATTERN)


def _itself(host: str, port: int) -> list[str]:
    return [f'      - targets: ["{host}:{port}"]', "        labels:", f"          program: {PROMETHEUS}"]


def _scrape_job(plan: Plan, name: str, interval_s: int) -> list[str]:
    return [
        f"  - job_name: {name}",
        "    http_sd_configs:",
        f'      - url: "http://{plan.daemon.host}:{plan.daemon.port}/sd/prometheus"',
        f"        refresh_interval: {interval_s}s",
    ]


def _only(action: str, label: str, values: Iterable[str]) -> list[str]:
    return [
        f"      - source_labels: [{label}]",
        f"        regex: {'|'.join(values)}",
        f"        action: {action}",
    ]


def _tokens(plan: Plan) -> dict[str, str]:
    """Return the tokens of the apps that require one, by app."""
    tokens = {app.name: dict(app.environment).get(_TOKEN_VARIABLE, "").strip() for app in plan.apps}
    return {name: token for name, token in tokens.items() if token}


def _token_file(plan: Plan, app: str) -> Path:
    return plan.layout.config(app) / f"{app}.token"
