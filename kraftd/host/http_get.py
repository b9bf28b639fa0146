"""One bounded HTTP GET on this machine."""

import http.client
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: The HTTP status; None where no answer came.
        body: The body, or why there is none.
    """

    status: int | None
    body: str


def get(host: str, port: int, path: str, *, timeout_s: float) -> Answer:
    """Return the answer of a server on this machine; no proxy, no redirect, no exception."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        return Answer(response.status, response.read().decode("utf-8", errors="replace"))
    except TimeoutError:
        return Answer(None, f"no answer within {timeout_s:g} s")
    except ConnectionRefusedError:
        return Answer(None, "connection refused")
    except (OSError, http.client.HTTPException) as error:
        return Answer(None, str(error) or type(error).__name__)
    finally:
        connection.close()
