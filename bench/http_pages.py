"""What open pages see, and what they cost the consumer app."""

import asyncio
import json
import re
import statistics
import time
import urllib.request
from dataclasses import dataclass

from bench.http_apps import BATCH, VALUE, App, wrk


async def visible_ms(producer: App, consumer: App, *, pages: int, posts: int) -> tuple[float, float]:
    """Return the median from a POST to its arrival on an open page, and the consumer's use of a processor meanwhile.

    Two thousand other records a second arrive at the same time.
    """
    watched, *others = [await open_page(consumer) for _ in range(pages)]
    drains = [asyncio.create_task(page.drain()) for page in others]
    flow = asyncio.create_task(_steady_flow(producer))
    cpu_s, since_s, times_ms = consumer.cpu_s(), time.monotonic(), []
    for number in range(posts):
        mark = f"mark-{pages}-{number}"
        begun_s = time.perf_counter()
        post = asyncio.create_task(asyncio.to_thread(_post, producer, json.dumps(mark).encode()))
        await watched.see(mark)
        times_ms.append((time.perf_counter() - begun_s) * 1000)
        await post
        await asyncio.sleep(0.12)
    share = (consumer.cpu_s() - cpu_s) / (time.monotonic() - since_s)
    for task in (flow, *drains):
        task.cancel()
    for page in (watched, *others):
        page.writer.close()
    return statistics.median(times_ms), share


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


async def _steady_flow(producer: App) -> None:
    lines = "\n".join([VALUE] * BATCH).encode()
    while True:
        await asyncio.gather(asyncio.to_thread(_post, producer, lines, "/send/batch"), asyncio.sleep(0.05))


def _post(producer: App, body: bytes, path: str = "/send") -> None:
    urllib.request.urlopen(urllib.request.Request(producer.url + path, body), timeout=30).close()


async def keep_up(producer: App, consumer: App, seconds: int) -> None:
    """Print how far the consumer is behind while the producer writes as fast as it can and ten pages are open."""
    drains = [asyncio.create_task((await open_page(consumer)).drain()) for _ in range(10)]
    lines = "\n".join([VALUE] * BATCH)
    writing = asyncio.create_task(
        asyncio.to_thread(wrk, producer, "/send/batch", lines, seconds, "application/x-ndjson")
    )
    lags = []
    while not writing.done():
        await asyncio.sleep(1)
        lags.append(await asyncio.to_thread(_lag, consumer))
    load = writing.result()
    begun_s = time.monotonic()
    while await asyncio.to_thread(_lag, consumer) > 0 and time.monotonic() - begun_s < 60:  # noqa: ASYNC110 - polled
        await asyncio.sleep(0.5)
    print(
        f"{load.requests_per_s * BATCH:.0f} records/s with 10 pages open: at most {max(lags)} records behind,"
        f" level {time.monotonic() - begun_s:.1f} s after the last"
    )
    for drain in drains:
        drain.cancel()


def _lag(consumer: App) -> int:
    with urllib.request.urlopen(consumer.url + "/metrics", timeout=10) as response:
        text = response.read().decode()
    return sum(int(float(value)) for value in re.findall(r"kafka_consumer_lag_records\{[^}]*\} (\S+)", text))


async def pages(producer: App, consumer: App) -> None:
    """Print what open pages see and cost."""
    # A new group's "latest" is looked up after the assignment; what comes before that is not read.
    await asyncio.sleep(2)
    one_ms, one_share = await visible_ms(producer, consumer, pages=1, posts=50)
    hundred_ms, hundred_share = await visible_ms(producer, consumer, pages=100, posts=50)
    print(f"POST to visible: {one_ms:.1f} ms with 1 page, {hundred_ms:.1f} ms with 100  (under 50)")
    print(f"consumer CPU of 100 pages / 1 page  {hundred_share / one_share:.2f}  (under 2)")
    await keep_up(producer, consumer, 10)
