"""Overview: is it well, how fast, how far behind, what hurts."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards import shared
from tools.dashboards import thresholds as limits
from tools.dashboards.frame import Row, built
from tools.dashboards.panels import About, Panel, number
from tools.dashboards.queries import Query, alerts, daemon, or_zero, total


def overview() -> Dashboard:
    """Return the dashboard."""
    return built(
        "kraftd-overview",
        "kraftd / Overview",
        "Is the cluster well, how fast is it, how far behind are its consumers, and what hurts?",
        [
            shared.broker_states(),
            *_verdicts(),
            shared.records_in(width=8),
            shared.bytes_in_and_out(width=8),
            shared.produce_phases(width=8),
            shared.groups_table(width=12),
            shared.lag_seconds(width=12),
            shared.gc_share(width=12),
            shared.disk_until_full(width=12),
        ],
        Row("Programs and canary", [shared.program_states(), shared.canary()]),
    )


def _verdicts() -> list[Panel]:
    return [
        number(
            "Brokers down",
            About(
                "Configured brokers that do not answer on their client port.",
                "0; a restart shows here for a few seconds.",
                "kraftd status names the broker and the cause; kraftd restarts it unless that cannot help.",
            ),
            "short",
            Query(total(f"{daemon('kraftd_broker_up')} == bool 0"), "down"),
            limit=limits.BROKERS_DOWN,
        ),
        shared.offline_partitions(),
        shared.under_min_isr(),
        shared.under_replicated(),
        number(
            "Groups not keeping up",
            About(
                "Consumer groups whose lag status is not ok, by Burrow's rules; known after five cycles of 10 s.",
                "0.",
                "kraftd explain lag GROUP tells which partition is behind and why.",
            ),
            "short",
            Query(or_zero(total(daemon("kraftd_consumergroup_status", 'status!="ok"'))), "groups"),
            limit=limits.GROUPS_BEHIND,
        ),
        number(
            "Alerts firing",
            About(
                "Alerts of this cluster that fire in Prometheus; it needs the rules of monitoring/rules.",
                "0.",
                "The runbook of each alert is in docs/runbooks.md.",
            ),
            "short",
            Query(or_zero(f"sum({alerts()})"), "alerts"),
            limit=limits.ALERTS,
        ),
    ]
