"""A signed log of an agent's run, and the key that signs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.chain_builder import CHAIN, MadeChain

from audit_emit._checkpoints.checkpointer import Checkpointer
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing

RUN: dict[str, Any] = {"correlation_id": "run-7", "actor_kind": "agent"}
SEED = bytes(range(32))


class AttestedLog:
    """Eight records: three before the run, four of it with a stranger's between, all signed.

    Attributes:
        directory: of the log.
        key: signs it.
        ring: with the key.
    """

    def __init__(self, directory: Path, chain: str = CHAIN, *, sign: bool = True) -> None:
        self.directory = directory
        self.key = Ed25519Key.from_seed(SEED)
        self.ring = KeyRing([self.key])
        self.chain = MadeChain(chain)
        self.chain.add(2)
        self.chain.add(event_type="audit.gap", fields={"lost": 3, "sink": "file"})
        self.chain.add(
            event_type="agent.run_started",
            fields={"model": "model-x-1", "platform": "runner"},
            **RUN,
        )
        self.call("success")
        self.chain.add(event_type="audit.gap", fields={"lost": 1, "sink": "file"})
        self.call("failure")
        self.call("success", password="[redacted]")
        self.write(sign=sign)

    def call(self, outcome: str, **fields: str) -> None:
        """The agent calls a tool."""
        fields = {"tool": "search", "outcome": outcome, **fields}
        self.chain.add(event_type="agent.tool_called", fields=fields, **RUN)

    def write(self, *, sign: bool = True) -> None:
        """Write the log, and sign it to its end."""
        self.directory.mkdir(exist_ok=True)
        (self.directory / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in self.lines))
        if not sign:
            return
        signer = Checkpointer(
            str(self.directory / "audit.jsonl"),
            self.ring,
            origin="audit.example.com/shop",
            record=lambda _type, _fields: None,
        )
        assert signer.run("manual") is not None

    @property
    def lines(self) -> list[bytes]:
        """The records, without newlines."""
        return self.chain.lines
