"""A Redis of the tests' own, for brokers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.host_server import running
from support.ports import free_port
from support.requirements import program
from support.tiers import starts_a_server


@pytest.fixture(scope="session")
@starts_a_server
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address; one for all tests of a worker, each with a database or a queue of its own."""
    place: Path = tmp_path_factory.mktemp("redis")
    port = free_port()
    command = (program("redis-server"), "--port", str(port), "--save", "", "--dir", str(place))
    with running(*command, port=port, log=place / "log.txt"):
        yield f"redis://127.0.0.1:{port}"
