"""The HTTP server of the library, running while a test asks it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from audit_emit._runtime.http_server import Answer, Request, Server


@contextmanager
def serving(respond: Callable[[Request], Answer], **given: Any) -> Iterator[Server]:
    """A server on a free port of this machine.

    Args:
        respond: makes the answers.
        given: what else a ``Server`` takes.
    """
    with Server("127.0.0.1", 0, respond, **given) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
