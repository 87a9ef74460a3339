"""Tiles against a signed root: each is checked, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import merkle_rfc6962

from audit_emit._checkpoints.signed_tiles import SignedTiles, count, edges
from audit_emit._checkpoints.tiles import Store, TiledFrontier, path_of
from audit_emit._format.chain import Frontier, merkle_root
from audit_emit.errors import CheckpointError

SIZES = [1, 255, 256, 257, 600, 65_536, 66_000]
LEAVES = merkle_rfc6962.numbered(66_000)


def grown(directory: Path, size: int) -> Store:
    store = Store(str(directory))
    tree = TiledFrontier(store, Frontier())
    tree.take(b"".join(LEAVES[:size]))
    tree.flush()
    return store


def tiles(store: Store, size: int) -> SignedTiles:
    return SignedTiles(store, size, merkle_root(LEAVES[:size]))


@pytest.mark.parametrize("size", SIZES)
def test_right_ones_are_right(tmp_path: Path, size: int) -> None:
    made = tiles(grown(tmp_path, size), size)
    looked = list(made.wrong())
    assert set(looked) <= {None}
    assert len(looked) == count(size)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == count(size) + len(list(edges(size)))


def test_a_row_is_what_was_written(tmp_path: Path) -> None:
    made = tiles(grown(tmp_path, 600), 600)
    assert made.row(0, 1) == b"".join(LEAVES[256:512])
    assert made.row(0, 2, 88) == b"".join(LEAVES[512:600])
    assert made.row(0, 2, 5) == b"".join(LEAVES[512:517])
    for none in ((0, 2, 89), (0, 3, 1), (1, 0, 3), (7, 0, 1), (0, 2, 0)):
        with pytest.raises(LookupError):
            made.row(*none)


@pytest.mark.parametrize("tile", [(0, 0), (0, 255), (1, 0)])
def test_a_wrong_one_is_named_and_not_given_out(tmp_path: Path, tile: tuple[int, int]) -> None:
    store = grown(tmp_path, 66_000)
    path = tmp_path.joinpath(*path_of(*tile))
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    made = tiles(store, 66_000)
    assert [one.path for one in made.wrong() if one is not None] == ["/".join(path_of(*tile))]
    with pytest.raises(CheckpointError, match="is not the one that was signed"):
        made.row(*tile)


def test_a_missing_one_is_named(tmp_path: Path) -> None:
    store = grown(tmp_path, 600)
    tmp_path.joinpath("tile/0/001").unlink()
    (wrong,) = [one for one in tiles(store, 600).wrong() if one is not None]
    assert (wrong.path, wrong.missing, wrong.first_seq, wrong.last_seq) == (
        "tile/0/001", True, 257, 512,
    )  # fmt: skip


def test_the_last_ones_must_give_the_root(tmp_path: Path) -> None:
    store = grown(tmp_path, 600)
    path = tmp_path / "tile/0/002.p/88"
    path.write_bytes(bytes(88 * 32))
    with pytest.raises(CheckpointError):
        tiles(store, 600)
    path.unlink()
    with pytest.raises(LookupError):
        tiles(store, 600)
