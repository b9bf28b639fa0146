"""A small program in the place of Grafana, which Debian has no package of."""

import sys
from pathlib import Path

GRAFANA = """#!{python}
import configparser, http.server, pathlib, signal, sys

sys.argv[1] == "server" or sys.exit("no such command")
options = dict(word.split("=", 1) for word in sys.argv[2:])
pathlib.Path(options["--homepath"], "conf", "defaults.ini").stat()
ini = configparser.ConfigParser(interpolation=None)
ini.read(options["--config"])
broken = pathlib.Path(__file__).with_name("broken")
broken.exists() and sys.exit("level=error msg=" + broken.read_text())

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()

signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
address = (ini["server"]["http_addr"], ini.getint("server", "http_port"))
http.server.HTTPServer(address, Health).serve_forever()
"""


def grafana_in(directory: Path) -> Path:
    """Make it as Grafana's archive has it, and return the directory for the PATH.

    While a file ``broken`` stands beside it, it ends at once with that file's words.
    """
    home = directory / "grafana"
    for name in ("bin", "conf"):
        (home / name).mkdir(parents=True)
    (home / "conf" / "defaults.ini").touch()
    executable = home / "bin" / "grafana"
    executable.write_text(GRAFANA.format(python=sys.executable))
    executable.chmod(0o755)
    return executable.parent
