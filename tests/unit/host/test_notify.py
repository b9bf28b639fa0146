import os

import pytest

from kraftd.host.notify import ServiceManager, notification, service_manager


def test_a_notification_has_a_variable_on_each_line_and_a_value_stays_on_its_own():
    assert notification({"READY": "1", "STATUS": "ok"}) == b"READY=1\nSTATUS=ok"
    assert notification({"STATUS": "broker-1\nREADY=1\r\nend"}) == b"STATUS=broker-1 READY=1 end"
    assert notification({"STATUS": "a\udcffb"}) == b"STATUS=a\\udcffb"


def test_the_variables_of_a_service_manager_are_taken_out_of_the_environment():
    environ = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid()), "PATH": "/bin"}

    manager = service_manager(environ)

    assert (manager.address, manager.watchdog_s) == ("@x", 30.0)
    assert environ == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("microseconds", "pid"), [("", ""), ("0", ""), ("soon", ""), ("30000000", "1"), ("30000000", "me")]
)
def test_a_watchdog_is_that_of_this_process_and_of_a_time_or_none(microseconds, pid):
    environ = {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": microseconds, "WATCHDOG_PID": pid}

    assert service_manager(environ).watchdog_s is None


@pytest.mark.parametrize("address", ["relative", "vsock:2:1234", "/nonexistent/notify", "/" + "x" * 200, "@\0x"])
def test_a_service_manager_that_cannot_be_reached_is_told_once(address):
    told = []
    manager = ServiceManager(address, on_failure=told.append)

    manager.notify(READY="1")
    manager.notify(STATUS="ok")

    assert len(told) == 1
    assert told[0].startswith("cannot tell the service manager")


def test_without_a_service_manager_nothing_is_said():
    told = []

    ServiceManager(on_failure=told.append).notify(READY="1")

    assert told == []
