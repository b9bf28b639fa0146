"""The command `python -m kraftd_apps.producer`."""

import sys

from kraftd_apps.common.serving import command
from kraftd_apps.producer.service import ProducerService
from kraftd_apps.producer.settings import read_settings

if __name__ == "__main__":
    sys.exit(command(read_settings, ProducerService))
