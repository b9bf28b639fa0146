"""What the daemon has seen, for tests."""

from kraftd.serve.exposition import Exposition
from kraftd.watch.history import History


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
