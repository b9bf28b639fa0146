"""What a use case is given: this user's environment, time, and someone to tell."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kraftd.clock import Clock, SystemClock
from kraftd.operate.reporting import Reporter, Silent


@dataclass(frozen=True, slots=True)
class Workspace:
    """The surroundings of a command.

    Attributes:
        environ: The environment variables.
        home: The user's home directory.
        cwd: Where the command was called.
        python: The interpreter that the daemon and the apps run under.
    """

    environ: Mapping[str, str]
    home: Path
    cwd: Path
    python: Path
    clock: Clock = field(default_factory=SystemClock)
    reporter: Reporter = field(default_factory=Silent)


def this_workspace(reporter: Reporter | None = None) -> Workspace:
    """Return the surroundings of this process."""
    return Workspace(
        environ=dict(os.environ),
        home=Path.home(),
        cwd=Path.cwd(),
        python=Path(sys.executable),
        reporter=reporter or Silent(),
    )
