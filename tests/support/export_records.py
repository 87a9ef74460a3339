"""Records to export: the published ones, and lines that somebody with the file could write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parents[1] / "vectors" / "export"

LINES = (VECTORS / "records.jsonl").read_bytes().splitlines()
"""One record of each event type that has a mapping of its own, and a few that have none."""

EXAMPLES: list[dict[str, Any]] = [
    json.loads(line) for line in (VECTORS / "examples.jsonl").read_text("utf-8").splitlines()
]
"""Those records in every format: ``format``, ``seq``, ``event``."""


def examples(form: str) -> list[tuple[bytes, Any]]:
    """The lines and what they become in a format, named as in the file."""
    by_seq = {json.loads(line)["seq"]: line for line in LINES}
    return [(by_seq[one["seq"]], one["event"]) for one in EXAMPLES if one["format"] == form]


def changed(number: int, **members: Any) -> bytes:
    """The line of one record with other members; ``None`` takes one away."""
    record = {**json.loads(LINES[number - 1]), **members}
    return json.dumps({name: one for name, one in record.items() if one is not None}).encode()


_NESTED: Any = 1
for _ in range(200):
    _NESTED = [{"a": _NESTED}]

HOSTILE = {
    "nothing but braces": b"{}",
    "members of other types": json.dumps(
        dict.fromkeys(json.loads(LINES[1]), 7) | {"seq": "x", "v": [], "fields": "text"}
    ).encode(),
    "null in every member": json.dumps(dict.fromkeys(json.loads(LINES[1]))).encode(),
    "no time": changed(5, ts="yesterday"),
    "a time that is none": changed(5, ts="2026-02-30T00:00:00.000000000Z"),
    "a time before 1970": changed(5, ts="1969-12-31T23:59:59.000000000Z"),
    "a time that no 64 bits hold": changed(5, ts="9999-12-31T23:59:59.000000000Z"),
    "a byte order mark": b"\xef\xbb\xbf" + LINES[4],
    "UTF-16": LINES[4].decode().encode("utf-16-be"),
    "bytes that are no text": LINES[4][:-1] + b',"x":"\xff"}',
    "a number of 5,000 digits": changed(5, fields={"key": "K", "n": 1}).replace(
        b'"n": 1', b'"n": ' + b"9" * 5000
    ),
    "a number beyond floats": changed(5).replace(b'"set"}', b'"set", "n": 1e999}'),
    "half a surrogate pair": changed(5).replace(b"STRIPE_LIVE_KEY", b"a\\ud800b"),
    "nested deep": changed(14, fields={"deep": _NESTED}),
    "empty names": changed(14, fields={"": "", " ": None, "a.b": [None, True]}),
    "a secret without a key": changed(5, fields={}),
    "a key that is no text": changed(5, fields={"key": 7}),
    "a role without a user": changed(11, fields={"role": "admin"}),
    "a request without anything": changed(10, fields={}),
    "a request of other types": changed(
        10, fields={"method": 1, "path": [], "status": "201", "bytes": "9" * 20, "duration_ms": "1"}
    ),
    "an unknown method": changed(10, fields={"method": "PURGE", "status": 200}),
    "an endless duration": changed(10, fields={"method": "GET", "duration_ms": 1e300}),
    "a network": changed(2, fields={"client_ip": "203.0.113.0/24"}),
    "an address with a zone": changed(2, fields={"client_ip": "fe80::1%eth0"}),
    "nobody": changed(2, user_id="", actor_kind=""),
    "no service": changed(2, service=""),
    "a long seq": changed(2, seq=2**62),
    "a negative seq": changed(2, seq=-1),
    "no chain": changed(2, chain=None, seq=None, prev_hash=None, hash=None),
    "a trace that is none": changed(2, trace_id="xyz", span_id="1"),
    "a foreign outcome": changed(10, fields={"method": "GET", "outcome": ["failure"]}),
    "an empty event type": changed(14, event_type=""),
    "an event type of its own": changed(15, event_type="audit.unheard_of"),
    "control characters": changed(5, user_id="\x00\x1b[2J\u202e", workspace_id="\u2028"),
}
"""Records that no service wrote, by what is odd about them."""
