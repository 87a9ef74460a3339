"""A real SSH agent with one key, on a socket of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from support import requirements
from support.tiers import starts_a_server
from support.waiting import PATIENCE, until


class Agent(NamedTuple):
    """An agent that runs.

    Attributes:
        socket: its path.
        public: of its key, 32 bytes.
    """

    socket: str
    public: bytes


def takes_requests(path: str) -> bool:
    """Whether an agent listens at a socket: it has its name a moment before that."""
    with socket.socket(socket.AF_UNIX) as ours:
        try:
            ours.connect(path)
        except OSError:
            return False
    return True


@pytest.fixture(scope="session")
@starts_a_server
def ssh_agent() -> Iterator[Agent]:
    """One for this process of the tests."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    program, adder = requirements.program("ssh-agent"), requirements.program("ssh-add")
    # The path of a socket has at most 107 bytes, so not the directory that pytest makes.
    directory = Path(tempfile.mkdtemp(prefix="audit-emit-agent-", dir="/tmp"))
    path, file = str(directory / "s"), directory / "key"
    private = Ed25519PrivateKey.generate()
    file.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
    )
    file.chmod(0o600)
    agent = subprocess.Popen([program, "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        until(lambda: takes_requests(path) or agent.poll() is not None, "the agent's start")
        assert agent.poll() is None
        environment = {"SSH_AUTH_SOCK": path, "HOME": str(directory)}
        added = subprocess.run(
            [adder, "-q", str(file)], env=environment, capture_output=True, check=False
        )
        assert added.returncode == 0, added.stderr
        yield Agent(path, private.public_key().public_bytes_raw())
    finally:
        agent.kill()
        agent.wait(PATIENCE)
        shutil.rmtree(directory, ignore_errors=True)
