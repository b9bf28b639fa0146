"""The routes of the three servers, as these describe them, so that a new one is covered without a change here."""

import json
import re
from dataclasses import dataclass

LIVE = {"kraftd": "/livez", "producer": "/healthz", "consumer": "/healthz"}
UNDESCRIBED = ("/", "/docs", "/openapi.json", "/static/icon.svg", "/nowhere")
PLACEHOLDERS = {"partition": "0", "offset": "0", "broker_id": "1", "alert": "BrokerDown"}
METHODS = {"get", "post", "delete", "put", "patch"}


@dataclass(frozen=True)
class Route:
    """A method and a path, with the statuses that are described; none for what is in no description."""

    method: str
    path: str
    described: frozenset[int] = frozenset()


def routes_of(cluster, server) -> list[Route]:
    """Return what the server describes, and what it serves beside that."""
    paths = json.loads(cluster.get(server, "/openapi.json")[1])["paths"]
    described = [
        Route(
            method.upper(),
            re.sub(r"{(\w+)}", lambda name: PLACEHOLDERS.get(name[1], "x"), path),
            frozenset(int(status) for status in operation["responses"]),
        )
        for path, operations in paths.items()
        for method, operation in operations.items()
        if method in METHODS
    ]
    known = {route.path for route in described}
    return [*described, *(Route("GET", path) for path in UNDESCRIBED if path not in known)]
