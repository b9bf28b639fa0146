"""The identity of a node's data directory, as Kafka's StorageTool writes it."""

import base64
import secrets


def random_id() -> str:
    """Return a random id in Kafka's form, 16 bytes in URL-safe base64; never with "-" first, as options have it."""
    while True:
        text = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def meta_properties(cluster_id: str, node_id: int) -> str:
    """Return the text of a new ``meta.properties``, with a directory id of its own."""
    fields = {"version": 1, "cluster.id": cluster_id, "node.id": node_id, "directory.id": random_id()}
    return "".join(f"{key}={value}\n" for key, value in fields.items())
