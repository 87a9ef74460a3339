"""Ports for programs that do not choose one themselves."""

from __future__ import annotations

import socket


def free_port() -> int:
    """A port of the loopback that stays free for whoever is told of it.

    As long as this process lives it is bound here, and not listened on: the system gives it to
    nobody else who asks for any port, and a program that asks for this one gets it, since servers
    set ``SO_REUSEADDR``.
    """
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    port: int = kept.getsockname()[1]
    kept.detach()  # not closed, for as long as the process lives
    return port


def free_ports(number: int) -> list[int]:
    """Several."""
    return [free_port() for _ in range(number)]
