"""A failover that lost the end of a chain, when no replica is left that knows: the signer does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.postgres_records import drafts, lines_of, only_chain
from support.postgres_server import Database, Server, server

from audit_emit import open_log
from audit_emit._settings.address import Address
from audit_emit._stores.postgres import schema
from audit_emit._stores.postgres.chains import Chains
from audit_emit.cli import main

KEY = "00" * 32


@pytest.fixture
def pair() -> Iterator[tuple[Server, Server]]:
    """A server, and one that may become a copy of it."""
    with server("wal_level=replica", "max_wal_senders=4") as primary:
        other = Server()
        try:
            yield primary, other
        finally:
            other.remove()


def append(where: Server, many: int) -> None:
    """A replica that is started for it, and then ends: the next one knows nothing of it."""
    chains = Chains(Address(where.url("shop")), service="shop")
    chains.append(drafts(many))
    chains.close()


def test_a_lost_tail_is_seen_by_the_newest_checkpoint_after_every_replica_was_restarted(
    pair: tuple[Server, Server],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    primary, promoted = pair
    monkeypatch.setenv("AUDIT_EMIT_SIGNING_KEY", KEY)
    memory, signed = tmp_path / "seen", ["checkpoint", "--state", str(tmp_path / "state")]
    primary.run("CREATE DATABASE shop")
    schema.migrate(Address(primary.url("shop")))
    before = Database(primary, "shop")

    def verified(remember: Path | None = None) -> int:
        log = open_log(before.url, keys=[KEY])
        return log.verify(remember=remember, anchor_required=False).exit_status

    append(primary, 20)
    assert main([*signed, before.url]) == 0
    primary.copy_to(promoted)
    append(primary, 30)
    assert main([*signed, before.url]) == 0
    assert open_log(before.url, keys=[KEY]).verify(remember=memory).exit_status == 0
    chain, last = only_chain(before), len(lines_of(before))

    primary.stop(signal.SIGQUIT)
    (promoted.data / "standby.signal").unlink()
    promoted.port = primary.port  # everybody asks the same address as before
    promoted.start()
    after = Database(promoted, "shop")
    append(promoted, 60)  # nobody that writes remembers the records that are lost
    assert only_chain(after) == chain
    assert len(lines_of(after)) > last

    # The database itself holds nothing that tells: the newest checkpoint went with the records.
    assert verified() == 0
    capsys.readouterr()
    assert main([*signed, after.url]) == 1
    assert "no checkpoint of" in capsys.readouterr().err
    assert after.run("SELECT count(*) FROM audit_emit.checkpoints") == [(1,)]
    assert verified(memory) == 1
