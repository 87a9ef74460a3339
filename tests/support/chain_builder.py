"""Chains of records made to order: at any time, of any type, without waiting for a clock."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audit_emit._format.chain import ZERO
from audit_emit._format.record import chain_line, stub, ts_of

SECOND = 10**9
CHAIN = "00d1c0ffee00beef"
BEGIN = 1_779_220_800 * SECOND
"""2026-05-19T20:00:00Z."""


class MadeChain:
    """One chain, kept in memory until it is written.

    Attributes:
        lines: without newlines, in the order of the chain.
    """

    def __init__(
        self, chain: str = CHAIN, service: str = "secrets-api", begin: int = BEGIN
    ) -> None:
        self.chain = chain
        self.service = service
        self.lines: list[bytes] = []
        self._hash = ZERO
        self._next = begin

    def add(
        self,
        count: int = 1,
        *,
        ts: int | None = None,
        step: int = SECOND,
        event_type: str = "secret.set",
        fields: Mapping[str, Any] | None = None,
        **members: Any,
    ) -> MadeChain:
        """Records ``step`` nanoseconds apart, from ``ts`` on or after the ones before.

        Args:
            count: how many.
            ts: the time of the first one, in nanoseconds since 1970.
            step: nanoseconds between two.
            event_type: of all of them.
            fields: besides ``n``, the number of the record.
            members: other members than usual, as in ``user_id="alice"``.
        """
        at = self._next if ts is None else ts
        for _ in range(count):
            seq = len(self.lines) + 1
            given = {"fields": {"n": seq, **(fields or {})}, **members}
            prefix = self._prefix(at, seq, event_type, given)
            line, self._hash = chain_line(prefix, self.chain, seq, self._hash)
            self.lines.append(line.encode().rstrip(b"\n"))
            at += step
        self._next = at
        return self

    def _prefix(self, ts: int, seq: int, event_type: str, members: Mapping[str, Any]) -> str:
        record = {
            "ts": ts_of(ts),
            "event_type": event_type,
            "workspace_id": "acme",
            "user_id": "u-17",
            "actor_kind": "user",
            "correlation_id": "c",
            "fields": {},
            "v": 1,
            "id": f"019ed0b1-7c00-7000-8000-{seq:012d}",
            "service": self.service,
        }
        return json.dumps({**record, **members}, separators=(",", ":"))[:-1]

    def early(self, seq: int) -> bytes:
        """The form of a record before it was in the chain."""
        line = self.lines[seq - 1]
        return line[: line.rindex(b',"chain":"')] + b"}"

    def cut(self, seq: int, limit: int) -> bytes:
        """The stub of a record on stdout."""
        return stub(self.lines[seq - 1] + b"\n", limit)[:-1]

    def write(self, path: Path, first: int = 1, last: int | None = None) -> Path:
        """A part of it as a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(line + b"\n" for line in self.lines[first - 1 : last]))
        return path


class Trail:
    """A chain of which each record is as old as is said, and some may be left out.

    Attributes:
        lines: the records that there are, as bytes without a newline.
        now: nanoseconds since 1970 that ``ago`` counts back from.
    """

    def __init__(self, service: str, chain: str | None = None) -> None:
        self._whole = MadeChain(chain or uuid.uuid4().hex[:16], service)
        self.lines: list[bytes] = []
        self.now = time.time_ns()

    def add(self, event_type: str, ago: float = 1.0, user: str = "u-17", **fields: Any) -> bytes:
        """The next record, ``ago`` seconds before now; ``correlation_id`` is that of the field."""
        self._whole.add(
            ts=self.now - int(ago * 1e9) + len(self._whole.lines) + 1,
            event_type=event_type,
            user_id=user,
            actor_kind="user" if user else "service",
            correlation_id=fields.pop("correlation_id", ""),
            fields=fields,
            id=str(uuid.uuid4()),
        )
        self.lines.append(self._whole.lines[-1])
        return self.lines[-1]

    def skip(self, event_type: str, ago: float = 1.0) -> None:
        """A record that does not arrive anywhere."""
        self._whole.add(ts=self.now - int(ago * 1e9), event_type=event_type)


def rewritten(line: bytes, **members: Any) -> bytes:
    """The same record with other members, and the hash that belongs to it."""
    record = {**json.loads(line), **members}
    link = [record.pop(name) for name in ("chain", "seq", "prev_hash", "hash")]
    prefix = json.dumps(record, separators=(",", ":"), ensure_ascii=False)[:-1]
    return chain_line(prefix, *link[:3])[0].encode().rstrip(b"\n")


def altered(line: bytes) -> bytes:
    """The same record with another content, and the hash of the old one."""
    return line.replace(b'"user_id":"u-17"', b'"user_id":"u-18"')
