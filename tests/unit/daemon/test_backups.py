import errno
import json
import signal
from datetime import UTC

import pytest

from kraftd.daemon.backups import BackupDoors, BackupScheduler
from kraftd.health.programs.backups import BackupHistory, BackupOutcome, parse_history
from kraftd.host.files import write_atomically
from kraftd.host.processes import Process
from tests.clocks import ManualClock
from tests.plans import plan_of

BACKUP = '[backup]\nschedule = "every 1h"\ntarget = "/backups"\nkeep = 3\ntopics = ["a"]\n'
MADE = json.dumps({"ok": True, "backup": {"id": "b1", "size_bytes": 4096, "records": 7}})
REFUSED = json.dumps({"ok": False, "error": {"code": "refused", "message": "cannot write: no room"}})


class FakeChild:
    def __init__(self, pid):
        self.process = Process(pid, 1.0, 0.0)
        self.ended = None
        self.said = ""

    def exit_status(self):
        return self.ended

    def output(self):
        return self.said


class Machine:
    """A daemon's surroundings: commands that end as a test says."""

    def __init__(self, tmp_path):
        self.clock = ManualClock()
        self.plan = plan_of(BACKUP, state_dir=tmp_path / "s")
        self.commands, self.children, self.events, self.signals = [], [], [], []
        self.settled = self.serves = True
        self.heeds_interrupt = True
        self.has_memory = True
        self.alive = set()
        self.scheduler = self.daemon()

    def daemon(self):
        doors = BackupDoors(self.begin, self.signal, lambda process: process.pid in self.alive, self.event)
        return BackupScheduler(self.plan, self.plan.daemon.backups, doors, self.clock, UTC)

    def begin(self, words):
        self.commands.append(words)
        if not self.has_memory:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        self.children.append(FakeChild(100 + len(self.children)))
        self.alive.add(self.children[-1].process.pid)
        return self.children[-1]

    def signal(self, process, number):
        self.signals.append((process.pid, number))
        if number == signal.SIGKILL or self.heeds_interrupt:
            self.alive.discard(process.pid)
        return True

    def event(self, kind, text):
        self.events.append((kind, text))

    def look(self, after_s=0.0):
        self.clock.advance(after_s)
        return self.scheduler.look(lambda: self.settled, lambda: self.serves)

    def ends(self, status, said):
        child = self.children[-1]
        child.ended, child.said = status, said
        self.alive.discard(child.process.pid)
        self.look()

    @property
    def recorded(self):
        return parse_history(self.plan.layout.backups.read_text())


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_a_backup_is_made_when_it_is_due_and_the_oldest_are_removed_after_it(machine):
    assert 0 < machine.look(3599) <= 1
    machine.look(1)
    machine.look()
    machine.clock.advance(20)

    assert [words[:4] for words in machine.commands] == [("backup", "create", "/backups", "--scheduled")]
    assert machine.scheduler.view().running
    machine.ends(0, MADE)
    assert machine.commands[1][:5] == ("backup", "prune", "/backups", "--scheduled", "--keep")
    assert (machine.recorded.backup, machine.recorded.outcome, machine.recorded.took_s) == ("b1", "succeeded", 20)
    machine.ends(0, '{"ok": true}')
    assert [kind for kind, _ in machine.events] == ["backup_scheduled"]
    assert machine.look(3500) > 0
    machine.look(100)
    assert len(machine.commands) == 3


@pytest.mark.parametrize(
    ("status", "said", "error"),
    [(1, REFUSED, "cannot write: no room"), (-9, "", "signal SIGKILL ended it"), (0, "[]", "exit status 0")],
)
def test_a_backup_that_fails_is_on_record_with_its_reason_and_tried_again(machine, status, said, error):
    machine.look(3600)

    machine.ends(status, said)

    assert (machine.recorded.outcome, error in machine.recorded.error) == (BackupOutcome.FAILED, True)
    assert [kind for kind, _ in machine.events] == ["backup_failed"]
    machine.look(901)
    assert len(machine.commands) == 2


def test_a_backup_whose_command_cannot_be_started_is_an_attempt_that_failed(machine):
    machine.look(3600)
    machine.ends(0, MADE)
    machine.ends(0, '{"ok": true}')
    machine.has_memory = False

    machine.look(3600)
    pause_s = machine.look()

    assert (len(machine.commands), pause_s) == (3, 30.0)
    assert (machine.recorded.outcome, machine.recorded.pid) == (BackupOutcome.FAILED, None)
    assert machine.events[-1][0] == "backup_failed"
    machine.has_memory = True
    machine.look(901)
    assert len(machine.children) == 3


def test_a_backup_after_which_none_can_be_removed_is_one_and_not_made_again(machine):
    machine.look(3600)
    machine.ends(0, MADE)

    machine.ends(1, REFUSED)

    reason = "older backups in /backups could not be removed: cannot write: no room"
    assert (machine.recorded.backup, machine.recorded.outcome) == ("b1", "succeeded")
    assert machine.scheduler.view().error == reason
    assert machine.events[1:] == [("backups_not_removed", reason)]
    machine.look(3590)
    assert len(machine.commands) == 2
    machine.look(10)
    machine.ends(0, MADE)
    assert machine.recorded.error == ""


def test_a_backup_waits_for_a_cluster_that_starts_not_for_one_that_stays_degraded(machine):
    machine.settled = machine.serves = False
    machine.look(3600)
    machine.look(60)
    assert machine.commands == []

    machine.serves = True
    machine.look()

    assert len(machine.commands) == 1


@pytest.mark.parametrize("heeds", [True, False])
def test_the_end_of_the_daemon_ends_a_backup_which_the_next_daemon_makes_again(machine, heeds):
    machine.heeds_interrupt = heeds
    machine.look(3600)
    machine.look(1)
    machine.scheduler.end()

    machine.scheduler.run(lambda: True, lambda: True)

    numbers = [number for _, number in machine.signals]
    assert numbers == ([signal.SIGINT] if heeds else [signal.SIGINT, signal.SIGKILL])
    assert machine.recorded.outcome is BackupOutcome.INTERRUPTED
    machine.scheduler = machine.daemon()
    machine.look()
    assert len(machine.commands) == 2


def test_a_command_that_still_loads_is_ended_without_a_traceback(machine):
    machine.look(3600)
    machine.look(0.9)
    machine.scheduler.end()

    machine.scheduler.run(lambda: True, lambda: True)

    assert [number for _, number in machine.signals] == [signal.SIGTERM]
    assert machine.recorded.outcome is BackupOutcome.INTERRUPTED


def test_a_daemon_ends_the_backup_of_one_that_was_killed(machine):
    begun = BackupHistory(machine.clock.now_s()).begun(machine.clock.now_s(), 77, 1.0)
    write_atomically(machine.plan.layout.backups, begun.to_json())
    machine.alive.add(77)
    machine.clock.advance(5)
    scheduler = machine.daemon()
    scheduler.end()

    scheduler.run(lambda: True, lambda: True)

    assert machine.signals == [(77, signal.SIGINT)]
    assert machine.recorded.outcome is BackupOutcome.INTERRUPTED
