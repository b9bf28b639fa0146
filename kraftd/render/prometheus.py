"""Prometheus' arguments and configuration: on loopback, with its targets discovered through the daemon."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from kraftd.plan.kinds import PROMETHEUS, Tool
from kraftd.plan.plan import Plan
from kraftd.render.tools import RENDERED, configuration_path

SCRAPE_INTERVAL_S = 5
_RETENTION = "15d"
_TOKEN_VARIABLE = "APP_API_TOKEN"  # noqa: S105 the variable's name


def arguments(plan: Plan, tool: Tool) -> tuple[str, ...]:
    """Return the arguments of its executable."""
    return (
        *plan.marker(tool.name).arguments,
        f"--storage.tsdb.path={plan.layout.data(tool.name)}",
        f"--storage.tsdb.retention.time={_RETENTION}",
        f"--web.listen-address={tool.host}:{tool.port}",
        # By default pages of every origin may read the API.
        f"--web.cors.origin={tool.url.rstrip('/')}",
        "--log.level=warn",
    )


def files(plan: Plan, tool: Tool, rules: Sequence[Path]) -> dict[Path, str]:
    """Return its configuration, and the token file of each app that requires a token."""
    tokens = {_token_file(plan, app): token for app, token in _tokens(plan).items()}
    return {configuration_path(plan, tool): _prometheus_yml(plan, rules), **tokens}


def _prometheus_yml(plan: Plan, rules: Sequence[Path]) -> str:
    lines = [f"# {RENDERED}", "global:"]
    lines += [f"  {key}: {SCRAPE_INTERVAL_S}s" for key in ("scrape_interval", "evaluation_interval")]
    if rules:
        lines += ["rule_files:", *(f"  - {_quoted(path)}" for path in rules)]
    guarded = _tokens(plan)
    lines += ["scrape_configs:", *_scrape_job(plan, "kraftd")]
    if guarded:
        lines += _only("drop", guarded)
    for app in guarded:
        lines += _scrape_job(plan, app)
        # In a file, because every user of this machine can read Prometheus' configuration through its port.
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
    """Return the tokens of the apps that require one, by app."""
    tokens = {app.name: dict(app.environment).get(_TOKEN_VARIABLE, "").strip() for app in plan.apps}
    return {name: token for name, token in tokens.items() if token}


def _token_file(plan: Plan, app: str) -> Path:
    return plan.layout.config(PROMETHEUS) / f"{app}.token"


def _quoted(path: Path) -> str:
    # A JSON string is a YAML string.
    return json.dumps(str(path))
