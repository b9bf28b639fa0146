"""From which value a panel turns yellow or red, with the alert that fires for the same reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Threshold:
    """Where a value stops being normal.

    Attributes:
        alert: The alert that fires then; empty where none does.
        warning: Yellow from here on; None where nothing is merely worth a look.
        critical: Red from here on; None where it is never urgent.
        in_seconds: 1, or the seconds in which the alert counts what the panel shows per second.
        low: True where low values are the bad ones: then each bound is the highest bad value's upper edge.
    """

    alert: str = ""
    warning: float | None = None
    critical: float | None = None
    in_seconds: float = 1
    low: bool = False


BROKERS_DOWN = Threshold("BrokerDown", critical=1)
FENCED_BROKERS = Threshold("BrokerFenced", warning=1)
RESTARTS = Threshold("ProcessRestarting", warning=3)
PROGRAMS_NOT_READY = Threshold("ProcessDown", warning=1)
OFFLINE_PARTITIONS = Threshold("OfflinePartitions", critical=1)
UNDER_MIN_ISR = Threshold("UnderMinIsr", critical=1)
UNDER_REPLICATED = Threshold("UnderReplicated", warning=1)
NOT_PREFERRED = Threshold("LeadersUnbalanced", warning=0.3)
ISR_SHRINKS = Threshold("IsrFlapping", warning=10, in_seconds=900)
UNCLEAN_ELECTIONS = Threshold("UncleanElection", critical=1)
METADATA_ERRORS = Threshold("MetadataErrors", critical=1)
METADATA_LAG_MS = Threshold("MetadataLag", warning=10000)
ACTIVE_CONTROLLERS = Threshold("NoController", critical=1, low=True)
VOTER_AGE_S = Threshold("VoterLagging", warning=10)
VOTERS_TO_SPARE = Threshold("QuorumAtRisk", warning=1, critical=0, low=True)
REQUEST_MS = Threshold("RequestLatency", warning=1000)
HANDLER_IDLE = Threshold("RequestHandlersBusy", warning=0.3, low=True)
HEAP = Threshold("HeapFull", warning=0.85)
GC_SHARE = Threshold("GcPauses", warning=0.1)
FILE_DESCRIPTORS = Threshold("FileDescriptors", warning=0.8)
DISKS_OFFLINE = Threshold("DiskOffline", critical=1)
DISK_FREE = Threshold("DiskLow", critical=0.1, low=True)
DISK_UNTIL_FULL_S = Threshold("DiskWillFill", warning=4 * 3600, low=True)
GROUPS_BEHIND = Threshold("ConsumerStalled", warning=1)
EMPTY_GROUPS = Threshold(warning=1)
LAG_S = Threshold("LagGrowing", warning=60)
TRANSACTION_AGE_S = Threshold("OpenTransaction", warning=300)
RETENTION_MARGIN = Threshold("RecordsLost", critical=0, low=True)
CANARY_S = Threshold(warning=1)
CANARIES_FAILING = Threshold("CanaryFailing", critical=1)
COLLECTORS_FAILING = Threshold("CollectorFailing", warning=1)
COLLECTOR_AGE_S = Threshold(warning=180)
SNAPSHOT_AGE_S = Threshold("DaemonStale", critical=30)
AGENTS_DOWN = Threshold("AgentDown", warning=1)
TARGETS_DOWN = Threshold("ScrapeFailing", warning=1)
ALERTS = Threshold(warning=1)
HTTP_ERRORS = Threshold("AppErrors", warning=0.05)
LOST_RECORDS = Threshold("ProducerLostRecords", critical=1)
