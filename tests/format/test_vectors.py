"""Vectors about checkpoints and proofs, for implementations in other languages, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.five_records import EXPECTED, LINES

from audit_emit._format.chain import Frontier
from audit_emit._format.checkpoint import Checkpoint, check, sign
from audit_emit._format.key_change import check_rotation, rotation_fields
from audit_emit._format.merkle_proofs import consistency_proof, verify_consistency
from audit_emit._format.proof_file import Evidence
from audit_emit._signing.trusted_keys import Ed25519Key, HmacKey, Key, KeyRing

VECTORS = Path(__file__).parents[1] / "vectors"
CHECKPOINTS = (VECTORS / "five-records-checkpoints.jsonl").read_bytes().splitlines(keepends=True)
MORE: dict[str, Any] = json.loads((VECTORS / "five-records-proofs.json").read_bytes())
LEAVES = [bytes.fromhex(digest) for digest in EXPECTED["leaf_hashes"]]
ROOTS = [bytes.fromhex(EXPECTED["merkle_roots_by_size"][str(size)]) for size in range(6)]
SHARED = HmacKey(bytes.fromhex(EXPECTED["hmac-sha256"]["key_hex"]))
PAIR = Ed25519Key.from_seed(bytes.fromhex(EXPECTED["ed25519"]["seed_hex"]))
KEYS: dict[str, Key] = {"hmac-sha256": SHARED, "ed25519": PAIR}
RING = KeyRing([SHARED, Ed25519Key.from_vkey(EXPECTED["ed25519"]["vkey"])])


@pytest.mark.parametrize("line", CHECKPOINTS)
def test_a_checkpoint_verifies_and_is_signed_again_to_the_byte(line: bytes) -> None:
    found = Checkpoint.from_line(line)
    assert check(found, RING) == "ok"
    assert bytes.fromhex(found.root_hash) == ROOTS[found.head_seq]
    again = sign(
        KEYS[found.sig_alg],
        at=found.at,
        origin=found.origin,
        chain=found.chain,
        size=found.head_seq,
        head_hash=EXPECTED["leaf_hashes"][found.head_seq - 1],
        root=ROOTS[found.head_seq],
        reason=found.reason,
        version=found.v,
    )
    assert again.to_line() == line


def test_the_frontier_of_each_size() -> None:
    frontier = Frontier()
    for size in range(6):
        assert frontier.to_text() == MORE["frontiers_by_size"][str(size)]
        assert Frontier.from_text(frontier.to_text()).root() == ROOTS[size]
        if size < 5:
            frontier.append(LEAVES[size])


@pytest.mark.parametrize("case", MORE["consistency_proofs"])
def test_a_consistency_proof(case: dict[str, Any]) -> None:
    first, second = case["first"], case["second"]
    proof = [bytes.fromhex(value) for value in case["proof"]]
    assert consistency_proof(first, second, LEAVES) == proof
    assert verify_consistency(first, second, ROOTS[first], ROOTS[second], proof)


@pytest.mark.parametrize("file", MORE["proof_files"])
def test_a_proof_file(file: dict[str, Any]) -> None:
    found = Evidence.from_bytes(json.dumps(file).encode())
    assert found.judge(RING).verdict == "ok"
    assert found.record.encode() + b"\n" == LINES[found.leaf_index]


def test_the_change_of_key() -> None:
    fields = MORE["key_rotation"]
    assert check_rotation(fields, RING) == "ok"
    assert rotation_fields(SHARED, PAIR, fields["origin"]) == fields


def test_the_id_of_the_shared_key() -> None:
    assert SHARED.key_id("any") == MORE["hmac_key_id"]
