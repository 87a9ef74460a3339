from __future__ import annotations

import hashlib

import pytest
from support.for_each import for_each

from audit_emit._format import merkle_ranges
from audit_emit._format.chain import Frontier, merkle_root
from audit_emit._format.merkle_ranges import HASH, Parents, nodes_of
from audit_emit._runtime import compiled

LEAVES = [hashlib.sha256(b"%d" % number).digest() for number in range(600)]
WAYS = [None] if compiled.parents is None else [None, compiled.parents]


@pytest.fixture(params=WAYS, ids=lambda way: "interpreted" if way is None else "compiled")
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Parents | None:
    monkeypatch.setattr(merkle_ranges, "parents", request.param)
    found: Parents | None = request.param
    return found


@pytest.mark.usefixtures("way")
def test_ranges_that_are_hashed_apart_give_the_tree_over_all_of_them() -> None:
    for middle in (0, 1, 2, 3, 255, 256, 257, 300, 599, 600):
        tree = Frontier()
        for start, end in ((0, middle), (middle, len(LEAVES))):
            tree.extend(nodes_of(start, b"".join(LEAVES[start:end])))
        assert (tree.size, tree.root()) == (len(LEAVES), merkle_root(LEAVES))


@pytest.mark.usefixtures("way")
@for_each("start", (0, 1, 2, 3, 7, 8, 255, 2**40 + 3, 2**62 - 1))
def test_a_range_is_cut_where_subtrees_end(start: int) -> None:
    for count in (*range(20), 255, 256, 600):
        begin, found = start, nodes_of(start, b"".join(LEAVES[:count]))
        for level, root in found:
            assert begin % (1 << level) == 0
            under = LEAVES[begin - start : begin - start + (1 << level)]
            assert (len(under), merkle_root(under)) == (1 << level, root)
            begin += 1 << level
        assert begin == start + count
        assert len(found) <= 2 * count.bit_length()


@pytest.mark.usefixtures("way")
def test_a_hash_that_is_cut_off_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        nodes_of(0, LEAVES[0][: HASH - 1])
