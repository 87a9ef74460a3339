"""Hash tiles: where they are, what is in them, and that nothing in them is believed."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import merkle_rfc6962

from audit_emit._checkpoints import tile_files
from audit_emit._checkpoints.entries import bundle_of
from audit_emit._checkpoints.prove import make_tiles
from audit_emit._checkpoints.tiles import WIDTH, Store, TiledFrontier, Tiles, hashes, path_of
from audit_emit._format.chain import Frontier, merkle_root
from audit_emit._format.merkle_proofs import inclusion_proof, inclusion_ranges
from audit_emit._readers.opening import open_reader

VECTORS = Path(__file__).parents[1] / "vectors"
LEAVES = merkle_rfc6962.numbered(70_000)


def grown(directory: Path, *sizes: int) -> TiledFrontier:
    """A tree that was left and taken up again at each of the sizes."""
    store = Store(str(directory))
    tree = TiledFrontier(store, Frontier())
    for size in sizes:
        again = TiledFrontier.resume(store, tree.copy())
        assert again is not None
        tree = again
        tree.take(b"".join(LEAVES[tree.size : size]))
        tree.flush()
        assert tree.error is None
    return tree


def files(directory: Path) -> dict[str, int]:
    """The size of every tile, by its path."""
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.stat().st_size for path in found}


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        ((0, 0), "tile/0/000"),
        ((0, 67), "tile/0/067"),
        ((0, 1234067), "tile/0/x001/x234/067"),
        ((1, 999), "tile/1/999"),
        ((1, 1000), "tile/1/x001/000"),
        ((0, 0, 5), "tile/0/000.p/5"),
        ((3, 1000, 255), "tile/3/x001/000.p/255"),
    ],
)
def test_the_paths_are_those_of_c2sp(tile: tuple[int, ...], path: str) -> None:
    assert "/".join(path_of(*tile)) == path


def test_what_is_written_is_what_the_specification_says(tmp_path: Path) -> None:
    tree = grown(tmp_path, 70_000)
    assert tree.root() == merkle_root(LEAVES)
    full, rest = divmod(70_000, WIDTH)
    there = files(tmp_path)
    assert len(there) == full + 1 + 1 + 1 + 1
    assert there[f"tile/0/{full}.p/{rest}"] == rest * 32
    assert there["tile/1/000"] == WIDTH * 32
    assert there[f"tile/1/001.p/{full - WIDTH}"] == (full - WIDTH) * 32
    assert there["tile/2/000.p/1"] == 32
    row = hashes((tmp_path / "tile/1/000").read_bytes())
    assert row[7] == merkle_root(LEAVES[7 * WIDTH : 8 * WIDTH])
    assert (tmp_path / "tile/0/000").read_bytes() == b"".join(LEAVES[:WIDTH])
    assert (tmp_path / "tile/2/000.p/1").read_bytes() == merkle_root(LEAVES[:65536])
    assert (tmp_path / "tile/0/000").stat().st_mode & 0o137 == 0


@pytest.mark.parametrize(
    "sizes",
    [(1, 2, 3), (255, 256, 257), (256, 512), (100, 100, 300), (1, 65_535, 65_536, 65_537, 66_000)],
)
def test_a_tree_that_is_taken_up_again_has_the_same_tiles(
    tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    (tmp_path / "once").mkdir()
    (tmp_path / "often").mkdir()
    grown(tmp_path / "often", *sizes)
    grown(tmp_path / "once", sizes[-1])
    assert files(tmp_path / "often") == files(tmp_path / "once")
    for name in files(tmp_path / "once"):
        here, there = (tmp_path / each / name for each in ("often", "once"))
        assert here.read_bytes() == there.read_bytes()


def test_leaf_by_leaf_it_is_the_same_tree(tmp_path: Path) -> None:
    tree = TiledFrontier(Store(str(tmp_path)), Frontier())
    for size, leaf in enumerate(LEAVES[:600], 1):
        tree.append(leaf)
        assert tree.size == size
    assert tree.root() == merkle_rfc6962.root(LEAVES[:600])
    tree.flush()
    assert Tiles(Store(str(tmp_path))).root(0, 600) == tree.root()


@given(data=st.data(), size=st.integers(1, 1200))
def test_every_range_of_a_proof_is_read_from_tiles(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, size: int
) -> None:
    directory = tmp_path_factory.getbasetemp() / "tiles"
    if not directory.exists():
        directory.mkdir(exist_ok=True)
        grown(directory, 1200)
    index = data.draw(st.integers(0, size - 1))
    tiles = Tiles(Store(str(directory)))
    path = [tiles.root(*part) for part in inclusion_ranges(index, size)]
    assert path == inclusion_proof(index, size, LEAVES)
    assert tiles.root(0, size) == merkle_root(LEAVES[:size])


def test_a_narrower_tree_is_read_from_wider_parts(tmp_path: Path) -> None:
    wide = grown(tmp_path, 700)
    narrow = Frontier()
    for leaf in LEAVES[:600]:
        narrow.append(leaf)
    again = TiledFrontier.resume(Store(str(tmp_path)), narrow)
    assert again is not None
    again.take(b"".join(LEAVES[600:700]))
    assert again.root() == wide.root()


@pytest.mark.parametrize("name", ["tile/0/002.p/88", "tile/1/000.p/2"])
@pytest.mark.parametrize("change", ["gone", "short", "other"])
def test_a_tree_is_not_taken_up_from_tiles_that_are_not_its_own(
    tmp_path: Path, name: str, change: str
) -> None:
    tree = grown(tmp_path, 600)
    path = tmp_path / name
    data = path.read_bytes()
    path.unlink()
    if change != "gone":
        path.write_bytes(data[:-1] if change == "short" else bytes([data[0] ^ 1]) + data[1:])
    assert TiledFrontier.resume(Store(str(tmp_path)), tree.copy()) is None


def test_a_tile_that_is_not_there_is_told(tmp_path: Path) -> None:
    grown(tmp_path, 600)
    tiles = Tiles(Store(str(tmp_path)))
    with pytest.raises(LookupError, match=r"tile/0/002.p/89"):
        tiles.root(0, 601)


@pytest.mark.parametrize("name", ["tile", "tile/0", "tile/0/000.p"])
def test_no_link_is_followed(tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    directory = tmp_path / "log"
    (directory / name).parent.mkdir(parents=True)
    (directory / name).symlink_to(elsewhere)
    tree = TiledFrontier(Store(str(directory)), Frontier())
    tree.take(b"".join(LEAVES[: 300 if name != "tile/0/000.p" else 200]))
    tree.flush()
    assert tree.error is not None
    assert list(elsewhere.iterdir()) == []
    assert tree.root() == merkle_root(LEAVES[: tree.size]), "the tree grows all the same"


def test_no_descriptor_is_kept(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    grown(tmp_path, 300, 600)
    after = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    assert after == before


def test_more_leaves_than_are_meant_write_no_more_tiles(tmp_path: Path) -> None:
    tree = TiledFrontier(Store(str(tmp_path)), Frontier(), most=600)
    tree.take(b"".join(LEAVES[:5000]))
    tree.flush()
    assert tree.error is not None
    assert len(files(tmp_path)) == 3
    assert tree.root() == merkle_root(LEAVES[:5000])


def test_leaves_beyond_the_limit_are_not_taken(tmp_path: Path) -> None:
    tree = TiledFrontier(Store(str(tmp_path)), Frontier(), limit=300)
    tree.take(b"".join(LEAVES[:299]))
    tree.take(b"".join(LEAVES[299:5000]))
    assert tree.size == 300
    tree.flush()
    assert files(tmp_path).keys() == {"tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"}


VECTOR: dict[str, Any] = json.loads((VECTORS / "tiles.json").read_bytes())


def test_the_vectors_of_a_large_tree(tmp_path: Path) -> None:
    tree = grown(tmp_path, VECTOR["size"])
    assert tree.root().hex() == VECTOR["root"]
    for path, digest in VECTOR["sha256"].items():
        assert hashlib.sha256((tmp_path / path).read_bytes()).hexdigest() == digest


def test_the_vectors_of_five_records(tmp_path: Path) -> None:
    lines = (VECTORS / "five-records.jsonl").read_bytes()
    (tmp_path / "audit.jsonl").write_bytes(lines)
    expected = {name: base64.b64decode(text) for name, text in VECTOR["five_records"].items()}
    row = expected["tile/0/000.p/5"]
    with open_reader(str(tmp_path)) as reader:
        make_tiles(reader, 5, None)
        assert bundle_of(reader, 0, row) == expected["tile/entries/000.p/5"]
    assert (tmp_path / "tile/0/000.p/5").read_bytes() == row


@pytest.fixture(params=["as the system can", "by a rename"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way in which a tile gets its name."""
    if request.param == "by a rename":
        monkeypatch.setattr(tile_files, "_UNNAMED", None)


@pytest.mark.usefixtures("way")
def test_a_tile_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    monkeypatch.setattr(os, "write", lambda descriptor, data: len(data) - 1)
    with pytest.raises(OSError, match="could not be written whole"):
        store.write(0, 0, bytes(8192))
    store.close()
    assert files(tmp_path) == {}


@pytest.mark.usefixtures("way")
def test_a_tile_takes_the_place_of_another_and_leaves_an_equal_one(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write(0, 0, b"a" * 8192)
    first = (tmp_path / "tile/0/000").stat()
    store.write(0, 0, b"a" * 8192)
    assert (tmp_path / "tile/0/000").stat().st_ino == first.st_ino
    assert first.st_mode & 0o777 == 0o640 & ~_umask()
    store.write(0, 0, b"b" * 8192)
    store.close()
    assert (tmp_path / "tile/0/000").read_bytes() == b"b" * 8192
    assert files(tmp_path) == {"tile/0/000": 8192}


@pytest.mark.usefixtures("way")
def test_a_tile_is_not_written_through_a_link_that_has_its_name(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"kept")
    (tmp_path / "tile/0").mkdir(parents=True)
    (tmp_path / "tile/0/000").symlink_to(elsewhere)
    store = Store(str(tmp_path))
    store.write(0, 0, bytes(8192))
    store.close()
    assert elsewhere.read_bytes() == b"kept"
    assert not (tmp_path / "tile/0/000").is_symlink()


def _umask() -> int:
    now = os.umask(0o022)
    os.umask(now)
    return now


def test_a_file_that_another_process_left_half_written_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_files, "_UNNAMED", None)
    (tmp_path / "tile/0").mkdir(parents=True)
    left = tmp_path / f"tile/0/.000.{os.getpid()}.{threading.get_ident()}"
    left.write_bytes(b"half")
    store = Store(str(tmp_path))
    store.write(0, 0, bytes(8192))
    store.close()
    assert files(tmp_path) == {"tile/0/000": 8192}
