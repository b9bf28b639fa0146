"""What the daemon has seen, for tests."""

from kraftd.health.report.history import History
from kraftd.serve.metrics.exposition import Exposition


class Seen:
    """A source with one snapshot."""

    def __init__(self, snapshot=None, history=None):
        self.snapshot = snapshot
        self.remembered = history or History()
        self.ending = False
        self.subscribers = []

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

    def subscribe(self, on_change):
        self.subscribers.append(on_change)

    def show(self, snapshot):
        """Have a new snapshot, as the daemon does."""
        self.snapshot = snapshot
        self._notify()

    def end(self):
        """Have open streams end, as the daemon does."""
        self.ending = True
        self._notify()

    def _notify(self):
        for on_change in self.subscribers:
            on_change()
