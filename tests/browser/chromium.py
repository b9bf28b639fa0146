"""A real Chromium without a window, driven over WebDriver with nothing but the standard library."""

import base64
import http.client
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]


class Chromium:
    """One browser with a fresh profile and one tab."""

    def __init__(self, profile: Path, port: int) -> None:
        self._profile = profile
        self._port = port
        self._session = ""
        self._driver: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._driver = subprocess.Popen(
            ["chromedriver", f"--port={self._port}", "--allowed-ips=127.0.0.1"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        options = {"args": [*FLAGS, f"--user-data-dir={self._profile}"], "binary": shutil.which("chromium")}
        wanted = {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}
        deadline_s = time.monotonic() + 20
        while True:
            try:
                self._session = self._call("POST", "/session", {"capabilities": wanted})["sessionId"]
            except ConnectionRefusedError:
                assert time.monotonic() < deadline_s, "chromedriver does not listen"
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        if self._session:
            self._call("DELETE", f"/session/{self._session}", None)
        if self._driver:
            self._driver.terminate()
            self._driver.wait(10)

    def open(self, url: str) -> None:
        self._ask("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page; `return` gives its value."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def text(self, selector: str) -> str:
        return self.run("return document.querySelector(arguments[0])?.textContent.trim() ?? ''", selector)

    def click(self, selector: str) -> None:
        self._ask("POST", f"/element/{self._find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        self._ask("POST", f"/element/{self._find(selector)}/value", {"text": text})

    def until(self, script: str, *arguments: Any, timeout_s: float = 30.0) -> Any:
        """Wait until a script returns something true."""
        deadline_s = time.monotonic() + timeout_s
        while not (value := self.run(script, *arguments)):
            assert time.monotonic() < deadline_s, f"never true: {script}"
            time.sleep(0.02)
        return value

    def resize(self, width: int, height: int) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    def prefer(self, scheme: str) -> None:
        """Ask pages for `light` or `dark`."""
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def command(self, name: str, **parameters: Any) -> Any:
        """Send a command of the DevTools protocol."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._ask("GET", "/screenshot", None)))

    def console(self) -> list[str]:
        """Return what the page has complained about: errors of scripts, and of the content security policy."""
        found = self._ask("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in found if entry["level"] in {"SEVERE", "WARNING"}]

    def _find(self, selector: str) -> str:
        found = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        return next(iter(found.values()))

    def _ask(self, method: str, path: str, body: Any) -> Any:
        return self._call(method, f"/session/{self._session}{path}", body)

    def _call(self, method: str, path: str, body: Any) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and "error" in value:
            raise AssertionError(f"{path}: {value['error']}: {value['message'][:300]}")
        return value
