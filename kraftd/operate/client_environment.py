"""The variables that clients of a cluster want."""

import shlex
from collections.abc import Mapping

from kraftd.errors import ConfigurationError
from kraftd.spec.plan import Plan


def client_environment(plan: Plan) -> dict[str, str]:
    """Return the variables, under the names that the apps read too."""
    variables = plan.access.environment
    if plan.topics:
        variables["KAFKA_TOPIC"] = plan.topics[0].name
    return variables


def exports(variables: Mapping[str, str], shell: str) -> list[str]:
    """Return the lines that set variables in a shell.

    Raises:
        ConfigurationError: The shell is not known.
    """
    if shell in ("bash", "sh", "zsh"):
        return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    if shell == "fish":
        return [f"set -gx {name} {shlex.quote(value)}" for name, value in variables.items()]
    raise ConfigurationError(f"cannot write for the shell {shell!r}", hint="There are: bash, zsh, sh, fish.")
