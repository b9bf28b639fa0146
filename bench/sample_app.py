"""The usual sample of a FastAPI producer, to compare with: a parsed body, one client call per request."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer
from fastapi import FastAPI


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connect for as long as the app serves."""
    app.state.producer = AIOKafkaProducer(bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"])
    await app.state.producer.start()
    yield
    await app.state.producer.stop()


app = FastAPI(lifespan=lifespan)


@app.post("/send")
async def send(message: dict) -> dict:
    """Publish a JSON object."""
    value = json.dumps(message).encode()
    sent = await app.state.producer.send_and_wait(os.environ["KAFKA_TOPIC"], value)
    return {"status": "sent", "partition": sent.partition, "offset": sent.offset}
