"""What open pages see, and what they cost the consumer app."""

import asyncio
import contextlib
import json
import re
import statistics
import time
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass

from bench.http_apps import BATCH, VALUE, App, wrk

_LINES = "\n".join([VALUE] * BATCH)


@dataclass
class Page:
    """An open event stream; without its writer the connection would be closed."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def see(self, mark: str) -> None:
        """Read until a text has come."""
        while mark.encode() not in (line := await self.reader.readline()):
            if not line:
                raise SystemExit("the event stream has ended")

    async def drain(self) -> None:
        """Read and forget."""
        while await self.reader.read(65536):
            pass


async def open_page(consumer: App) -> Page:
    """Open an event stream."""
    reader, writer = await asyncio.open_connection("127.0.0.1", consumer.port, limit=2**24)
    writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    page = Page(reader, writer)
    await page.see("retry: 2000")
    return page


@contextlib.asynccontextmanager
async def open_pages(consumer: App, number: int) -> AsyncIterator[Page]:
    """So many open pages; yields one of them, the others read and forget."""
    watched, *others = [await open_page(consumer) for _ in range(number)]
    drains = [asyncio.create_task(page.drain()) for page in others]
    yield watched
    for drain in drains:
        drain.cancel()
    for page in (watched, *others):
        page.writer.close()


async def visible_ms(producer: App, consumer: App, *, number: int) -> float:
    """Return the median time from a POST to its arrival on an open page."""
    times_ms = []
    async with open_pages(consumer, number) as watched:
        for post in range(50):
            mark = f"mark-{number}-{post}"
            began_s = time.perf_counter()
            posting = asyncio.create_task(asyncio.to_thread(_post, producer, "/send", json.dumps(mark)))
            await watched.see(mark)
            times_ms.append((time.perf_counter() - began_s) * 1000)
            await posting
            await asyncio.sleep(0.12)
    return statistics.median(times_ms)


async def processor_share(producer: App, consumer: App, *, number: int) -> float:
    """Return the consumer's use of a processor while two thousand records a second arrive."""
    async with open_pages(consumer, number) as watched:
        tasks = [asyncio.create_task(_steady_flow(producer)), asyncio.create_task(watched.drain())]
        await asyncio.sleep(1)
        used_s, since_s = consumer.cpu_s(), time.monotonic()
        await asyncio.sleep(6)
        share = (consumer.cpu_s() - used_s) / (time.monotonic() - since_s)
        for task in tasks:
            task.cancel()
    return share


async def _steady_flow(producer: App) -> None:
    while True:
        await asyncio.gather(asyncio.to_thread(_post, producer, "/send/batch", _LINES), asyncio.sleep(0.05))


def _post(producer: App, path: str, body: str) -> None:
    urllib.request.urlopen(urllib.request.Request(producer.url + path, body.encode()), timeout=30).close()


async def keep_up(producer: App, consumer: App, seconds: int) -> None:
    """Print how far the consumer is behind while the producer writes as fast as it can and ten pages are open."""
    async with open_pages(consumer, 10) as watched:
        draining = asyncio.create_task(watched.drain())
        load = asyncio.to_thread(wrk, producer, "/send/batch", _LINES, seconds, "application/x-ndjson")
        writing = asyncio.create_task(load)
        lags = []
        while not writing.done():
            await asyncio.sleep(1)
            lags.append(await asyncio.to_thread(_lag, consumer))
        began_s = time.monotonic()
        while await asyncio.to_thread(_lag, consumer) > 0:  # noqa: ASYNC110 - the lag can only be polled
            await asyncio.sleep(0.5)
        draining.cancel()
    print(
        f"{writing.result().requests_per_s * BATCH:.0f} records/s with 10 pages open: at most {max(lags)} behind,"
        f" level {time.monotonic() - began_s:.1f} s after the last"
    )


def _lag(consumer: App) -> int:
    with urllib.request.urlopen(consumer.url + "/metrics", timeout=10) as response:
        text = response.read().decode()
    return sum(int(float(value)) for value in re.findall(r"kafka_consumer_lag_records\{[^}]*\} (\S+)", text))


async def pages(producer: App, consumer: App) -> None:
    """Print what open pages see and cost."""
    # A new group's "latest" is looked up after the assignment; what comes before that is not read.
    await asyncio.sleep(2)
    one_ms, hundred_ms = [await visible_ms(producer, consumer, number=number) for number in (1, 100)]
    print(f"POST to visible: {one_ms:.1f} ms with 1 page, {hundred_ms:.1f} ms with 100  (under 50)")
    one, hundred = [await processor_share(producer, consumer, number=number) for number in (1, 100)]
    print(f"consumer CPU of 100 pages / 1 page  {hundred / one:.2f}  (under 2)")
    await keep_up(producer, consumer, 10)
