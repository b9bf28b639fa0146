"""What a service manager is told of a cluster that runs, and how often."""

from dataclasses import dataclass, field, replace

import pytest

from kraftd.errors import NeedsRunningClusterError
from kraftd.health.programs.state import ServiceState
from kraftd.health.programs.verdict import judge
from kraftd.health.report.health import health_document
from kraftd.operate.start.foreground import Relay, given_up, is_fresh, status_line
from tests.clocks import ManualClock
from tests.plans import plan_of
from tests.unit.health.views import program, snapshot

PLAN = plan_of()


@dataclass
class Heard:
    """A service manager that keeps what it was told."""

    watchdog_s: float | None = None
    said: list[dict[str, str]] = field(default_factory=list)

    def notify(self, **variables):
        self.said.append(variables)


def document(*programs, age_s=0.0):
    look = snapshot(*(programs or (program("broker-1"),)))
    return health_document(PLAN, look, judge(look), 1000.0 + age_s)


def relayed(answers, *, watchdog_s=None, is_changing=False, for_s=4.0):
    """Return what a service manager hears, with the daemon's answers in turn; the last one stays."""
    clock, manager = ManualClock(), Heard(watchdog_s)
    left = list(answers)

    def health(plan, timeout_s):
        answer = left.pop(0) if len(left) > 1 else left[0]
        if answer is None:
            raise NeedsRunningClusterError("cannot ask the daemon")
        return answer

    relay = Relay(manager, health, clock)
    for _ in range(int(for_s / 0.25)):
        relay.ask(PLAN, is_changing=is_changing)
        clock.advance(0.25)
    return manager.said


def test_the_verdict_is_told_when_it_changes():
    well, ill = document(), document(program("broker-1", ServiceState.DOWN, "it ended"))

    said = relayed([well, well, ill, well], for_s=10.0)

    assert said == [{"STATUS": status_line(each)} for each in (well, ill, well)]


def test_a_status_is_one_short_line_whatever_a_reason_holds():
    odd = replace(document(), reasons=("a\x1b[31m\nb", "x" * 1000))

    assert status_line(odd).startswith("ok: a\\x1b[31m\\nb; xxx")
    assert len(status_line(odd)) <= 200
    assert status_line(document()).startswith("ok: Kafka 3.9.2 on 127.0.0.1:9092")


@pytest.mark.parametrize(("watchdog_s", "times"), [(4.0, 2), (2.0, 4), (1.0, 8), (600.0, 2)])
def test_a_watchdog_hears_from_a_daemon_that_observes_in_half_of_its_time(watchdog_s, times):
    said = relayed([document()], watchdog_s=watchdog_s)

    assert said.count({"WATCHDOG": "1"}) == times


@pytest.mark.parametrize("answer", [None, document(age_s=11.0)])
def test_a_watchdog_hears_nothing_of_a_daemon_that_does_not_observe(answer):
    assert {"WATCHDOG": "1"} not in relayed([answer], watchdog_s=2.0)
    assert not is_fresh(answer)


def test_a_watchdog_is_kept_quiet_while_a_command_restarts_the_cluster():
    said = relayed([None], watchdog_s=4.0, is_changing=True)

    assert said == [{"STATUS": "A command restarts the cluster"}, {"WATCHDOG": "1"}, {"WATCHDOG": "1"}]


def test_brokers_are_given_up_when_none_serves_or_is_restarted():
    out = [program(f"broker-{number}", ServiceState.GIVEN_UP, "a bad property") for number in (1, 2)]
    back = program("broker-2", ServiceState.BACKOFF, "a port in use")

    assert given_up(document(*out, program("producer"))) == "broker-1 (a bad property), broker-2 (a bad property)"
    assert given_up(document(out[0], back)) == ""
    assert given_up(document(out[0], program("broker-2"))) == ""
    assert given_up(None) == ""
