"""A log with what reports and pages must survive: a chain, and lines that somebody added to it."""

from __future__ import annotations

import uuid
from pathlib import Path

from support.chain_builder import MadeChain
from support.export_records import HOSTILE

BEGIN = "2026-05-18T00:00:00Z"
END = "2026-05-21T00:00:00Z"
"""All its times are between these."""

MARKUP = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "]]></style><style>*{background:url(//evil.example)}",
    "&lt;b&gt;",
)
MARKDOWN = (
    "| a | b |\n|---|---|",
    "![x](https://evil.example/x.png)",
    "[click](javascript:alert(1))",
    "```\n# heading",
    "*bold* _under_ ~~gone~~ `code`",
    "www.evil.example and https://evil.example and me@evil.example",
    "1. one",
    "- item",
    "@everyone #1 :tada: $x^2$",
)
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "x;=cmd|' /C calc'!A0", "\uff1d1")
PATTERNS = ("u*", "u?", "[a-z]", "[!a]", "u-17", "u-18", "]", "[", "a[b", "*", "--total", "-")
SHELL = (
    "$(id)",
    "`id`",
    "a'b",
    'a"b',
    "a\\b",
    "a b",
    "$HOME",
    "!x",
    "~",
    "a\nb",
    "\x1b[31m",
    "\x07",
)
STRANGE = ("\u202eevil", "\u2028", "\x7f", "\u3164", "caf\u00e9", "\U0001f600", "\ufffd", "x" * 300)

TEXTS = (*MARKUP, *MARKDOWN, *FORMULAS, *PATTERNS, *SHELL, *STRANGE)


def hostile_log(directory: Path) -> Path:
    """Write it; each text is a member of some record in each place that a report shows."""
    chain = MadeChain()
    for number, text in enumerate(TEXTS):
        chain.add(1 + number % 3, user_id=text, actor_kind="user", fields={"key": text})
        chain.add(actor_kind=text, workspace_id=text, fields={"client_ip": text, "outcome": text})
        chain.add(event_type=text, correlation_id=text)
        chain.add(
            event_type="audit.gap", fields=dict.fromkeys(("sink", "reason", "first_ts"), text)
        )
        chain.add(
            event_type="audit.anomaly",
            fields=dict.fromkeys(("rule", "title", "level", "reason", "id"), text),
        )
        chain.add(event_type="secret.denied", user_id="", fields={"outcome": "denied"})
    lines = [*chain.lines, *map(_another, HOSTILE.values())]
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    return directory


def _another(line: bytes) -> bytes:
    """The line with an id of its own: a query shows a record once, by its id."""
    return line.replace(b'"id": "', b'"id": "' + uuid.uuid4().hex.encode(), 1)
