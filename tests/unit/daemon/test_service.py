import pytest

from kraftd.daemon.loop import Tick
from kraftd.daemon.service import Service
from kraftd.errors import FileAccessError
from tests.plans import plan_of
from tests.unit.health.views import program, snapshot

FIRST, SECOND = snapshot(program("broker-1")), snapshot(program("broker-2"))


class ScriptedLoop:
    """Ticks as scripted, and then stops the service."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.service = None

    def tick(self, *, after_exit=False):
        outcome = self.outcomes.pop(0)
        if not self.outcomes:
            self.service.stop()
        else:
            self.service.request_tick()
        if isinstance(outcome, Exception):
            raise outcome
        return Tick(outcome, ())


def service_of(*outcomes):
    loop = ScriptedLoop(*outcomes)
    loop.service = Service(plan_of(), loop, collector=None, admin=None)
    return loop.service


def test_each_snapshot_is_the_newest_when_it_is_announced():
    service = service_of(FIRST, SECOND)
    announced = []
    service.subscribe(lambda: announced.append(service.newest()))

    service.watch()

    assert announced == [FIRST, SECOND]


def test_a_tick_that_fails_as_files_do_does_not_end_the_watch():
    service = service_of(FileAccessError("cannot read desired.json"), FIRST)

    service.watch()

    assert service.newest() is FIRST


def test_a_defect_ends_the_watch():
    service = service_of(ZeroDivisionError("a defect"), FIRST)

    with pytest.raises(ZeroDivisionError):
        service.watch()


def test_open_streams_are_told_to_end():
    service = service_of(FIRST)
    told = []
    service.subscribe(lambda: told.append(service.is_ending()))

    service.end_streams()

    assert (told, service.newest()) == ([True], None)
