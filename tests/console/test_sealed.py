"""Pages say whether a sealed value can still be opened, and open none."""

from __future__ import annotations

import pytest
from support.sealed_log import Sealed, sealed_log

from audit_emit.console import sealed
from audit_emit.console.records import detail_of, row_of

__all__ = ["sealed_log"]


def test_a_page_says_sealed_and_erased(sealed_log: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed._sight.cache_clear()
    (line,) = [one for one in sealed_log.path.read_bytes().splitlines() if b"aes256gcm" in one]
    assert "[sealed]" in row_of(line).fields
    assert ("email", "[sealed]") in [(name, text) for name, text in detail_of(line).fields]
    sealed_log.run("erase", "u-17")
    assert "[erased]" in row_of(line).fields
    sealed._sight.cache_clear()
    monkeypatch.delenv("AUDIT_EMIT_SUBJECT_KEYS")
    assert "[sealed]" in row_of(line).fields
    sealed._sight.cache_clear()
