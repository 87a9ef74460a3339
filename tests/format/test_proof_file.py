"""Proof files: made from a log, judged without it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.five_records import EXPECTED, LINES

from audit_emit._format.checkpoint import Checkpoint, sign
from audit_emit._format.proof_file import Evidence, prove
from audit_emit._signing.trusted_keys import HmacKey, KeyRing

CHAIN = "00d1c0ffee00beef"
KEY = HmacKey(bytes.fromhex(EXPECTED["hmac-sha256"]["key_hex"]))
RING = KeyRing([KEY])
LEAVES = [bytes.fromhex(digest) for digest in EXPECTED["leaf_hashes"]]


def records() -> Iterator[tuple[bytes, bytes]]:
    return zip(LEAVES, (line.strip() for line in LINES), strict=True)


def over(size: int, root: str | None = None) -> Checkpoint:
    return sign(
        KEY,
        at="2026-05-19T20:00:02.000000000Z",
        origin=f"audit.example.com/secrets-api/{CHAIN}",
        chain=CHAIN,
        size=size,
        head_hash=EXPECTED["leaf_hashes"][size - 1],
        root=bytes.fromhex(root or EXPECTED["merkle_roots_by_size"][str(size)]),
        reason="manual",
    )


@pytest.mark.parametrize("size", range(1, 6))
def test_every_record_under_every_checkpoint(size: int) -> None:
    for seq in range(1, size + 1):
        made = prove(seq, records, [over(size)])
        assert (made.leaf_index, made.tree_size) == (seq - 1, size)
        assert made.record.encode() == LINES[seq - 1].strip()
        assert made.judge(RING) == ("ok", "")
        assert Evidence.from_bytes(made.to_bytes()) == made


def test_the_smallest_checkpoint_that_is_right_is_taken() -> None:
    wrong = over(3, root="0" * 64)
    assert prove(2, records, [over(5), over(4), wrong, over(1)]).tree_size == 4


@pytest.mark.parametrize("candidates", [[], [1], [1, 2]])
def test_without_a_checkpoint_there_is_no_proof(candidates: list[int]) -> None:
    with pytest.raises(ValueError, match="no checkpoint covers record 3"):
        prove(3, records, [over(size) for size in candidates])


MADE = prove(3, records, [over(5)])


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"record": MADE.record.replace("STRIPE", "STRIPE2")}, "hash that it states"),
        ({"record": MADE.record + "\n"}, "not a record"),
        ({"record": "{}"}, "not a record"),
        ({"record": LINES[3].decode().strip()}, "another place"),
        ({"leaf_index": 3}, "another place"),
        ({"tree_size": 4}, "does not lead"),
        ({"inclusion_proof": MADE.inclusion_proof[:-1]}, "does not lead"),
        ({"inclusion_proof": [*MADE.inclusion_proof, "0" * 64]}, "does not lead"),
        ({"inclusion_proof": MADE.inclusion_proof[::-1]}, "does not lead"),
        ({"checkpoint": over(4)}, "does not lead"),
        ({"checkpoint": msgspec.structs.replace(over(5), chain="0" * 16)}, "another"),
        ({"checkpoint": msgspec.structs.replace(over(5), signature="")}, "not signed"),
        ({"checkpoint": msgspec.structs.replace(over(5), origin="o")}, "not signed"),
    ],
)
def test_what_was_changed_is_a_mismatch(changed: dict[str, Any], why: str) -> None:
    judgement = msgspec.structs.replace(MADE, **changed).judge(RING)
    assert judgement.verdict == "mismatch"
    assert why in judgement.why


def test_without_the_key_it_is_open() -> None:
    assert MADE.judge(KeyRing()).verdict == "key-unavailable"
    assert MADE.judge(KeyRing([HmacKey(b"x" * 32)])).verdict == "key-unavailable"


def with_members(**changed: Any) -> bytes:
    return json.dumps({**json.loads(MADE.to_bytes()), **changed}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        MADE.to_bytes()[:-10],
        with_members(v=2),
        with_members(record=1),
        with_members(leaf_index="2"),
        with_members(inclusion_proof=["zz"]),
        with_members(inclusion_proof=["00"]),
        with_members(checkpoint=None),
        with_members(checkpoint={"v": 1}),
    ],
)
def test_what_is_no_proof_file_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="proof file"):
        Evidence.from_bytes(data)


@given(at=st.integers(0, len(MADE.to_bytes()) - 1), flip=st.integers(1, 255))
def test_no_changed_byte_of_what_is_proved_goes_unnoticed(at: int, flip: int) -> None:
    data = MADE.to_bytes()
    changed = data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :]
    try:
        found = Evidence.from_bytes(changed)
    except ValueError:
        return
    if found.judge(RING).verdict == "ok":
        assert found.record == MADE.record
        assert found.leaf_index == MADE.leaf_index
        assert found.checkpoint.text() == MADE.checkpoint.text()


@pytest.mark.parametrize("member", ["tree_size", "record", "checkpoint", "root_hash"])
def test_a_member_twice_is_refused(member: str) -> None:
    data = prove(2, records, [over(3)]).to_bytes()
    assert Evidence.from_bytes(data)
    text = data.decode()
    at = text.index(f'"{member}":')
    value = json.loads(data)
    value = value["checkpoint"][member] if member == "root_hash" else value[member]
    twice = f'{text[:at]}"{member}": {json.dumps(value)}, {text[at:]}'
    assert json.loads(twice) == json.loads(data)
    with pytest.raises(ValueError, match="not a proof file"):
        Evidence.from_bytes(twice.encode())


@pytest.mark.parametrize("version", [0, 3, 99])
def test_a_checkpoint_of_a_version_that_is_not_known_proves_nothing(version: int) -> None:
    found = json.loads(prove(2, records, [over(3)]).to_bytes())
    found["checkpoint"]["v"] = version
    with pytest.raises(ValueError, match="not a proof file"):
        Evidence.from_bytes(json.dumps(found).encode())


@pytest.mark.parametrize("written", [str.upper, lambda digest: f" {digest}"])
def test_a_hash_is_written_in_one_way_only(written: Callable[[str], str]) -> None:
    found = json.loads(prove(2, records, [over(3)]).to_bytes())
    found["inclusion_proof"][0] = written(found["inclusion_proof"][0])
    with pytest.raises(ValueError, match="not a proof file"):
        Evidence.from_bytes(json.dumps(found).encode())
