"""A proxy in front of a server that cuts connections at a chosen moment."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class CuttingProxy:
    """Passes bytes on, until told to cut.

    Attributes:
        drop_answers: what the server says from now on is thrown away; with it, ``cut`` loses the
            answer to what was sent meanwhile.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self.drop_answers = False
        self.refuse = False
        self.answered = threading.Event()
        """Set when an answer was thrown away."""
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def _start(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.refuse:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._server_port))
                self._pairs.append((client, server))
                self._start(lambda a=client, b=server: self._pass(a, b))  # type: ignore[misc]
                self._start(lambda a=server, b=client: self._pass(a, b, back=True))  # type: ignore[misc]

    def _pass(self, source: socket.socket, target: socket.socket, *, back: bool = False) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if back and self.drop_answers:
                    self.answered.set()
                    self.cut()
                    return
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.close()

    def to(self, port: int) -> None:
        """Cut all connections; new ones go to another server."""
        self._server_port = port
        self.cut()

    def cut(self) -> None:
        """Cut all connections, and go on as before for new ones."""
        pairs, self._pairs = self._pairs, []
        self.drop_answers = False
        for pair in pairs:
            for one in pair:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
