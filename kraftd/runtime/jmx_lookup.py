"""Look-up of a JMX server in its RMI registry, in place of Java's JNDI.

The Java that comes with kraftd has no JNDI provider for RMI (module jdk.naming.rmi), so that its JMX clients cannot use
``service:jmx:rmi:///jndi/rmi://host:port/jmxrmi``. They accept the server's stub instead, which this module looks up.
"""

import base64
import re
import socket
import struct

from kraftd.errors import KraftdError

_TIMEOUT_S = 10.0
_JNDI_URL = re.compile(r"service:jmx:rmi:(?://[^/]*)?/jndi/rmi://(?P<host>[^:/]+):(?P<port>\d+)/(?P<name>[\w.]+)")

_HANDSHAKE = struct.pack(">4sHB", b"JRMI", 2, 0x4C)
_CALL, _RETURN, _NORMAL_RETURN = 0x50, 0x51, 0x01
_STREAM_HEADER = b"\xac\xed\x00\x05"
_BLOCK_DATA, _STRING = 0x77, 0x74
_REGISTRY_ID = struct.pack(">qiqh", 0, 0, 0, 0)
_LOOKUP = struct.pack(">iq", 2, 4905912898345647071)
"""The operation and the interface hash of java.rmi.registry.Registry in the Java Remote Method Protocol."""

_UID_BYTES = 14


class JmxLookupError(KraftdError):
    """The registry does not answer, or does not have the name."""

    code = "jmx_lookup_failed"


def registry_address(url: str) -> str | None:
    """Return the ``host:port`` of the registry in a JMX service URL; None if it has none."""
    match = _JNDI_URL.fullmatch(url)
    return f"{match['host']}:{match['port']}" if match else None


def direct_url(url: str) -> str:
    """Return an equivalent JMX service URL that needs no JNDI.

    Raises:
        JmxLookupError: The registry does not answer, or does not have the name.
    """
    match = _JNDI_URL.fullmatch(url)
    if match is None:
        return url
    stub = _lookup(match["host"], int(match["port"]), match["name"])
    return f"service:jmx:rmi:///stub/{base64.b64encode(stub).decode()}"


def _lookup(host: str, port: int, name: str) -> bytes:
    """Return the serialized stub that a registry holds under a name."""
    encoded = name.encode()
    call = bytes([_CALL]) + _STREAM_HEADER + _block(_REGISTRY_ID + _LOOKUP)
    call += struct.pack(">BH", _STRING, len(encoded)) + encoded
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_S) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.sendall(_HANDSHAKE + call)
            answer = bytearray()
            while chunk := connection.recv(65536):
                answer += chunk
    except OSError as error:
        raise JmxLookupError(
            f"cannot look up {name} at {host}:{port}: {error}", hint="'kraftd status' shows which brokers run."
        ) from error
    return _stub_in(bytes(answer), f"{name} at {host}:{port}")


def _stub_in(answer: bytes, what: str) -> bytes:
    head = bytes([_RETURN]) + _STREAM_HEADER + bytes([_BLOCK_DATA, 1 + _UID_BYTES, _NORMAL_RETURN])
    if not answer.startswith(head):
        raise JmxLookupError(f"cannot look up {what}: the answer is not from an RMI registry", hint="Check the port.")
    # The block holds no object, so dropping it does not change the object's back references.
    return _STREAM_HEADER + answer[len(head) + _UID_BYTES :]


def _block(data: bytes) -> bytes:
    return bytes([_BLOCK_DATA, len(data)]) + data
