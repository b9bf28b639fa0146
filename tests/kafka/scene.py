"""A cluster with something to see: load, groups that are behind, an open transaction, a broker that is frozen."""

import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from tests.harness import Cluster, eventually
from tests.kafka.writers import Writer
from tools.dashboard_pictures.evaluation import PrometheusApi

RULES = Path(__file__).resolve().parents[2] / "monitoring" / "rules"
FASTER_BY = 10
"""By what the durations of the rules are divided: minutes become seconds."""

_INTERVALS = {"15s": "3s", "5s": "1s"}
"""How often Prometheus asks: agents, and all else."""
_SECONDS = {"s": 1, "m": 60, "h": 3600}
LAG_INTERVAL_S = 2
"""The setting of the daemon with which five looks at lag take ten seconds."""
KEPT_FROZEN = {"watchdog.enabled": "false"}
"""With it a node stays frozen until the alerts about that fire."""
STALLED, ABANDONED = "billing", "reports"
"""Groups: with a member that never commits, and without a member."""


def faster(rules: str) -> str:
    """Return the text of rules with shorter durations: how long they wait, and how far they look back."""

    def shorter(match: re.Match[str]) -> str:
        return f"{match[1]}{int(match[2]) * _SECONDS[match[3]] * 1000 / FASTER_BY:.0f}ms"

    return re.sub(r"(for: |\[|offset )(\d+)([smh])\b", shorter, rules)


def hurry(cluster: Cluster) -> None:
    """Let the cluster's Prometheus ask more often, by rules that wait less."""
    configuration = cluster.state_dir / "config" / "prometheus" / "prometheus.yml"
    text = configuration.read_text(encoding="utf-8")
    text = re.sub(r"(interval: )(15s|5s)", lambda match: match[1] + _INTERVALS[match[2]], text)
    for path in RULES.glob("*.yml"):
        (configuration.parent / path.name).write_text(faster(path.read_text(encoding="utf-8")), encoding="utf-8")
        text = text.replace(str(path), str(configuration.parent / path.name))
    configuration.write_text(text, encoding="utf-8")
    subprocess.run(["promtool", "check", "config", configuration], check=True, capture_output=True, timeout=30)
    os.kill(cluster.program("prometheus")["pid"], signal.SIGHUP)


def rules_of(text: str) -> list[dict[str, Any]]:
    """Return the rules of a file."""
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def is_committed(consumer: Consumer, offsets: list[TopicPartition]) -> bool:
    """Commit as nobody's member: refused as long as the coordinator has not seen the last member leave."""
    try:
        consumer.commit(offsets=offsets, asynchronous=False)
    except KafkaException:
        return False
    return True


class Scene:
    """What happens on a running cluster; a context manager, after which nobody is behind and no transaction is open."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._closing = ExitStack()
        self._ending = threading.Event()
        self.prometheus = PrometheusApi(f"http://127.0.0.1:{9090 + cluster.offset}")

    def __enter__(self) -> "Scene":
        self._closing.enter_context(Writer(self._cluster.bootstrap_servers, self._cluster.topic, per_second=40))
        self._in_background(self._post)
        # Of the answers other than 2xx.
        self._cluster.get("producer", "/no-such-page")
        self._commit_a_start(ABANDONED)
        self._in_background(self._read_without_commits)
        self._begin_a_transaction()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.calm()

    def calm(self) -> None:
        """End the load, the transaction and the members, and let both groups have read everything."""
        if self._ending.is_set():
            return
        self._ending.set()
        self._closing.close()
        for group in (STALLED, ABANDONED):
            consumer = self._consumer(group)
            offsets = [
                TopicPartition(self._cluster.topic, number, consumer.get_watermark_offsets(place, timeout=10)[1])
                for number, place in enumerate(self._partitions(consumer))
            ]
            eventually(partial(is_committed, consumer, offsets), what=f"{group} is taken for empty")
            consumer.close()

    def active_broker(self) -> str:
        """Return the broker that is the active controller, or the first one where the tie-breaker is."""
        (row,) = self.prometheus.at("kraftd_quorum_leader_id", time.time())
        return "broker-2" if row["value"][1] == "2" else "broker-1"

    def freeze_and_kill(self, node: str, *, until: set[str]) -> None:
        """Stop a broker's process until alerts fire and a collector has failed, then kill it until it is back."""
        frozen = self._cluster.kill(node, signal.SIGSTOP)
        try:
            eventually(lambda: self.firing() >= until, within_s=90, what=f"{until} fire")
            eventually(self.has_failed_collector, within_s=60, what="a collector fails")
        finally:
            os.kill(frozen, signal.SIGKILL)
        eventually(lambda: self._cluster.program(node)["ready"], within_s=60, what=f"{node} is back")

    def groups_with_a_status(self) -> set[str]:
        """Return the consumer groups of which the lag status is known."""
        rows = self.prometheus.at("kraftd_consumergroup_status", time.time())
        return {row["metric"]["consumergroup"] for row in rows}

    def has_a_backup(self) -> bool:
        """Return whether a scheduled backup was made."""
        return bool(self.prometheus.at("kraftd_backup_last_success == 1", time.time()))

    def has_failed_collector(self) -> bool:
        """Return whether the daemon counts a question to Kafka that failed."""
        return bool(self.prometheus.at("kraftd_collector_errors_total", time.time()))

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire now."""
        rows = self.prometheus.at('ALERTS{alertstate="firing"}', time.time())
        return {row["metric"]["alertname"] for row in rows}

    def _in_background(self, work: Any) -> None:
        thread = threading.Thread(target=work, name=work.__name__)
        thread.start()
        self._closing.callback(thread.join)

    def _post(self) -> None:
        number = 0
        while not self._ending.wait(0.05):
            number += 1
            # A refusal is part of the scene.
            with suppress(urllib.error.URLError, TimeoutError, json.JSONDecodeError):
                self._cluster.send({"number": number})

    def _consumer(self, group: str) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self._cluster.bootstrap_servers,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "log_level": 0,
            }
        )

    def _partitions(self, consumer: Consumer) -> list[TopicPartition]:
        numbers = consumer.list_topics(self._cluster.topic, timeout=10).topics[self._cluster.topic].partitions
        return [TopicPartition(self._cluster.topic, number, 0) for number in sorted(numbers)]

    def _commit_a_start(self, group: str) -> None:
        consumer = self._consumer(group)
        consumer.commit(offsets=self._partitions(consumer), asynchronous=False)
        consumer.close()

    def _read_without_commits(self) -> None:
        self._commit_a_start(STALLED)
        consumer = self._consumer(STALLED)
        consumer.subscribe([self._cluster.topic])
        while not self._ending.is_set():
            consumer.poll(0.2)
        consumer.close()

    def _begin_a_transaction(self) -> None:
        producer = Producer(
            {
                "bootstrap.servers": self._cluster.bootstrap_servers,
                "transactional.id": "never-ends",
                "transaction.timeout.ms": 600000,
                "log_level": 0,
            }
        )
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce(self._cluster.topic, b"held", partition=0)
        producer.flush(30)
        self._closing.callback(producer.abort_transaction, 30)
