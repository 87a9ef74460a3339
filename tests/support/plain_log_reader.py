"""Reading a log with nothing of the library: what any verifier must be able to do."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

HASH_MEMBER = len(',"hash":"') + 64 + len('"}')
ZERO = "0" * 64


def whole_lines(path: Path | str) -> list[bytes]:
    """Every line of a file that may be written right now, of which a reader may see a part."""
    path = Path(path)
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def records(path: Path | str) -> list[dict[str, Any]]:
    """Every whole line of a file, parsed; empty when there is no file."""
    return [json.loads(line) for line in whole_lines(path)]


def of_type(path: Path | str, event_type: str) -> list[dict[str, Any]]:
    """The records of one type."""
    return [record for record in records(path) if record["event_type"] == event_type]


def chain_ok(*paths: Path | str, foreign: int = 0, after: str = ZERO) -> list[dict[str, Any]]:
    """Recompute every hash and link of the segments, oldest first (wire format, section 2).

    Args:
        paths: closed segments and the active one.
        foreign: how many lines are no records.
        after: the hash that the first record links to.

    Returns:
        The records.

    Raises:
        AssertionError: the chain is broken, or the number of other lines is not ``foreign``.
    """
    found: list[dict[str, Any]] = []
    strange = 0
    for path in paths:
        content = Path(path).read_bytes()
        assert content.endswith(b"\n"), f"{path} ends in a torn line"
        for line in content.split(b"\n")[:-1]:
            try:
                record = json.loads(line)
                body = line[:-HASH_MEMBER] + b"}"
                assert record["hash"] == hashlib.sha256(b"\0" + body).hexdigest()
            except (ValueError, KeyError, TypeError):
                strange += 1
                continue
            last = found[-1] if found else None
            assert record["prev_hash"] == (last["hash"] if last else after), line
            if last:
                assert record["seq"] == last["seq"] + 1, line
                assert record["chain"] == last["chain"], line
                assert record["ts"] != last["ts"], line
            found.append(record)
    assert strange == foreign, f"{strange} lines are no records"
    return found
