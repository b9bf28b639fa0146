"""The limit of `POST /send`: the same client with as many records outstanding, and no HTTP.

python -m bench.raw_producer SECONDS, with the apps' variables in the environment; prints records a second.
"""

import os
import sys
import time

from confluent_kafka import Producer

from bench.http_apps import CONNECTIONS, VALUE
from kraftd_apps.producer.settings import client_config, read_settings


def records_per_s(seconds: float) -> float:
    """Return how many records a second are acknowledged while each report sends the next record."""
    settings = read_settings(os.environ)
    client = Producer(client_config(settings))
    value = VALUE.encode()
    done, began_s = 0, time.monotonic()

    def reported(error: object, _message: object) -> None:
        nonlocal done
        if error:
            raise SystemExit(f"a record was not acknowledged: {error}")
        done += 1
        if time.monotonic() - began_s < seconds:
            client.produce(settings.kafka.topic, value, on_delivery=reported)

    for _ in range(CONNECTIONS):
        client.produce(settings.kafka.topic, value, on_delivery=reported)
    while len(client):
        client.poll(0.05)
    return done / (time.monotonic() - began_s)


if __name__ == "__main__":
    print(f"{records_per_s(float(sys.argv[1])):.0f}")
