import re
from pathlib import Path

import pytest

from kraftd.health.programs.causes import diagnose, relevant_lines

STAMP = "[2026-11-22 16:00:00,123]"
STARTED = f"{STAMP} INFO [KafkaRaftServer nodeId=1] Kafka Server started (kafka.server.KafkaRaftServer)"
BAD_REQUEST = "org.apache.kafka.common.config.ConfigException: Invalid value -7 for configuration retention.ms"
FEW_FILES = "java.io.IOException: Too many open files"
LOGS = Path(__file__).parent / "logs"
DISK_FULL = "java.io.IOException: No space left on device"


@pytest.mark.parametrize(
    ("line", "retry_helps", "remedy"),
    [
        ("java.net.BindException: Address already in use", True, "cluster.port_offset"),
        ('err="listen tcp 127.0.0.1:9090: bind: address already in use"', True, "cluster.port_offset"),
        ("Failed to acquire lock on file .lock in /srv/data. A Kafka instance", True, "end it"),
        ("No `meta.properties` found in /srv/data/broker-1", False, "not formatted"),
        ("Invalid cluster.id in: /srv/meta.properties. Expected a, but read b", False, "another cluster"),
        ("java.io.IOException: No space left on device", True, "Free disk space"),
        ("java.io.IOException: Disk quota exceeded", True, "Free disk space"),
        ("java.nio.file.FileSystemException: /srv/x-0/0.log: Read-only file system", True, "read-write"),
        ("java.io.FileNotFoundException: /srv/checkpoint.tmp (Read-only file system)", True, "read-write"),
        ("java.nio.file.FileSystemException: /srv/data/__x-0: Too many open files", False, "ulimit -Hn"),
        ("java.io.IOException: File too large", False, "ulimit -f"),
        ("Could not allocate compressed class space: 1073741824 bytes", False, "ulimit -v"),
        ("java.lang.OutOfMemoryError: Java heap space", True, "cluster.heap"),
        ("java.lang.OutOfMemoryError: unable to create native thread: possibly out of memory", True, "ulimit -Hu"),
        ("RuntimeError: can't start new thread", True, "ulimit -Hu"),
        ("OpenJDK: Could not reserve enough space for 4194304KB object heap", False, "lower cluster.heap"),
        ("Multiple garbage collectors selected", False, "java.options"),
        ("Unrecognized VM option 'UseFoo'", False, "java.options"),
        ("org.apache.kafka.common.config.ConfigException: Invalid value x", False, "[broker.config]"),
        (
            "java.lang.IllegalArgumentException: requirement failed: log.roll.ms must be greater than or equal to 1",
            False,
            "[broker.config]",
        ),
        ("Error: Could not find or load main class kafka.Kafka", False, "kraftd setup"),
        (r'level=error err="parsing: line 7: field http_sd_configs not found in type config.plain"', False, "2.28"),
        ("prometheus: error: unknown long flag '--storage.tsdb.retention.size'", False, "newer one"),
        ("prometheus-alertmanager: error: unknown long flag '--nope', try --help", False, "newer one"),
        ('level=error msg="loading groups failed" err="a.yml: 5:15: unclosed left"', False, "promtool check rules"),
        ("ModuleNotFoundError: No module named 'fastapi'", False, "install kraftd again"),
    ],
)
def test_a_telling_line_names_the_cause_the_remedy_and_whether_a_retry_helps(line, retry_helps, remedy):
    cause = diagnose(
        "exit status 1", [f"{STAMP} INFO starting", f"{STAMP} ERROR Exiting\n{line}\n\tat kafka.Kafka.main"]
    )

    assert cause.text == f"exit status 1: {line}"
    assert cause.retry_helps is retry_helps
    assert remedy in cause.remedy


def test_who_waits_tells_its_last_faults_and_else_its_warnings():
    warnings = [f"{STAMP} WARN node {number} is not available" for number in range(4)]
    fault = f"{STAMP} ERROR cannot register (kafka.Foo)\njava.io.IOException: gone\n\tat kafka.Foo"
    refused = f"{STAMP} INFO Unable to register broker 1 because the controller returned error X"

    assert relevant_lines([f"{STAMP} INFO loading", *warnings]) == warnings[-3:]
    assert relevant_lines([fault, *warnings], most=2) == [
        f"{STAMP} ERROR cannot register (kafka.Foo) java.io.IOException: gone",
        warnings[-1],
    ]
    assert relevant_lines([refused, f"{STAMP} INFO registered"]) == [refused]


def test_what_is_repeated_is_told_once_as_it_was_said_last():
    later = "[2026-11-22 16:00:05,123] WARN node 2 is not available"

    assert relevant_lines([f"{STAMP} WARN node 2 is not available", later]) == [later]


def test_an_error_of_a_tool_is_shown():
    lines = ['ts=1 caller=main.go:1 level=error msg="bad"', 'ts=2 level=warn msg="bye"']

    assert diagnose("exit status 1", lines).text == f"exit status 1: {lines[0]}"


def test_an_error_that_alertmanager_logs_without_a_level_is_shown():
    line = 'ts=1 caller=coordinator.go:132 component=configuration err="open default.tmpl: no such file"'

    assert diagnose("exit status 1", [line]).text == f"exit status 1: {line}"


def test_the_last_telling_line_counts():
    lines = ["BindException: port 1", "BindException: port 2"]

    assert diagnose("exit status 1", lines).text == "exit status 1: BindException: port 2"


def test_without_a_known_line_the_last_error_is_shown_and_a_retry_may_help():
    lines = ["[stamp] ERROR first", "[stamp] ERROR second (kafka.Foo)", "[stamp] INFO shutting down"]

    cause = diagnose("signal SIGABRT", lines)

    assert (cause.text, cause.retry_helps) == ("signal SIGABRT: [stamp] ERROR second (kafka.Foo)", True)


@pytest.mark.parametrize("lines", [[], ["[stamp] INFO no ERRORS here"], ["a terror"]])
def test_without_any_error_the_exit_stands_alone(lines):
    assert diagnose("exit status 3", lines).text == "exit status 3"


def test_a_long_line_is_cut():
    cause = diagnose("exit status 1", ["ERROR " + "x" * 1000])

    assert len(cause.text) <= len("exit status 1: ") + 300
    assert cause.text.endswith("...")


def test_the_last_known_error_wins_whatever_the_kinds_of_both():
    assert diagnose("exit status 1", [BAD_REQUEST, DISK_FULL]).text == f"exit status 1: {DISK_FULL}"
    assert diagnose("exit status 1", [DISK_FULL, BAD_REQUEST]).text == f"exit status 1: {BAD_REQUEST}"


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARN"])
def test_a_warning_or_less_explains_no_exit_with_what_follows_it(level):
    cause = diagnose("exit status 1", [f"{STAMP} {level} Error processing a request\n{BAD_REQUEST}"])

    assert (cause.text, cause.retry_helps) == ("exit status 1", True)


@pytest.mark.parametrize(
    "line", ["time=2026 level=WARN msg='ImportError'", "2026-11-22 16:00:00,123 INFO a: ImportError"]
)
def test_the_harmless_lines_of_tools_and_apps_explain_no_exit(line):
    assert diagnose("exit status 1", [line]).retry_helps


def test_a_clients_bad_request_is_not_the_cause_of_a_started_brokers_exit():
    records = [
        STARTED,
        f"{STAMP} ERROR Error processing a request\n{BAD_REQUEST}",
        f"{STAMP} ERROR Exiting (kafka.Kafka$)",
    ]

    cause = diagnose("exit status 1", records)

    assert cause.text == f"exit status 1: {records[-1]}"
    assert cause.retry_helps


def test_what_a_node_survived_before_it_had_started_explains_nothing():
    assert diagnose("exit status 1", [f"{STAMP} ERROR failed to bind", STARTED]).text == "exit status 1"


@pytest.mark.parametrize(("records", "started"), [([STARTED, FEW_FILES], False), ([FEW_FILES], True)])
def test_only_a_failed_start_can_be_known_to_fail_again(records, started):
    cause = diagnose("exit status 1", records, started=started)

    assert cause.text == f"exit status 1: {FEW_FILES}"
    assert cause.retry_helps
    assert not diagnose("exit status 1", [FEW_FILES]).retry_helps


CAPTURED = {
    "port-taken": ("port_taken", True),
    "locked": ("log_dir_locked", True),
    "cluster-ids-differ": ("foreign_data", False),
    "cluster-id-of-another": ("foreign_data", False),
    "node-id": ("foreign_data", False),
    "not-formatted": ("not_formatted", False),
    "bad-property-value": ("property", False),
    "missing-core-jar": ("jars", False),
    "missing-clients-jar": ("jars", False),
    "heap-too-large": ("memory", False),
    "heap-too-small": ("java_memory", True),
    "bad-vm-option": ("java_options", False),
    "unsupported-java": ("java_version", False),
    "disk-full": ("disk_full", True),
    "disk-full-at-start": ("disk_full", True),
    "too-many-open-files": ("open_files", False),
    "registration-timeout": ("registration", True),
}
"""By the name of its logs, which brokers of Kafka 3.9.2 and 4.3.1 wrote: the kind of the cause."""


@pytest.mark.parametrize("path", sorted(LOGS.glob("*.log")), ids=lambda path: path.stem)
def test_the_logs_of_real_brokers_tell_why_they_ended(path):
    records = re.split(r"\n(?=\[\d{4}-)", path.read_text(encoding="utf-8"))
    code, retry_helps = CAPTURED[path.stem.rpartition("-")[0]]

    cause = diagnose("exit status 1", records)

    assert (cause.code, cause.retry_helps) == (code, retry_helps)
    assert cause.text.startswith("exit status 1: ")
    assert cause.remedy


def test_an_app_that_its_client_library_ends_at_damage_is_told_how_to_pass_it():
    line = "python: rdbuf.c:1115: rd_slice_narrow_copy: Assertion `rd_slice_abs_offset(new_slice) <= a' failed."
    cause = diagnose("signal SIGABRT", ["2026-11-26 19:31:53,706 INFO kraftd_apps: Assigned", line], started=True)

    assert (cause.code, cause.retry_helps, cause.text) == ("damaged_log", True, f"signal SIGABRT: {line}")
    assert "fetch.message.max.bytes" in cause.remedy


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (
            "error: cannot start with these settings:\n  APP_RING='abc': must be a whole number\nhint: set them",
            "error: cannot start with these settings: APP_RING='abc': must be a whole number",
        ),
        ("error: cannot start with these settings:", "error: cannot start with these settings:"),
        ("error: cannot start: no topic\nhint: make it", "error: cannot start: no topic"),
    ],
)
def test_a_line_that_announces_the_next_is_told_with_it(record, told):
    assert diagnose("exit status 2", [record]).text == f"exit status 2: {told}"


def test_what_the_jvm_refused_is_told_rather_than_that_it_refused():
    lines = ["Unrecognized VM option 'UseFoo'", "Error: Could not create the Java Virtual Machine."]

    assert diagnose("exit status 1", lines).text == f"exit status 1: {lines[0]}"
    assert diagnose("exit status 1", lines[1:]).code == "java_options"


FOREIGN = (
    "org.apache.kafka.common.KafkaException: Found directory /srv/data/odd, 'odd' is not in the form topic-partition"
)
FATAL = f"{STAMP} ERROR Encountered fatal fault: Error starting LogManager (o.a.k.ProcessTerminatingFaultHandler)"


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([f"{FATAL}\n{FOREIGN}\n\tat kafka.log.UnifiedLog$.exception$1"], FOREIGN),
        (
            [f"{FATAL}\njava.lang.RuntimeException: x\n\tat a.B\nCaused by: a.C$OddException: why\n\t... 9 more"],
            "Caused by: a.C$OddException: why",
        ),
        ([f"{FATAL}\njava.lang.NullPointerException\n\tat a.B"], "java.lang.NullPointerException"),
        ([f"{FATAL}\nError in a sentence of the next line"], "Error in a sentence of the next line"),
        (["Traceback (most recent call last):", '  File "x.py", line 1', "KeyError: 'port'"], "KeyError: 'port'"),
        (
            [f"{FATAL}\n{FOREIGN}", f"{STAMP} ERROR Shutdown broker because all log dirs in /srv/data have failed"],
            FOREIGN,
        ),
        (
            [f"{STAMP} ERROR Shutdown broker because all log dirs in /srv/data have failed (LogManager)"],
            f"{STAMP} ERROR Shutdown broker because all log dirs in /srv/data have failed (LogManager)",
        ),
    ],
)
def test_the_exception_that_says_why_is_told_and_not_the_line_above_it(records, told):
    assert diagnose("exit status 1", [*records, f"{STAMP} INFO shutting down"]).text == f"exit status 1: {told}"
