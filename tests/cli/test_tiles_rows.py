"""Tiles, witnesses and anchors of a chain in PostgreSQL: beside the state of its signer."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.postgres_server import Database
from support.waiting import PATIENCE

from audit_emit import Emitter
from audit_emit._signing.trusted_keys import private_pem
from audit_emit.cli import main
from audit_emit.cli._exit import Exit
from audit_emit.log import open_log


def test_the_signer_keeps_them_and_everybody_else_finds_them(
    audited: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key.pem"
    key.write_text(private_pem(b"p" * 32))
    key.chmod(0o600)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("AUDIT_EMIT_ANCHORS", f"file:{tmp_path / 'kept'}")
    where = audited.as_user("the_writer")
    emitter = Emitter(service="shop", store=where, jsonl="off", stdout=False)
    for number in range(300):
        emitter.emit(None, "secret.set", {"n": number})
    assert emitter.flush(PATIENCE)
    emitter.close()
    assert main(["checkpoint", where, "--key", str(key)]) == Exit.OK
    assert (tmp_path / "kept").exists()
    (tile,) = (tmp_path / "state").glob("audit_emit/signer/*/tile/0/000")
    assert main(["tiles", "check", where, "--key", str(key)]) == Exit.OK
    tile.write_bytes(bytes(8192))
    assert main(["tiles", "check", where, "--key", str(key)]) == Exit.FINDINGS
    assert open_log(where, keys=[str(key)]).prove(300).tree_size >= 300
    words = ["verify", where, "--key", str(key), "--no-anchor-required"]
    assert main([*words, "--anchor", str(tmp_path / "kept")]) == Exit.OK
