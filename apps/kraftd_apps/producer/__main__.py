"""`python -m kraftd_apps.producer`: settings in, exit status out."""

import sys
from pathlib import Path

from kraftd_apps.producer.service import ProducerService
from kraftd_apps.producer.settings import read_settings
from kraftd_apps.web.environment import environment
from kraftd_apps.web.serving import command, run


def main() -> int:
    """Serve until a signal; returns the exit status.

    Raises:
        AppError: The settings are wrong or the address is taken.
    """
    settings = read_settings(environment(Path.cwd()))
    return run(lambda: ProducerService(settings), settings.http)


if __name__ == "__main__":
    sys.exit(command(main))
