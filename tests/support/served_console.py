"""A console on a free port of loopback, in a thread of this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from support.console_client import console
from support.waiting import PATIENCE, until


class Served:
    """One that answers; ``given`` as for the application, ``within`` puts it into another one."""

    def __init__(
        self, log: Path | str, *, within: Callable[[Any], Any] = lambda inner: inner, **given: Any
    ) -> None:
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.address = f"http://localhost:{listening.getsockname()[1]}"
        config = uvicorn.Config(
            within(console(log, **given)),
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listening]}, daemon=True
        )
        self._thread.start()
        until(lambda: self._server.started, "the console's start")

    def stop(self) -> None:
        """End it."""
        self._server.should_exit = True
        self._thread.join(PATIENCE)
