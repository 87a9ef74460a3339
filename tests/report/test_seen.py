"""A record as a report counts it: read fast where it can be, and always as a query reads it."""

from __future__ import annotations

import pytest
from support.chain_builder import MadeChain
from support.export_records import HOSTILE
from support.hostile_log import TEXTS

from audit_emit._loki.json_stage import value_at
from audit_emit._loki.labels import placement_of, unwrapped
from audit_emit._report.seen import records_in

LINES = {
    **HOSTILE,
    "blanks before it": b"  " + MadeChain().add().lines[0],
    "the prefix of standard output": b"audit: " + MadeChain().add().lines[0],
    "a carriage return": MadeChain().add().lines[0] + b"\r",
    "two objects": b"{}{}",
    "an empty line": b"",
    "bytes that are no text": MadeChain().add().lines[0].replace(b"acme", b"\xff\xfe"),
    "a leap second": MadeChain().add().lines[0].replace(b"20:00:00.", b"23:59:60."),
    "the 31st of April": MadeChain().add().lines[0].replace(b"2026-05-19", b"2026-04-31"),
    "digits of another script": MadeChain().add().lines[0].replace(b"00Z", "0\u0660Z".encode(), 1),
    "the replacement character": MadeChain().add(user_id="\ufffd").lines[0],
    "a member twice": MadeChain().add().lines[0].replace(b',"v":1', b',"user_id":"b","v":1'),
    **{f"text {at}": MadeChain().add(user_id=text).lines[0] for at, text in enumerate(TEXTS)},
}
USUAL = MadeChain().add(user_id="usual").lines[0]


@pytest.mark.parametrize("name", LINES)
def test_what_is_counted_is_what_a_query_compares(name: str) -> None:
    line = LINES[name]
    seen, lines = records_in(b"\n".join((USUAL, line, USUAL)) + b"\n")
    others = [one for one, of in zip(seen, lines, strict=True) if of != USUAL]
    assert len(seen) - len(others) == 2
    bare = unwrapped(line)
    placed = placement_of(bare)
    assert len(others) == (placed is not None)
    for one in others:
        assert one.user_id == value_at(bare, ("user_id",))
        assert one.actor_kind == value_at(bare, ("actor_kind",))
        assert one.fields.outcome == value_at(bare, ("fields", "outcome"))
        assert one.fields.key == value_at(bare, ("fields", "key"))


def test_records_come_in_order_of_time() -> None:
    chain = MadeChain().add(2, ts=5 * 10**18).add(2, ts=10**18)
    seen, lines = records_in(b"".join(line + b"\n" for line in chain.lines))
    assert [one.ts for one in seen] == sorted(one.ts for one in seen)
    assert lines == [chain.lines[at] for at in (2, 3, 0, 1)]
