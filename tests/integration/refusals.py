"""What every refused command has in common: a sentence, an exit code, and no trace."""

import json
from pathlib import Path

from tests.harness import Cluster, Done

OFFLINE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
"""Port 9 discards, and nobody listens there: no connection leaves this machine."""


def files_below(directory: Path) -> dict[str, bytes | None]:
    """Return every path below a directory with its content; None for a directory."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None for path in directory.rglob("*")
    }


def refused(cluster: Cluster, *arguments: str, status: int, code: str) -> dict:
    """Run a command that must be refused, and return the error of its document."""
    before = files_below(cluster.state_dir.parent)

    done = cluster.run("--json", *arguments, timeout_s=60)

    assert done.status == status, done
    error = error_of(done)
    assert error["code"] == code
    # A lock file in a state directory that was there before says nothing and harms nothing.
    after = {path: content for path, content in files_below(cluster.state_dir.parent).items() if path != "s/lock"}
    assert after == {path: content for path, content in before.items() if path != "s/lock"}
    assert cluster.processes() == []
    return error


def error_of(done: Done) -> dict:
    """Return the error of a document, after checking what holds for every error."""
    document = json.loads(done.stdout)
    assert document["ok"] is False
    assert set(document["error"]) == {"code", "message", "hint", "details"}
    assert document["error"]["message"].startswith("cannot ")
    assert not document["error"]["message"].endswith(".")
    assert document["error"]["hint"]
    assert "Traceback" not in done.stderr
    return document["error"]
