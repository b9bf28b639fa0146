"""The command `python -m kraftd_apps.consumer`."""

import sys

from kraftd_apps.common.serving import command
from kraftd_apps.consumer.service import ConsumerService
from kraftd_apps.consumer.settings import read_settings

if __name__ == "__main__":
    sys.exit(command(read_settings, ConsumerService))
