import re
from pathlib import Path

import pytest

from kraftd.render.logging_config import logging_config, logging_file, logging_option

VERSIONS = ("3.9.2", "4.3.1")
FILES = {"server", "controller", "state-change"}


def read(kafka_version):
    lines = logging_config(kafka_version, 10 * 1024**2).splitlines()
    pairs = [line.split("=", 1) for line in lines if line]
    assert len(dict(pairs)) == len(pairs), "a key stands twice"
    return dict(pairs)


@pytest.mark.parametrize(("version", "name"), [("3.9.1", "log4j.properties"), ("4.3.1", "log4j2.properties")])
def test_each_version_has_the_file_of_its_logging_library(version, name):
    assert logging_file(version) == name


def test_a_path_with_odd_characters_is_told_as_a_uri_to_log4j_1():
    option = logging_option("3.9.2", Path("/srv/a b%/ü"))

    assert option == "-Dlog4j.configuration=file:///srv/a%20b%25/%C3%BC/log4j.properties"


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_is_written_to_stdout(version):
    assert "console" not in logging_config(version, 10 * 1024**2).lower()


def test_log4j_1_rotates_every_file_by_size():
    text = read("3.9.2")
    appenders = {match[1] for key in text if (match := re.fullmatch(r"log4j\.appender\.([^.]+)", key))}

    assert appenders == FILES
    for name in appenders:
        prefix = f"log4j.appender.{name}"
        assert text[prefix] == "org.apache.log4j.RollingFileAppender"
        assert text[f"{prefix}.File"] == f"${{kafka.logs.dir}}/{name}.log"
        assert (text[f"{prefix}.MaxFileSize"], text[f"{prefix}.MaxBackupIndex"]) == ("10MB", "5")


def test_log4j_1_writes_each_line_once():
    text = read("3.9.2")
    loggers = {
        key.removeprefix("log4j.logger."): value for key, value in text.items() if key.startswith("log4j.logger.")
    }

    assert text["log4j.rootLogger"] == "INFO, server"
    assert loggers == {
        "kafka.controller": "INFO, controller",
        "org.apache.kafka.controller": "INFO, controller",
        "state.change.logger": "INFO, state-change",
    }
    assert all(text[f"log4j.additivity.{logger}"] == "false" for logger in loggers)


def test_log4j_2_rotates_every_file_by_size():
    text = read("4.3.1")
    keys = {match[1] for key in text if (match := re.fullmatch(r"appender\.([^.]+)\.type", key))}

    assert {text[f"appender.{key}.name"] for key in keys} == FILES
    for key in keys:
        prefix = f"appender.{key}"
        name = text[f"{prefix}.name"]
        assert text[f"{prefix}.type"] == "RollingFile"
        assert text[f"{prefix}.fileName"] == f"${{sys:kafka.logs.dir}}/{name}.log"
        assert text[f"{prefix}.filePattern"] == f"${{sys:kafka.logs.pattern}}/{name}.log.%i"
        assert (text[f"{prefix}.policies.size.size"], text[f"{prefix}.strategy.max"]) == ("10MB", "5")


def test_log4j_2_writes_each_line_once():
    text = read("4.3.1")
    loggers = {match[1] for key in text if (match := re.fullmatch(r"logger\.([^.]+)\.name", key))}

    assert text["rootLogger.appenderRef.server.ref"] == "server"
    assert {text[f"logger.{key}.name"] for key in loggers} == {
        "kafka.controller",
        "org.apache.kafka.controller",
        "state.change.logger",
    }
    assert all(text[f"logger.{key}.additivity"] == "false" for key in loggers)


def test_both_texts_send_the_same_loggers_to_the_same_files():
    one, two = read("3.9.2"), read("4.3.1")
    by_log4j_1 = {
        key.removeprefix("log4j.logger."): value.split(", ")[1]
        for key, value in one.items()
        if key.startswith("log4j.logger.")
    }
    by_log4j_2 = {
        two[f"{match[1]}.name"]: value
        for key, value in two.items()
        if (match := re.fullmatch(r"(logger\.[^.]+)\.appenderRef\.[^.]+\.ref", key))
    }

    assert by_log4j_1 == by_log4j_2
