"""Why a path may not be looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_emit.cli._rights import whose


def test_the_nearest_that_can_be_seen_is_named_with_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    told = whose(str(tmp_path / "none" / "audit.jsonl"))
    assert told.startswith(f"{tmp_path} is ")
    assert told.endswith("with mode 0750")


def test_an_account_without_a_name_is_told_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container whose user is in no ``/etc/passwd``."""

    def nameless(_: Path) -> str:
        raise KeyError

    monkeypatch.setattr(Path, "owner", nameless)
    found = tmp_path.stat()
    assert f"{tmp_path} is {found.st_uid}'s, of group " in whose(str(tmp_path))
