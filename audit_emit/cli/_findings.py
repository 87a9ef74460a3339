"""What ``demo`` reads out of the log that the service has written.

The chain is recomputed here from the bytes of each line (docs/wire-format.md, section 2), not taken
from what the emitter said of itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from audit_emit._facade.queries import Question, Term
from audit_emit._facade.records import ZERO, body_of, ended_lines, leaf_hash
from audit_emit._facade.text import visible
from audit_emit.cli._answers import told
from audit_emit.cli._service import DemoFailed

Line = tuple[bytes, dict[str, Any]]


def read_log(path: Path) -> list[Line]:
    """The lines of a log, each with what it says.

    Raises:
        DemoFailed: a line is not a record.
    """
    found = []
    for number, line in enumerate(ended_lines(path.read_bytes()), 1):
        try:
            found.append((line, msgspec.json.decode(line, type=dict[str, Any])))
        except msgspec.DecodeError as error:
            raise DemoFailed(f"line {number} of {path.name} is not a record: {error}") from None
    return found


def answer(lines: Iterable[Line], key: str) -> list[str]:
    """Who rotated a secret, and when, one line per time.

    Raises:
        DemoFailed: nobody did.
    """
    question = Question(changed=key, terms=(Term.parse("operation=rotate"),))
    records = (line.rstrip(b"\n") for line, _ in lines)
    found = [told(record) for record in records if question.match(record)]
    if not found:
        raise DemoFailed(f"the log does not say who rotated {key}")
    return found


def check_chain(lines: Iterable[Line]) -> list[str]:
    """The chain as a table, one row per record.

    Raises:
        DemoFailed: a hash or a link is wrong.
    """
    rows = []
    expected, seq = ZERO, 1
    for line, record in lines:
        if record["seq"] != seq or record["prev_hash"] != expected:
            raise DemoFailed(f"the chain is broken before record {record['seq']}")
        expected = leaf_hash(body_of(line))
        if record["hash"] != expected:
            raise DemoFailed(f"record {seq} does not have the hash that it states")
        who = record["user_id"] or "-"
        links = f"{record['prev_hash'][:12]}.. {expected[:12]}.."
        rows.append(visible(f"{seq:>4}  {record['event_type']:<16} {who:<8} {links}"))
        seq += 1
    return rows


def leaks(values: Iterable[str], places: Mapping[str, bytes]) -> None:
    """Look for every value in every place.

    Raises:
        DemoFailed: one was there.
    """
    for name, content in places.items():
        if any(value.encode() in content for value in values):
            raise DemoFailed(f"a secret value is in {name}")
