import pytest

from kraftd.plan.program import Marker, java_marker, python_marker

BROKER = java_marker("/srv/broker-1")
PRODUCER = python_marker("/srv/producer")
CONFIGURATION = "--config=/srv/config/grafana/grafana.ini"
GRAFANA = Marker((CONFIGURATION,), executable="grafana")


@pytest.mark.parametrize(
    ("marker", "command"),
    [
        (BROKER, ("/jdk/bin/java", "-Dkraftd.program=/srv/broker-1", "-Xmx4g", "kafka.Kafka")),
        (PRODUCER, ("/venv/bin/python", "-X", "kraftd=/srv/producer", "-m", "kraftd_apps.producer")),
        (GRAFANA, ("/opt/grafana/bin/grafana", "server", CONFIGURATION, "--homepath=/opt/grafana")),
        (GRAFANA, ("/bin/sh", "/usr/sbin/grafana", "server", CONFIGURATION)),
    ],
)
def test_a_program_is_known_by_its_marker(marker, command):
    assert marker.marks(command)


@pytest.mark.parametrize("marker", [BROKER, PRODUCER, GRAFANA])
@pytest.mark.parametrize(
    "command",
    [
        ("backup", "--dir=/srv/producer"),
        ("backup", "--dir=/srv/broker-1", "--x=/srv/producer"),
        ("rsync", "-a", "/srv/broker-1", "host:/srv/producer"),
        ("tail", "-f", "/srv/logs/broker-1/server.log"),
        ("less", "/srv/config/grafana/grafana.ini"),
        ("vim", "/srv/config/grafana/grafana.ini", CONFIGURATION),
        ("grep", "--", "-Dkraftd.program=/srv/broker-1"),
        ("grep", "kraftd=/srv/producer", "-X"),
        ("java", "-Dkraftd.program=/srv/broker-10"),
        ("java", "-jar", "x.jar", "--dir=/srv/broker-1"),
        ("python", "-X", "kraftd=/srv/consumer"),
        ("python", "-X", "dev", "kraftd=/srv/producer"),
        ("grafana", "server", "--config=/etc/grafana.ini"),
        ("grafana",),
        (),
    ],
)
def test_what_only_names_a_program_or_its_files_is_not_that_program(marker, command):
    assert not marker.marks(command)
