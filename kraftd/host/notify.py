"""The notification socket of a service manager, sd_notify(3): systemd's, or a container engine's.

Nothing is sent where none was given.
"""

import contextlib
import os
import socket
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field

_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_SEND_TIMEOUT_S = 1.0


@dataclass(slots=True)
class ServiceManager:
    """The service manager of this process.

    Attributes:
        address: Where it listens; a leading ``@`` means Linux' abstract namespace. Empty for no service manager.
        watchdog_s: Within how many seconds it wants to hear from this process; None for never.
        on_failure: Told once, in a sentence, why it cannot be reached.
    """

    address: str = ""
    watchdog_s: float | None = None
    on_failure: Callable[[str], None] = lambda _: None
    _is_failed: bool = field(default=False, init=False)

    def notify(self, **variables: str) -> None:
        """Send variables such as ``READY="1"`` in one datagram; a failure is reported once, and is not fatal."""
        if not self.address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                # A manager that does not read must not hold this process up.
                sender.settimeout(_SEND_TIMEOUT_S)
                sender.sendto(notification(variables), _address(self.address))
        except (OSError, ValueError) as error:
            if not self._is_failed:
                self._is_failed = True
                reason = (getattr(error, "strerror", None) or str(error)).lower()
                self.on_failure(f"cannot tell the service manager at NOTIFY_SOCKET={self.address!r}: {reason}")


def service_manager(environ: MutableMapping[str, str]) -> ServiceManager:
    """Return the service manager that the environment names, and take its variables out: they are for no child."""
    address, microseconds, pid = (environ.pop(name, "") for name in _VARIABLES)
    watchdog_s = None
    # The variables of a parent that is watched itself are not meant for this process.
    if pid in ("", str(os.getpid())):
        with contextlib.suppress(ValueError):
            watchdog_s = int(microseconds) / 1e6 or None
    return ServiceManager(address, watchdog_s)


def notification(variables: MutableMapping[str, str]) -> bytes:
    """Return the datagram of some variables, one on a line."""
    lines = (f"{name}={' '.join(value.splitlines())}" for name, value in variables.items())
    return "\n".join(lines).encode("utf-8", errors="backslashreplace")


def _address(text: str) -> str:
    """Return the address for the socket call.

    Raises:
        ValueError: It is of a kind that this process cannot reach, such as a virtual machine's host.
    """
    if text.startswith("@"):
        return f"\0{text[1:]}"
    if not text.startswith("/"):
        raise ValueError("it is not an absolute path, and has no leading @")
    return text
