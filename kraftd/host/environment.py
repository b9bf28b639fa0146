"""The environment that supervised programs inherit: an allow list, so that no stray variable reaches a JVM."""

from collections.abc import Mapping

_KEPT = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER")
_KEPT_PREFIXES = ("LC_", "SSL_CERT_")


def scrubbed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that programs may see.

    KAFKA_*, JMX_*, CLASSPATH, JAVA_TOOL_OPTIONS, JDK_JAVA_OPTIONS, PYTHON* and all else stay behind: each of them
    can change what a node runs or bind a second JMX port.
    """
    return {name: value for name, value in environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}
