"""``python -m bench.slow_kms SECONDS``: a key service like OpenBao's transit engine, but slow.

As a witness and as an anchor, which it also is, it is as slow and then has no answer.

Prints the parameters of a URI and the address, and serves until standard input ends.
"""

from __future__ import annotations

import base64
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from audit_emit._signing.trusted_keys import Ed25519Key

KEY = Ed25519Key.from_seed(bytes(range(32)))


def handler(seconds: float) -> type[BaseHTTPRequestHandler]:
    """What answers each request, after so long."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(seconds)
            if not self.path.startswith("/v1/transit/"):
                self.send_error(503)
                return
            asked = json.loads(body)
            made = base64.b64encode(KEY.sign(base64.b64decode(asked["input"]))).decode()
            data = json.dumps({"data": {"signature": f"vault:v1:{made}"}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


def main() -> None:
    """Serve until standard input ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(float(sys.argv[1])))
    public = base64.urlsafe_b64encode(KEY.public).decode()
    print(f"version=1&public={public} http://127.0.0.1:{server.server_port}", flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
