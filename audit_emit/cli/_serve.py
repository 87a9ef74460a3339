"""The child of ``audit-emit demo``: one example service on a socket that it was handed.

    python -m audit_emit.cli._serve <fastapi|flask> <descriptor of a listening socket>

It ends with its parent, however that ends: its standard input is a pipe that the parent holds open.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from importlib import import_module


def serve(framework: str, fd: int) -> None:
    """Serve until a signal comes."""
    app = import_module(f"{framework}_app").create_app()
    if framework == "flask":
        from werkzeug.serving import make_server  # noqa: PLC0415 - an extra

        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        make_server("127.0.0.1", 0, app, threaded=True, fd=fd).serve_forever()
    else:
        import uvicorn  # noqa: PLC0415 - an extra

        uvicorn.run(app, fd=fd, access_log=False, log_level="warning")


def _end_with_parent() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    serve(sys.argv[1], int(sys.argv[2]))
