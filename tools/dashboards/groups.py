"""Consumer groups & lag: which group is behind, by how much, and whether it catches up."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards import shared
from tools.dashboards import thresholds as limits
from tools.dashboards.frame import Row, built, choice
from tools.dashboards.panels import About, Panel, lines, number
from tools.dashboards.queries import SLOPE, Query, daemon, growth, most, node, or_zero, rate, total

GROUP = 'consumergroup=~"$group"'
_BY = "consumergroup"


def groups() -> Dashboard:
    """Return the dashboard."""
    members = daemon("kafka_consumergroup_members")
    return built(
        "kraftd-groups",
        "kraftd / Consumer groups & lag",
        "Which group is behind, by how many records and seconds, and does it catch up?",
        [
            shared.group_statuses(GROUP),
            *_verdicts(),
            shared.groups_table(24, GROUP, height=7),
            _lag_records(),
            shared.lag_seconds(8, GROUP),
            _slope(),
            _produced_and_consumed(),
            _retention_margin(),
        ],
        Row("Partitions", _partitions()),
        Row("Members and coordinators", _members()),
        variables=[choice("group", "Group", f"label_values({members}, consumergroup)")],
    )


def _verdicts() -> list[Panel]:
    behind = daemon("kraftd_consumergroup_status", 'status!="ok"')
    waiting = daemon("kafka_consumergroup_lag_seconds")
    return [
        number(
            "Groups",
            About(
                "Consumer groups that kraftd sees; [daemon] may exclude some.",
                "what you run.",
                "a group is missing: it has no member and no commit.",
            ),
            "short",
            Query(or_zero(f"count({daemon('kafka_consumergroup_members')})"), "groups"),
        ),
        number(
            "Groups behind",
            About(
                "Consumer groups whose lag status is not ok.",
                "0.",
                "kraftd explain lag GROUP tells which partition is behind and why.",
            ),
            "short",
            Query(or_zero(total(behind)), "groups"),
            limit=limits.GROUPS_BEHIND,
        ),
        number(
            "Oldest unread record",
            About(
                "How long the record waits that waits longest, over all groups.",
                "seconds.",
                "the table names the group.",
            ),
            "s",
            Query(or_zero(most(waiting)), "seconds"),
            limit=limits.LAG_S,
        ),
        number(
            "Total lag",
            About(
                "Records that the groups can still read, over all groups.",
                "about what is written in a second or two.",
                "the table names the group.",
            ),
            "short",
            Query(or_zero(total(daemon(shared.READABLE_LAG))), "records"),
        ),
        number(
            "Empty groups with lag",
            About(
                "Groups without a member that have unread records: nobody works on them.",
                "0.",
                "start their consumers, or delete the groups that nobody needs.",
            ),
            "short",
            Query(or_zero(f"sum({_empty_with_lag()})"), "groups"),
            limit=limits.EMPTY_GROUPS,
        ),
        number(
            "Partitions without a commit",
            About(
                "Partitions of topics that a group reads and without a commit: they count from the start of the log.",
                "0 after the first commit interval.",
                "a consumer that never commits: enable.auto.commit, or its own commits.",
            ),
            "short",
            Query(or_zero(total(daemon("kafka_consumergroup_uncommitted_partitions"))), "partitions"),
        ),
    ]


def _empty_with_lag() -> str:
    lag = total(daemon(shared.READABLE_LAG), _BY)
    members = most(daemon("kafka_consumergroup_members"), _BY)
    return f"({lag} > bool 0) * ({members} == bool 0)"


def _lag_records() -> Panel:
    return lines(
        "Lag in records, by group",
        About(
            "Records that each group can still read; kafka_consumergroup_lag counts markers of transactions too.",
            "about what is written in a second or two, without a trend.",
            "kraftd explain lag GROUP.",
        ),
        "short",
        Query(total(daemon(shared.READABLE_LAG, GROUP), _BY), "{{consumergroup}}"),
        width=8,
    )


def _slope() -> Panel:
    return lines(
        "Slope of the lag",
        About(
            "How fast the lag grows, in records per second over five minutes; below 0 the group catches up.",
            "around 0.",
            "above 0 for minutes: the group reads slower than is written; more consumers, up to the partitions.",
        ),
        "recps",
        Query(total(f"deriv({daemon(shared.READABLE_LAG, GROUP)}{SLOPE})", _BY), "{{consumergroup}}"),
        width=8,
        minimum=None,
    )


def _produced_and_consumed() -> Panel:
    read = daemon("kafka_consumergroup_current_offset", GROUP)
    written = total(rate(daemon("kafka_topic_partition_current_offset")), "topic")
    consumed = f"count by (topic)({read})"
    return lines(
        "Written and read",
        About(
            "Records per second that are written to the topics that groups read, and that each group reads.",
            "each group's line on that of its topics.",
            "a group below its topics falls behind; above them it catches up.",
        ),
        "recps",
        Query(f"sum({written} and on (topic) {consumed})", "written"),
        Query(total(growth(read), _BY), "{{consumergroup}}"),
        colours={"written": "text"},
    )


def _retention_margin() -> Panel:
    margin = daemon("kafka_consumergroup_retention_margin", GROUP)
    return lines(
        "Margin to retention",
        About(
            "Offsets between what retention deletes next and what the group reads next, on the worst partition.",
            "far above 0; 0 where nothing was deleted and the group is at the start.",
            "it falls towards 0: a longer retention.ms, or the group loses records. Below 0, that many are lost.",
        ),
        "short",
        Query(f"min by ({_BY})({margin})", "{{consumergroup}}"),
        limit=limits.RETENTION_MARGIN,
        minimum=None,
    )


def _partitions() -> list[Panel]:
    by = ("consumergroup", "topic", "partition")
    lag, waiting = daemon(shared.READABLE_LAG, GROUP), daemon("kafka_consumergroup_lag_seconds", GROUP)
    return [
        lines(
            "Lag in records, by partition",
            About(
                "The ten partitions with the most unread records.",
                "the partitions of a topic about equal.",
                "one partition far above the others: a frequent key, or a consumer that hangs.",
            ),
            "short",
            Query(f"topk(10, {total(lag, *by)})", "{{consumergroup}} {{topic}} {{partition}}"),
        ),
        lines(
            "Lag in seconds, by partition",
            About(
                "The ten partitions whose oldest unread record waits longest.",
                "seconds.",
                "kraftd explain lag GROUP.",
            ),
            "s",
            Query(f"topk(10, {most(waiting, *by)})", "{{consumergroup}} {{topic}} {{partition}}"),
            limit=limits.LAG_S,
        ),
    ]


def _members() -> list[Panel]:
    coordinator = "kafka_server_group_coordinator_metrics"
    return [
        lines(
            "Members, by group",
            About(
                "Members of each group.",
                "as many as you run, and no more than partitions.",
                "fewer: a consumer ended, or takes longer than max.poll.interval.ms for its records.",
            ),
            "short",
            Query(most(daemon("kafka_consumergroup_members", GROUP), _BY), "{{consumergroup}}"),
            width=8,
        ),
        lines(
            "Rebalances",
            About(
                "Rebalances per second that each coordinator completed.",
                "0; some when consumers come or go.",
                "again and again: consumers that exceed session.timeout.ms or max.poll.interval.ms.",
            ),
            "ops",
            Query(most(node(f"{coordinator}_group_completed_rebalance_rate"), "program"), "{{program}}"),
            width=8,
        ),
        lines(
            "Commits",
            About(
                "Commits of offsets per second, by coordinator.",
                "one for each member and commit interval.",
                "thousands: consumers that commit each record.",
            ),
            "ops",
            Query(most(node(f"{coordinator}_offset_commit_rate"), "program"), "{{program}}"),
            width=8,
        ),
    ]
