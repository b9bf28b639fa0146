"""From which value a panel turns yellow or red, with the alert that fires for the same reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Threshold:
    """Where a value stops being normal.

    Attributes:
        alert: The alert that fires then; empty where none does.
        warning: Yellow from here on; None where nothing is merely worth a look.
        critical: Red from here on; None where it is never urgent.
        low: True where low values are the bad ones: then each bound is the highest bad value's upper edge.
    """

    alert: str = ""
    warning: float | None = None
    critical: float | None = None
    low: bool = False


BROKERS_DOWN = Threshold("BrokerDown", critical=1)
RESTARTS = Threshold("BrokerFlapping", warning=1, critical=3)
OFFLINE_PARTITIONS = Threshold("OfflinePartitions", critical=1)
UNDER_MIN_ISR = Threshold("UnderMinIsr", critical=1)
UNDER_REPLICATED = Threshold("UnderReplicated", warning=1)
NOT_PREFERRED = Threshold("PreferredImbalance", warning=1)
ISR_SHRINKS = Threshold("IsrChurn", warning=0.1)
UNCLEAN_ELECTIONS = Threshold("UncleanElection", critical=1)
OFFLINE_LOG_DIRS = Threshold("OfflineLogDir", critical=1)
METADATA_ERRORS = Threshold("MetadataErrors", critical=1)
ACTIVE_CONTROLLERS = Threshold("NoActiveController", critical=1, low=True)
VOTER_AGE_S = Threshold("QuorumVoterLagging", warning=10)
VOTERS_TO_SPARE = Threshold("QuorumMajorityAtRisk", warning=1, critical=0, low=True)
HANDLER_IDLE = Threshold("HandlerSaturation", warning=0.3, critical=0.1, low=True)
HEAP = Threshold("HeapPressure", warning=0.9)
GC_SHARE = Threshold(warning=0.05, critical=0.1)
DISK_FREE = Threshold("DiskLow", warning=0.15, critical=0.05, low=True)
DISK_UNTIL_FULL_S = Threshold("DiskLow", warning=86400, critical=4 * 3600, low=True)
GROUPS_BEHIND = Threshold("ConsumerStalled", warning=1)
LAG_S = Threshold("LagGrowing", warning=60)
RETENTION_MARGIN = Threshold("LagNearRetention", critical=0, low=True)
CANARY_S = Threshold("ProbeFailing", warning=1)
PROBE_FAILURES = Threshold("ProbeFailing", critical=1)
COLLECTOR_AGE_S = Threshold("CollectorStale", warning=180)
EMPTY_GROUPS = Threshold("GroupEmptyWithLag", warning=1)
COLLECTORS_DOWN = Threshold("CollectorStale", warning=1)
SNAPSHOT_AGE_S = Threshold(warning=30)
PROGRAMS_NOT_READY = Threshold(warning=1)
TARGETS_DOWN = Threshold("MonitoringTargetDown", warning=1)
ALERTS = Threshold(warning=1)
HTTP_ERRORS = Threshold(warning=0.01, critical=0.1)
LOST_RECORDS = Threshold(critical=0.001)
