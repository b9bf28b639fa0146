"""Draws the dashboards of the documentation from the scene that their test has: ``make pictures``.

Prometheus and promtool must be on the PATH. It takes six minutes.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.harness import cluster_in, eventually
from tests.kafka.scene import ABANDONED, KEPT_FROZEN, LAG_INTERVAL_S, STALLED, Scene, hurry
from tools.dashboard_pictures.__main__ import main as draw

BEFORE_S, AFTER_S = 120, 90
"""How long load flows before a broker freezes, and after it is back."""


def main(arguments: Sequence[str]) -> int:
    """Play the scene and draw it, with further arguments of tools.dashboard_pictures."""
    with tempfile.TemporaryDirectory(prefix="kraftd-") as directory, cluster_in(Path(directory)) as cluster:
        cluster.settings |= {"prometheus.enabled": "true", "daemon.lag_interval_s": LAG_INTERVAL_S} | KEPT_FROZEN
        cluster.start()
        hurry(cluster)
        began_s = time.time()
        with Scene(cluster) as scene:
            eventually(lambda: {STALLED, ABANDONED} <= scene.groups_with_a_status(), within_s=60)
            time.sleep(BEFORE_S)
            scene.freeze_and_kill(scene.active_broker(), until={"BrokerDown", "UnderReplicated"})
            time.sleep(AFTER_S)
            window = ["--minutes", f"{(time.time() - began_s) / 60:.2f}", "--scrape-interval", "3"]
            status = draw(["--prometheus", scene.prometheus.url, *window, *arguments])
        cluster.stop()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
