from __future__ import annotations

import hashlib

import pytest
from support.for_each import for_each

from audit_emit._format import merkle_ranges
from audit_emit._format.chain import Frontier, merkle_root
from audit_emit._format.merkle_ranges import HASH, Subtrees, nodes_of
from audit_emit._runtime import compiled

LEAVES = [hashlib.sha256(b"%d" % number).digest() for number in range(600)]
WAYS = [None] if compiled.subtrees is None else [None, compiled.subtrees]


@pytest.fixture(params=WAYS, ids=lambda way: "interpreted" if way is None else "compiled")
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Subtrees | None:
    monkeypatch.setattr(merkle_ranges, "subtrees", request.param)
    found: Subtrees | None = request.param
    return found


@pytest.mark.usefixtures("way")
def test_ranges_that_are_hashed_apart_give_the_tree_over_all_of_them() -> None:
    for middle in (0, 1, 2, 3, 255, 256, 257, 300, 599, 600):
        tree = Frontier()
        for start, end in ((0, middle), (middle, len(LEAVES))):
            tree.extend(nodes_of(start, b"".join(LEAVES[start:end])))
        assert (tree.size, tree.root()) == (len(LEAVES), merkle_root(LEAVES))


@pytest.mark.skipif(compiled.subtrees is None, reason="the compiled part is not used here")
@for_each("start", (0, 1, 2, 3, 7, 8, 255, 2**40 + 3, 2**62 - 1))
def test_the_compiled_part_gives_what_python_gives(start: int) -> None:
    for count in (*range(20), 255, 256, 600):
        row = b"".join(LEAVES[:count])
        assert compiled.subtrees(start, row) == merkle_ranges._nodes_of(start, row)


@pytest.mark.skipif(compiled.subtrees is None, reason="the compiled part is not used here")
def test_a_hash_that_is_cut_off_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        compiled.subtrees(0, LEAVES[0][: HASH - 1])
