"""What the daemon has seen, for tests."""

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

    def is_ending(self):
        return self.ending
