"""JMX of a running JVM: a remote agent on loopback with a password, started through the attach mechanism.

Flags would do it at boot, but then the JVM also opens its local agent's port on every address of this machine
(measured: Java 25), and boots slower without an archive. Without a password every user of this machine could run
code as the owner of the JVM: it has operations that load agents.
"""

import os
from pathlib import Path

from kraftd.clock import Clock
from kraftd.host.attach import AttachError, diagnostic_command
from kraftd.host.files import read_text, write_changed
from kraftd.host.processes import Process
from kraftd.render.server_properties import escaped
from kraftd.spec.program import Listener

JMX_USER = "kraftd"

_ALREADY = "already started"
_PROPERTIES = "management.properties"
_ACCESS = "jmxremote.access"
_PASSWORD = "jmxremote.password"  # noqa: S105 a file's name
_PASSWORD_BYTES = 16


def write_management_files(directory: Path) -> None:
    """Write what the JMX agents of a cluster read, for its owner's eyes only; a password that is there stays.

    Only one process may do so at a time.

    Raises:
        PermissionDeniedError: The operating system refuses.
    """
    password = jmx_password(directory) or os.urandom(_PASSWORD_BYTES).hex()
    options = {
        "ssl": "false",
        "authenticate": "true",
        "password.file": str(directory / _PASSWORD),
        # The agent would replace the password by its hash, and no client could read it any more.
        "password.toHashes": "false",
        "access.file": str(directory / _ACCESS),
    }
    lines = [f"com.sun.management.jmxremote.{key}={escaped(value)}" for key, value in options.items()]
    write_changed(
        {
            directory / _PROPERTIES: "\n".join([*lines, ""]),
            directory / _ACCESS: f"{JMX_USER} readwrite\n",
            directory / _PASSWORD: f"{JMX_USER} {password}\n",
        }
    )


def jmx_password(directory: Path) -> str | None:
    """Return the password of the JMX agents whose files are in a directory; None where there are none."""
    words = (read_text(directory / _PASSWORD) or "").split()
    return words[1] if len(words) == 2 else None


def ensure_management(process: Process, listener: Listener, directory: Path, clock: Clock) -> None:
    """Make a JVM answer JMX clients on a port; nothing changes where it does.

    Args:
        process: A JVM that serves already.
        listener: Where its registry and its server shall listen.
        directory: Where write_management_files wrote.
        clock: Time.

    Raises:
        AttachError: The JVM refuses, or does not answer.
    """
    command = (
        f'ManagementAgent.start config.file="{directory / _PROPERTIES}" jmxremote.host={listener.host} '
        f"jmxremote.port={listener.port} jmxremote.rmi.port={listener.port}"
    )
    try:
        diagnostic_command(process, command, clock)
    except AttachError as error:
        if _ALREADY not in str(error):
            raise
