"""`python -m kraftd_apps.producer`: settings in, exit status out."""

import sys

from kraftd_apps.producer.service import ProducerService
from kraftd_apps.producer.settings import read_settings
from kraftd_apps.web.serving import command

if __name__ == "__main__":
    sys.exit(command(read_settings, ProducerService))
