"""The command `python -m kraftd_apps.producer`."""

import gc
import sys

if __name__ == "__main__":
    # Before the imports: all of them stay, and to look for garbage among them is an eighth of their CPU.
    gc.set_threshold(20_000)

    from kraftd_apps.common.serving import command
    from kraftd_apps.producer.service import ProducerService
    from kraftd_apps.producer.settings import read_settings

    sys.exit(command(read_settings, ProducerService))
