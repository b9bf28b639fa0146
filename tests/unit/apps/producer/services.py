"""A started producer over fake clients."""

import asyncio

from kraftd_apps.producer.service import ProducerService
from kraftd_apps.producer.settings import read_settings
from tests.unit.apps.kafka_fakes import FakeProducer


class Clients:
    """Makes fake clients and remembers them."""

    def __init__(self) -> None:
        self.made: list[FakeProducer] = []
        self.on_error = None

    def __call__(self, on_error):
        self.on_error = on_error
        self.made.append(FakeProducer())
        return self.made[-1]


def running(check, **variables):
    """Run a check against a started app over fake clients, and stop it."""

    async def main():
        clients = Clients()
        service = ProducerService(read_settings(variables), connect=clients)
        await service.start()
        try:
            await check(service, clients)
        finally:
            service.begin_stop()
            for client in clients.made:
                client.release()
            await service.finish_stop()

    asyncio.run(main())
