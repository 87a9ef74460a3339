"""Records of a log that was written at other times than now: well-formed, chained, of any type."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from typing import Any

from audit_emit._format.record import ts_of

_NO_HASH = "0" * 64


class Trail:
    """One chain of one service, written in the order of the calls.

    Attributes:
        lines: the records, as bytes without a newline.
        now: nanoseconds since 1970 that ``ago`` counts back from.
    """

    def __init__(self, service: str, now: int | None = None) -> None:
        self.service = service
        self.chain = uuid.uuid4().hex[:16]
        self.lines: list[bytes] = []
        self.now = time.time_ns() if now is None else now
        self._seq = 0
        self._hash = _NO_HASH

    def add(self, event_type: str, ago: float = 1.0, user: str = "u-17", **fields: Any) -> bytes:
        """The next record, ``ago`` seconds before now; ``correlation_id`` is that of the field."""
        self._seq += 1
        record = {
            "ts": ts_of(self.now - int(ago * 1e9) + self._seq),
            "event_type": event_type,
            "workspace_id": "acme",
            "user_id": user,
            "actor_kind": "user" if user else "service",
            "correlation_id": fields.pop("correlation_id", ""),
            "fields": fields,
            "v": 1,
            "id": str(uuid.uuid4()),
            "service": self.service,
            "chain": self.chain,
            "seq": self._seq,
            "prev_hash": self._hash,
        }
        body = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
        self._hash = hashlib.sha256(b"\0" + body).hexdigest()
        self.lines.append(body[:-1] + f',"hash":"{self._hash}"}}'.encode())
        return self.lines[-1]

    def skip(self, event_type: str, ago: float = 1.0) -> bytes:
        """The next record, which does not arrive anywhere."""
        self.add(event_type, ago)
        return self.lines.pop()
