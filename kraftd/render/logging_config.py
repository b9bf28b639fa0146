"""Logging configuration of a node: files rotated by size, each line written once, nothing on stdout.

Kafka 3.9 logs through log4j 1 (reload4j), 4.x through log4j 2; both configurations are equivalent.
"""

from pathlib import Path

from kraftd.plan.plan import WRITER_KEEPS_FILES
from kraftd.units import format_size

_FILES = {
    "server": ("root",),
    "controller": ("kafka.controller", "org.apache.kafka.controller"),
    "state-change": ("state.change.logger",),
}
"""File name without suffix, and the loggers that write to it."""

_PATTERN = "[%d] %p %m (%c)%n"


def logging_file(kafka_version: str) -> str:
    """Return the name of a node's logging configuration."""
    return "log4j.properties" if _is_log4j_1(kafka_version) else "log4j2.properties"


def logging_option(kafka_version: str, config_dir: Path) -> str:
    """Return the JVM option that makes a node use the configuration in a directory."""
    path = config_dir / logging_file(kafka_version)
    if _is_log4j_1(kafka_version):
        return f"-Dlog4j.configuration={path.as_uri() if path.is_absolute() else path}"
    return f"-Dlog4j2.configurationFile={path}"


def log_size(max_bytes: int) -> str:
    """Return the size of a log file as supervisord and both versions of log4j read it: ``10MB``."""
    return f"{format_size(max_bytes).upper()}B"


def logging_config(kafka_version: str, max_bytes: int) -> str:
    """Return the logging configuration of a node, whose files are rotated at a size.

    Its directory comes from the property ``kafka.logs.dir``, and once more from ``kafka.logs.pattern``, with percent
    signs doubled: log4j 2 names the rotated files by a pattern.
    """
    size = log_size(max_bytes)
    return _log4j_1(size) if _is_log4j_1(kafka_version) else _log4j_2(size)


def _is_log4j_1(kafka_version: str) -> bool:
    return kafka_version.startswith("3.")


def _log4j_1(size: str) -> str:
    lines = ["log4j.rootLogger=INFO, server"]
    for name, loggers in _FILES.items():
        appender = f"log4j.appender.{name}"
        lines += [
            f"{appender}=org.apache.log4j.RollingFileAppender",
            f"{appender}.File=${{kafka.logs.dir}}/{name}.log",
            f"{appender}.MaxFileSize={size}",
            f"{appender}.MaxBackupIndex={WRITER_KEEPS_FILES}",
            f"{appender}.layout=org.apache.log4j.PatternLayout",
            f"{appender}.layout.ConversionPattern={_PATTERN}",
        ]
        for logger in loggers:
            if logger != "root":
                lines += [f"log4j.logger.{logger}=INFO, {name}", f"log4j.additivity.{logger}=false"]
    return "\n".join([*lines, ""])


def _log4j_2(size: str) -> str:
    lines = ["status=WARN", "rootLogger.level=INFO", "rootLogger.appenderRef.server.ref=server"]
    for name, loggers in _FILES.items():
        key = name.replace("-", "")
        appender = f"appender.{key}"
        lines += [
            f"{appender}.type=RollingFile",
            f"{appender}.name={name}",
            f"{appender}.fileName=${{sys:kafka.logs.dir}}/{name}.log",
            f"{appender}.filePattern=${{sys:kafka.logs.pattern}}/{name}.log.%i",
            f"{appender}.layout.type=PatternLayout",
            f"{appender}.layout.pattern={_PATTERN}",
            f"{appender}.policies.type=Policies",
            f"{appender}.policies.size.type=SizeBasedTriggeringPolicy",
            f"{appender}.policies.size.size={size}",
            f"{appender}.strategy.type=DefaultRolloverStrategy",
            f"{appender}.strategy.fileIndex=min",
            f"{appender}.strategy.max={WRITER_KEEPS_FILES}",
        ]
        for number, logger in enumerate(loggers):
            if logger != "root":
                entry = f"logger.{key}{number}"
                lines += [
                    f"{entry}.name={logger}",
                    f"{entry}.level=INFO",
                    f"{entry}.additivity=false",
                    f"{entry}.appenderRef.{key}.ref={name}",
                ]
    return "\n".join([*lines, ""])


def tools_logging_config(kafka_version: str) -> str:
    """Return the logging configuration of Kafka's tools: warnings and worse on stderr."""
    if _is_log4j_1(kafka_version):
        lines = [
            "log4j.rootLogger=WARN, stderr",
            "log4j.appender.stderr=org.apache.log4j.ConsoleAppender",
            "log4j.appender.stderr.target=System.err",
            "log4j.appender.stderr.layout=org.apache.log4j.PatternLayout",
            f"log4j.appender.stderr.layout.ConversionPattern={_PATTERN}",
        ]
    else:
        lines = [
            "status=WARN",
            "rootLogger.level=WARN",
            "rootLogger.appenderRef.stderr.ref=stderr",
            "appender.stderr.type=Console",
            "appender.stderr.name=stderr",
            "appender.stderr.target=SYSTEM_ERR",
            "appender.stderr.layout.type=PatternLayout",
            f"appender.stderr.layout.pattern={_PATTERN}",
        ]
    return "\n".join([*lines, ""])
