"""What C2SP tlog-tiles asks of a server: every byte checked, no path made of a request."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.prunable_log import PrunableLog

from audit_emit._checkpoints import serve_tiles
from audit_emit._checkpoints.entries import bundle_of
from audit_emit._checkpoints.serve_tiles import TileService
from audit_emit._format.chain import body_of
from audit_emit._format.signed_note import Note
from audit_emit._readers.opening import open_reader
from audit_emit._runtime.http_server import Answer, Request
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing
from audit_emit.errors import CheckpointError

RING = KeyRing([Ed25519Key.from_seed(b"s" * 32)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> PrunableLog:
    return PrunableLog(tmp_path_factory.mktemp("made") / "log", records=700, part=600, ring=RING)


@pytest.fixture
def log(made: PrunableLog, tmp_path: Path) -> PrunableLog:
    return made.copy(tmp_path / "log")


def service(log: PrunableLog, *, entries: bool = True) -> TileService:
    return TileService(lambda: open_reader(str(log.path)), RING, entries=entries)


def get(log: PrunableLog, path: str) -> Answer:
    return service(log).answer(Request("GET", path))


def entries(bundle: bytes) -> Iterator[bytes]:
    while bundle:
        size = int.from_bytes(bundle[:2], "big")
        yield bundle[2 : 2 + size]
        bundle = bundle[2 + size :]


def test_the_checkpoint_is_a_signed_note(log: PrunableLog) -> None:
    answer = get(log, "/checkpoint")
    note = Note.from_bytes(answer.body)
    assert note.text.splitlines()[1] == "700"
    assert note.check(RING) == "ok"
    assert (answer.status, answer.cached) == (200, "no-cache")


def test_tiles_are_those_of_the_log(log: PrunableLog) -> None:
    for path in ("tile/0/000", "tile/0/002.p/188", "tile/1/000.p/2"):
        assert get(log, f"/{path}").body == (log.path / path).read_bytes()
    assert get(log, "/tile/0/002.p/7").body == get(log, "/tile/0/002.p/188").body[: 7 * 32]


@pytest.mark.parametrize(("path", "first"), [("001", 257), ("002.p/188", 513)])
def test_entries_are_the_bodies_that_are_hashed(log: PrunableLog, path: str, first: int) -> None:
    found = list(entries(get(log, f"/tile/entries/{path}").body))
    lines = log.lines[first - 1 : first - 1 + len(found)]
    assert found == [body_of(line) for line in lines]
    leaves = b"".join(hashlib.sha256(b"\0" + entry).digest() for entry in found)
    assert leaves == get(log, f"/tile/0/{path}").body


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/tile",
        "/tile/0/x000/001",
        "/tile/0/1",
        "/tile/00/000",
        "/tile/64/000",
        "/tile/0/000.p/256",
        "/tile/0/002.p/0",
        "/tile/0/002.p/189",
        "/tile/0/003",
        "/tile/0/x999/x999/x999/x999/x999/x999/999",
        "/tile/0/../../audit.jsonl",
        "/tile/0/000\n",
        "/tile/0/\N{ARABIC-INDIC DIGIT ONE}00",
        "//checkpoint",
        "/checkpoints.jsonl",
        "/audit.jsonl",
    ],
)
def test_nothing_else_is_there(log: PrunableLog, path: str) -> None:
    assert get(log, path).status == 404


def test_with_hashes_only_no_record_is_given_out(log: PrunableLog) -> None:
    served = service(log, entries=False)
    assert served.answer(Request("GET", "/tile/entries/000")).status == 404
    assert served.answer(Request("GET", "/tile/0/000")).status == 200


def test_a_changed_record_is_not_given_out(log: PrunableLog) -> None:
    (path, *_) = log.segments()
    path.write_bytes(path.read_bytes().replace(b'"n":300}', b'"n":301}'))
    with pytest.raises(CheckpointError, match=r"record .* is not the one signed"):
        get(log, "/tile/entries/001")
    assert get(log, "/tile/entries/000").status == 200


def test_a_changed_tile_is_not_given_out(log: PrunableLog) -> None:
    path = log.path / "tile/0/001"
    path.write_bytes(bytes(8192))
    with pytest.raises(CheckpointError, match="is not the one that was signed"):
        get(log, "/tile/0/001")


def test_it_goes_on_with_the_log(log: PrunableLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit_emit._checkpoints.serve_tiles._LOOK_SECONDS", 0.0)
    served = service(log)
    assert served.look() == 700
    log.append("audit.started", {})
    log.sign()
    width = int(Note.from_bytes(served.answer(Request("GET", "/checkpoint")).body).text.split()[1])
    assert width > 700
    assert served.answer(Request("GET", f"/tile/entries/002.p/{width - 512}")).status == 200


def test_removed_records_are_not_there_but_their_hashes_are(tmp_path: Path) -> None:
    log = PrunableLog(tmp_path / "log", records=1400, part=300, ring=RING)
    assert log.prune(30).removal is not None
    assert get(log, "/tile/entries/000").status == 404
    assert get(log, "/tile/0/000").status == 200
    assert get(log, "/tile/entries/003").status == 200


def test_for_a_removed_record_the_rest_of_the_log_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = PrunableLog(tmp_path / "log", records=800, part=50, ring=RING)
    log.prune(30)
    read = 0
    with open_reader(str(log.path)) as reader:
        blocks = reader.blocks

        def counted(**how: Any) -> Iterator[Any]:
            nonlocal read
            for block in blocks(**how):
                read += 1
                yield block

        monkeypatch.setattr(reader, "blocks", counted)
        with pytest.raises(LookupError, match="record 1 is not in the log"):
            bundle_of(reader, 0, bytes(8192))
    assert read <= 2 < len(log.segments())


def test_so_many_bundles_are_held_at_once_and_no_more(
    log: PrunableLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve_tiles, "BUNDLES", 1)
    monkeypatch.setattr(serve_tiles, "BUNDLE_SECONDS", 0.0)
    served = service(log)
    path = log.active
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"n":650}', b'"n":651}'))
    with pytest.raises(CheckpointError):
        served.answer(Request("GET", "/tile/entries/002.p/188"))
    first = served.answer(Request("GET", "/tile/entries/000"))
    assert first.status == 200
    assert served.answer(Request("GET", "/tile/entries/001")).status == 503
    assert served.answer(Request("GET", "/tile/0/001")).status == 200
    first.over()
    assert served.answer(Request("GET", "/tile/entries/001")).status == 200


def test_without_tiles_nothing_is_served(log: PrunableLog) -> None:
    shutil.rmtree(log.path / "tile")
    with pytest.raises(LookupError):
        service(log).look()
