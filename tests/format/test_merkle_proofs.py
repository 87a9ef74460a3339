"""Proofs against the vectors of transparency-dev/merkle, our own, and the text of the RFC."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import merkle_rfc6962
from support.for_each import for_each
from support.merkle_vectors import OURS, THEIRS, cases

from audit_emit._format.merkle_proofs import (
    consistency_proof,
    inclusion_proof,
    verify_consistency,
    verify_inclusion,
)

INCLUSION = [*cases(OURS, "inclusion"), *cases(THEIRS, "inclusion")]
CONSISTENCY = [*cases(OURS, "consistency"), *cases(THEIRS, "consistency")]
LEAVES = merkle_rfc6962.numbered(40)


@pytest.mark.skipif(not THEIRS.exists(), reason="the vectors of transparency-dev are not here")
def test_all_vectors_of_transparency_dev_are_there() -> None:
    assert len(cases(THEIRS, "inclusion")) + len(cases(THEIRS, "consistency")) == 196


@for_each("case", INCLUSION)
def test_an_inclusion_vector(case: dict[str, Any]) -> None:
    good = verify_inclusion(
        case["leafIdx"], case["treeSize"], case["leafHash"], case["proof"], case["root"]
    )
    assert good is not case["wantErr"]


@for_each("case", CONSISTENCY)
def test_a_consistency_vector(case: dict[str, Any]) -> None:
    good = verify_consistency(
        case["size1"], case["size2"], case["root1"], case["root2"], case["proof"]
    )
    assert good is not case["wantErr"]


@for_each("size", range(1, len(LEAVES) + 1))
def test_every_proof_is_that_of_the_rfc_and_is_accepted(size: int) -> None:
    leaves = LEAVES[:size]
    root = merkle_rfc6962.root(leaves)
    for index in range(size):
        path = inclusion_proof(index, size, LEAVES)
        assert path == merkle_rfc6962.path(index, leaves)
        assert verify_inclusion(index, size, leaves[index], path, root)
    for first in range(1, size + 1):
        proof = consistency_proof(first, size, iter(LEAVES))
        assert proof == merkle_rfc6962.proof(first, leaves)
        assert verify_consistency(first, size, merkle_rfc6962.root(leaves[:first]), root, proof)


@given(data=st.data(), size=st.integers(1, 300))
def test_a_proof_holds_for_nothing_else(data: st.DataObject, size: int) -> None:
    leaves = merkle_rfc6962.numbered(size)
    root = merkle_rfc6962.root(leaves)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_proof(index, size, leaves)
    claimed = data.draw(st.integers(-1, size + 1))
    size_claimed = data.draw(st.integers(0, 2 * size))
    accepted = verify_inclusion(claimed, size_claimed, leaves[index], path, root)
    # The leaf and the path fix the place; a size is only fixed together with the root.
    assert accepted <= (claimed == index)
    assert not verify_inclusion(index, size, merkle_rfc6962.leaf(b"x"), path, root)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 3), (3, 3)])
def test_a_leaf_outside_the_tree_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="not in a tree"):
        inclusion_proof(index, size, LEAVES)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 3), (3, 2), (-1, 2)])
def test_no_proof_leads_from_nothing_or_backwards(first: int, second: int) -> None:
    with pytest.raises(ValueError, match="no proof leads"):
        consistency_proof(first, second, LEAVES)


def test_too_few_leaves_are_told() -> None:
    with pytest.raises(ValueError, match="fewer"):
        inclusion_proof(0, 9, LEAVES[:8])
    with pytest.raises(ValueError, match="fewer"):
        consistency_proof(4, 9, LEAVES[:8])


def test_leaves_beyond_the_tree_are_not_looked_at() -> None:
    def endless() -> Any:
        yield from LEAVES[:8]
        raise AssertionError("a ninth leaf was asked for")

    assert inclusion_proof(3, 8, endless()) == merkle_rfc6962.path(3, LEAVES[:8])
