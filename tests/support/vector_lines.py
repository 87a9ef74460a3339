"""Lines for ``vector/audit.vrl``, and what becomes of them."""

from __future__ import annotations

import json
from typing import Any

TS = "2026-05-19T20:00:00.123456789Z"
NS = 1_779_220_800_123_456_789
BASE = {"ts": TS, "event_type": "secret.set", "fields": {}, "v": 1, "service": "secrets-api"}
LABELS = {"service": "secrets-api", "event_type": "secret.set"}

NO_TEXT = "audit: the message is not text"
NO_OBJECT = "audit: not a JSON object"
INVALID = "audit: invalid JSON or UTF-8"
NO_TIME = "audit: ts is missing or not an RFC 3339 time"
FAR_TIME = "audit: ts is not between 1970 and 2262"
NO_TYPE = "audit: event_type is missing or not text"


def line(**members: Any) -> bytes:
    """A record with other members than usual; ``...`` leaves one out."""
    kept = {name: value for name, value in {**BASE, **members}.items() if value is not ...}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()


def with_text(members: bytes) -> bytes:
    """A record with these members at its end, as they are."""
    return line()[:-1] + b"," + members + b"}"


# What goes out, byte for byte

WHOLE = {
    "plain": line(),
    "unchained": line(workspace_id="", user_id="u", actor_kind="user", correlation_id="c"),
    "a stub": line(fields={"key": "A", "_spilled": 9000}),
    "an integer beyond 64 bits": line(fields={"n": 2**64, "m": -(2**70)}),
    "numbers that are written unusually": with_text(
        b'"fields":{"a":1.10,"b":1e3,"c":-0.0,"d":1E+2}'
    ),
    "a number beyond a double": with_text(b'"fields":{"a":1e999}'),
    "members in another order": b'{"service":"secrets-api","event_type":"secret.set","ts":"%s"}'
    % TS.encode(),
    "a duplicate member": with_text(b'"user_id":"a","user_id":"b"'),
    "white space between tokens": b'{ "ts" : "%s" , "event_type": "secret.set", '
    b'"service":\t"secrets-api" } ' % TS.encode(),
    "raw Unicode": line(user_id="Zoë 😀 \u202e\u2028\u0085\ufeff\ufffd"),
    "escaped Unicode": with_text(b'"user_id":"\\u00eb\\ud83d\\ude00\\u202e\\u0000\\/"'),
    "a lone surrogate in fields": with_text(b'"fields":{"a":"\\ud800","b":"\\uDFFF"}'),
    "a lone surrogate in an id": with_text(b'"user_id":"\\ud800x","correlation_id":"\\udc00"'),
    "the same in upper case": with_text(b'"user_id":"\\uD8FFx","correlation_id":"\\uDC0F"'),
    "backslashes before what looks like one": with_text(b'"user_id":"\\\\ud800 \\\\\\ud800"'),
    "nested deeply": with_text(b'"fields":{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}"),
    "64 KiB": line(fields={"a": "é" * 32_000}),
    "256 KiB": line(fields={"a": "x" * 262_000}),
    "a value that ends in a CR": line(user_id="x\r"),
}

# Time

TIMES = {
    TS: NS,
    "2026-05-19T20:00:00.000000001Z": NS - 123_456_788,
    "2026-05-19T20:00:00.1Z": NS - 23_456_789,
    "2026-05-19T20:00:00Z": NS - 123_456_789,
    "2026-05-19T22:00:00.123456789+02:00": NS,
    "2026-05-19T14:30:00.123456789-05:30": NS,
    "1970-01-01T00:00:00.000000000Z": 0,
    "2262-04-11T23:47:15.999999999Z": 9_223_372_035_999_999_999,
}

NO_TIMES = [
    ...,
    None,
    "",
    1_779_220_800,
    1_779_220_800.5,
    True,
    {"ts": TS},
    [TS],
    "now",
    "1779220800",
    "2026-05-19",
    "2026-05-19 20:00:00Z",
    "2026-05-19T20:00:00",
    "2026-05-19T20:00:00,5Z",
    "2026-05-19T20:00:00.Z",
    "2026-05-19T20:00:00.1234567891Z",
    "2026-02-30T20:00:00Z",
    "2026-05-19T24:00:00Z",
    "2026-05-19T20:00:00+24:00",
    "+2026-05-19T20:00:00Z",
    "12026-05-19T20:00:00Z",
    "2026-05-19t20:00:00z",
    f" {TS}",
    f"{TS}\n",
    "\uff12026-05-19T20:00:00Z",
]

FAR_TIMES = [
    "1969-12-31T23:59:59.999999999Z",
    "0000-01-01T00:00:00Z",
    "2262-04-11T23:47:16Z",
    "9999-12-31T23:59:59Z",
]

# Labels

TYPES = ["a", "secret.set", "audit.gap", "a.0", "a_.b_1", "a.b.c.d.e.f.g.h", "a" * 128]

OTHER_TYPES = [
    "",
    "A",
    "9a",
    "_a",
    ".a",
    "a.",
    "a..b",
    "a.b.c.d.e.f.g.h.i",
    "a" * 129,
    "a." * 30_000 + "a",
    "x" * 64_000,
    "a b",
    "a-b",
    "a\n",
    "\na",
    "a\r",
    "a\x00",
    "á",
    "\uff41",
    "login.user@example.com",
    'x"} | {job="root',
    'x",service="root',
    "{{ service }}",
    "${HOME}",
    "<null>",
    "audit: a",
]

SERVICES = ["a", "0", "a-b_c", "0" * 63]

NO_SERVICES = [
    ...,
    None,
    "",
    5,
    ["a"],
    {"a": 1},
    "A",
    "-a",
    "_a",
    "a.b",
    "a b",
    "a\n",
    "é",
    "a" * 64,
    'x"} | {job="root',
    "../a",
]

# Dead letters

DEAD = {
    b"": NO_OBJECT,
    b"audit: ": NO_OBJECT,
    b"\r": NO_OBJECT,
    b"audit:" + line(): NO_OBJECT,
    b"Audit: " + line(): NO_OBJECT,
    b" audit: " + line(): NO_OBJECT,
    b"audit: audit: " + line(): NO_OBJECT,
    b"audit:  " + line(): NO_OBJECT,
    b"GET / audit: " + line(): NO_OBJECT,
    b"\xef\xbb\xbf" + line(): NO_OBJECT,
    b"\x1b[32m" + line(): NO_OBJECT,
    b"null": NO_OBJECT,
    b"1": NO_OBJECT,
    b'"text"': NO_OBJECT,
    b"[]": NO_OBJECT,
    b"[" + line() + b"]": NO_OBJECT,
    b"audit: [" + line() + b"," + line() + b"]": NO_OBJECT,
    b"{": INVALID,
    b"{oops}": INVALID,
    b"audit: {oops": INVALID,
    line()[:-1]: INVALID,
    line() + line(): INVALID,
    line() + b"}": INVALID,
    line() + b" audit: " + line(): INVALID,
    line()[:-1] + b",}": INVALID,
    with_text(b'"a":NaN'): INVALID,
    with_text(b'"a":01'): INVALID,
    with_text(b'"a":"\x00"'): INVALID,
    with_text(b'"a":"\t"'): INVALID,
    with_text(b'"a":"\\x"'): INVALID,
    with_text(b'"a":"\\ud80"'): INVALID,
    with_text(b"'a':1"): INVALID,
    with_text(b'"a":1 // comment'): INVALID,
    b"{}": NO_TIME,
    line(event_type=...): NO_TYPE,
    line(event_type=None): NO_TYPE,
    line(event_type=5): NO_TYPE,
    line(event_type=["a"]): NO_TYPE,
}

NOT_UTF8 = [
    with_text(b'"a":"\xff"'),
    with_text(b'"a":"\xf0\x9f\x98"'),
    with_text(b'"a":"\xed\xa0\x80"'),
    with_text(b'"a":"\xc0\x80"'),
    with_text(b'"a":"\xf0\x9f\x98","user_id":"\\ud800"'),
    with_text(b'"a":"\xff","fields":{"n":1e999}'),
    with_text(b'"\xff":1'),
    line() + b"\xff",
]
