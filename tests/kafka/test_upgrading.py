"""Another version of Kafka for a cluster that serves, and the downgrade, while records are written."""

import contextlib
import random
import signal
import subprocess
from pathlib import Path

import pytest

from tests.harness import brokers_alone, eventually
from tests.kafka.writers import Writer, read_log

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

TOPIC = "test-topic"
NODES = ("broker-1", "broker-2", "controller-101")


def test_a_killed_upgrade_goes_back_and_another_is_finalized_without_a_loss(fresh):
    fresh.config = fresh.state_dir.parent / "kraftd.toml"
    fresh.config.write_text(brokers_alone(2, TOPIC))
    fresh.start()

    with Writer(fresh.bootstrap_servers, TOPIC) as writer:
        command = fresh.spawn("upgrade", "--to", "4.3", "--yes")
        eventually(lambda: "4.3.1" in versions(fresh).values(), within_s=120)
        command.send_signal(signal.SIGKILL)
        command.communicate(timeout=10)
        halfway = versions(fresh)

        back = fresh.run("upgrade", "--to", "3.9", "--yes", "--json", check=True).document
        assert set(versions(fresh).values()) == {"3.9.2"}
        untouched = {name for name, version in halfway.items() if version == "3.9.2"}
        assert untouched
        assert not untouched & {each["name"] for each in back["restarted"]}
        done = fresh.run("upgrade", "--to", "4.3", "--yes", "--json", check=True).document
        assert {each["name"] for each in done["restarted"]} == set(NODES)
        assert done["can_finalize"] is True
        finalized = fresh.run("upgrade", "--finalize", "--yes", "--json", check=True).document

    assert set(versions(fresh).values()) == {"4.3.1"}
    levels = {each["feature"]: each["after"] for each in finalized["levels"]}
    assert levels["metadata.version"] > 21
    assert "kraft.version" not in levels
    assert fresh.run("upgrade", "--to", "3.9", "--yes", "--json").error["code"] == "finalized"
    assert fresh.run("plan", "--json", check=True).document["kafka_version"] == "4.3.1"
    log = read_log(fresh.bootstrap_servers, TOPIC)
    assert len(writer.acknowledged) > 100
    assert writer.lost(log) == {}


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_two_upgrades_in_a_row_are_killed_at_random_moments_and_lose_nothing(fresh):
    chosen = random.Random(20261126)
    fresh.config = fresh.state_dir.parent / "kraftd.toml"
    stated = brokers_alone(3, TOPIC).replace("[cluster]\n", '[cluster]\nkafka_version = "3.9.1"\n')
    fresh.config.write_text(stated)
    fresh.start()
    with Writer(fresh.bootstrap_servers, TOPIC) as writer:
        for version in ("3.9.2", "3.9.1", "3.9.2", "4.3.1", "3.9.2", "4.3.1"):
            for _ in range(3):
                command = fresh.spawn("upgrade", "--to", version, "--yes")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    command.communicate(timeout=chosen.uniform(0.5, 25.0))
                command.kill()
                command.communicate()
            fresh.run("upgrade", "--to", version, "--yes", check=True)
            assert set(versions(fresh).values()) == {version}
        fresh.config.write_text(stated.replace("3.9.1", "4.3"))
        fresh.run("upgrade", "--finalize", "--yes", check=True)

    assert writer.lost(read_log(fresh.bootstrap_servers, TOPIC)) == {}
    fresh.run("restart", check=True)
    assert set(versions(fresh).values()) == {"4.3.1"}


def versions(cluster):
    """Return the version of the server's jar that each node runs with; nothing for one that is down."""
    found = {}
    for name in (*NODES, "broker-3"):
        try:
            jars = next(each for each in cluster.command(name) if ".jar:" in each).split(":")
        except (LookupError, StopIteration):
            continue
        found[name] = next(Path(jar).stem.rpartition("-")[2] for jar in jars if "/kafka_2" in jar)
    return found
