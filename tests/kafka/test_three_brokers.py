"""Three brokers, what a cycle of the daemon asks of them, and a fourth that comes later."""

import re
import time
from collections import Counter
from datetime import UTC, datetime

import pytest

from tests.harness import eventually
from tests.kafka.broker.library import ConfigResource, ConfigResourceType, library_client

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

MOST_REQUESTS = 22
ONCE_IN_A_CYCLE = "DESCRIBE_QUORUM"
"""By what cycles are told apart: on a busy machine one may last until the next is due."""
_LOGGED = re.compile(r'^\[(?P<at>[^]]+)\] DEBUG .*"clientId":"kraftd".*"requestApiKeyName":"(?P<api>\w+)"')


def test_three_brokers_form_a_cluster_and_a_fourth_gets_a_canary_too(fresh):
    fresh.settings["cluster.brokers"] = 3
    fresh.start()
    described = fresh.run("kafka", "topics", "--describe", "--topic", "test-topic", check=True).stdout
    assert "ReplicationFactor: 3" in described
    eventually(lambda: fresh.status()["status"] == "ok", what="a cluster that is well")

    eventually(lambda: flown(fresh), within_s=60, what="the canary's topic is there")
    log_requests(fresh, 3)
    began_s = time.time()
    eventually(lambda: flown(fresh, since_s=began_s) == {1, 2, 3}, within_s=90, what="three canaries")
    counted = cycles(fresh, 3)
    # Of the first one they may not have written all.
    assert len(counted) >= 2
    assert all(each.total() <= MOST_REQUESTS for each in counted), counted

    assert fresh.stop("--json").document["unclean"] == []
    fresh.settings["cluster.brokers"] = 4
    began_s = time.time()
    fresh.start()
    eventually(lambda: 4 in flown(fresh, since_s=began_s), within_s=90, what="a canary through the fourth")
    assert placement(fresh) == ["1,2,3", "2,3,1", "3,1,2", "4,1,2"]


def flown(cluster, since_s=0.0):
    """Return the brokers whose last canary came back and was sent after a time."""
    body = cluster.get("kraftd", "/metrics")[1]
    sent_s = dict(re.findall(r'^kraftd_canary_timestamp_seconds\{broker_id="(\d+)"\} (\S+)$', body, re.MULTILINE))
    back = re.findall(r'^kraftd_canary_success\{broker_id="(\d+)"\} 1$', body, re.MULTILINE)
    return {int(broker) for broker in back if float(sent_s[broker]) > since_s}


def log_requests(cluster, brokers):
    """Have the brokers write every request that they answer to their log."""
    loggers = [
        ConfigResource(ConfigResourceType.BROKER_LOGGER, str(node_id), {"kafka.request.logger": "DEBUG"})
        for node_id in range(1, brokers + 1)
    ]
    with library_client(cluster.bootstrap_servers) as client:
        client.alter_configs(loggers, raise_on_unknown=False, incremental=True)


def cycles(cluster, brokers):
    """Return the daemon's requests by cycle, as the brokers counted them, without those that open connections."""
    logged = []
    for node_id in range(1, brokers + 1):
        for line in (cluster.state_dir / "logs" / f"broker-{node_id}" / "server.log").read_text().splitlines():
            request = _LOGGED.match(line)
            if request and request["api"] != "API_VERSIONS" and '"isForwarded":true' not in line:
                at_s = datetime.strptime(request["at"], "%Y-%m-%d %H:%M:%S,%f").replace(tzinfo=UTC).timestamp()
                logged.append((at_s, request["api"]))
    logged.sort()
    found = []
    for _, api in logged:
        if api == ONCE_IN_A_CYCLE:
            found.append(Counter())
        if found:
            found[-1][api] += 1
    return found


def placement(cluster):
    """Return the replicas of the canary's partitions, as Kafka's own tool tells them."""
    described = cluster.run("kafka", "topics", "--describe", "--topic", "__kraftd_probe", check=True).stdout
    return [line.split("Replicas: ")[1].split("\t")[0] for line in described.splitlines() if "Partition:" in line]
