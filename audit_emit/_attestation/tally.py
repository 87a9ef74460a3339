"""What is counted of the records that an attestation is about. Pure."""

from __future__ import annotations

import re
from collections import Counter
from hashlib import sha256
from typing import Any

from audit_emit._format.chain import Frontier
from audit_emit._format.record import Head

_HELD_BACK = re.compile(rb"\[redacted\]|hmac-sha256:[0-9a-f]{8}:[0-9a-f]{16}")
"""A value that redaction held back (docs/wire-format.md, section 1)."""

_LONGEST = 128
"""Characters of a name that is counted; what is longer is cut."""

_NAMES = 10_000
"""Different names that are counted; what a log has beyond them is counted as none of them."""

TOOL_CALLS = frozenset({"agent.tool_called", "mcp.tool_called"})
"""The records of the calls of tools, as the adapters write them."""

AGENT = "agent."
"""How the types of events of an agent begin; such a record may say ``model`` and ``platform``."""


class Tally:
    """Counts records, one after the other.

    Attributes:
        first, last: the first record and the last; ``None`` before there is one.
        prev_hash: the hash that the first one links to.
        before, after: the trees that end just before the first and with the last.
        records: how many.
        bytes: of their lines, newlines included.
    """

    def __init__(self) -> None:
        self.first: Head | None = None
        self.last: Head | None = None
        self.prev_hash = ""
        self.before = Frontier()
        self.after = Frontier()
        self.records = 0
        self.bytes = 0
        self.event_types: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.tool_calls: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.platforms: Counter[str] = Counter()
        self.secrets_held_back = 0
        self._digest = sha256()

    @property
    def digest(self) -> str:
        """SHA-256 of the lines, each with its newline, in the order of the chain: 64 hex digits."""
        return self._digest.hexdigest()

    def add(self, head: Head, record: dict[str, Any], line: bytes) -> None:
        """Count one record.

        Args:
            head: its place.
            record: its members.
            line: its bytes, without the newline.
        """
        if self.first is None:
            self.first = head
        self.last = head
        self.records += 1
        self.bytes += len(line) + 1
        self._digest.update(line)
        self._digest.update(b"\n")
        kind = record.get("event_type")
        _count(self.event_types, kind)
        found = record.get("fields")
        fields: dict[str, Any] = found if isinstance(found, dict) else {}
        if "outcome" in fields:
            _count(self.outcomes, fields["outcome"])
        if not isinstance(kind, str):
            kind = ""
        if kind in TOOL_CALLS:
            _count(self.tool_calls, fields.get("outcome", "unknown"))
        if kind.startswith(AGENT):
            for name, into in (("model", self.models), ("platform", self.platforms)):
                if isinstance(fields.get(name), str):
                    _count(into, fields[name])
        self.secrets_held_back += len(_HELD_BACK.findall(line))


def _count(into: Counter[str], name: object) -> None:
    text = name[:_LONGEST] if isinstance(name, str) else "other"
    if text in into or len(into) < _NAMES:
        into[text] += 1
