import pytest

from kraftd.host.environment import scrubbed

HARMFUL = [
    *("KAFKA_HEAP_OPTS", "KAFKA_OPTS", "KAFKA_JMX_OPTS", "KAFKA_BOOTSTRAP_SERVERS", "JMX_PORT", "CLASSPATH"),
    *("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "PYTHONPATH", "PYTHONWARNINGS", "LD_PRELOAD"),
    *("LOG_DIR", "EXTRA_ARGS", "KRAFTD_CLUSTER_BROKERS", "APP_PORT"),
]


@pytest.mark.parametrize("name", HARMFUL)
def test_what_can_change_a_node_stays_behind(name):
    assert scrubbed({name: "x"}) == {}


@pytest.mark.parametrize("name", ["HOME", "PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "SSL_CERT_FILE"])
def test_what_a_program_needs_goes_along(name):
    assert scrubbed({name: "x"}) == {name: "x"}
