"""What the daemon has seen, for tests."""

from kraftd.health.report.history import History
from kraftd.serve.metrics.exposition import Exposition


class Seen:
    """A source with one snapshot."""

    def __init__(self, snapshot=None, history=None):
        self.snapshot = snapshot
        self.remembered = history or History()
        self.ending = False

    def newest(self):
        return self.snapshot

    def history(self):
        return self.remembered

    def metrics(self, accept):
        exposition = Exposition()
        if self.snapshot is not None:
            exposition.show_programs(self.snapshot)
            exposition.show_kafka(self.snapshot.kafka)
        return exposition.body(accept)

    def is_ending(self):
        return self.ending
