"""JMX of a running JVM: a remote agent on loopback, started through the attach mechanism.

Flags would do it at boot, but then the JVM also opens its local agent's port on every address of this machine
(measured: Java 25), and boots slower without an archive.
"""

from kraftd.clock import Clock
from kraftd.host.attach import AttachError, diagnostic_command
from kraftd.host.processes import Process
from kraftd.spec.program import Listener

_ALREADY = "already started"


def ensure_management(process: Process, listener: Listener, clock: Clock) -> None:
    """Make a JVM answer JMX clients on a port; nothing changes where it does.

    Args:
        process: A JVM that serves already.
        listener: Where its registry and its server shall listen.
        clock: Time.

    Raises:
        AttachError: The JVM refuses, or does not answer.
    """
    options = {
        "jmxremote.host": listener.host,
        "jmxremote.port": listener.port,
        "jmxremote.rmi.port": listener.port,
        "jmxremote.authenticate": "false",
        "jmxremote.ssl": "false",
    }
    command = " ".join(["ManagementAgent.start", *(f"{key}={value}" for key, value in options.items())])
    try:
        diagnostic_command(process, command, clock)
    except AttachError as error:
        if _ALREADY not in str(error):
            raise
