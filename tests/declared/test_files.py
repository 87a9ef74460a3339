from __future__ import annotations

from pathlib import Path

import pytest

from audit_emit import Event
from audit_emit._declared.files import differing, write
from audit_emit._schemas.given import fingerprint, schemas
from audit_emit._schemas.schema import Schemas


class SecretSet(Event, type="secret.set"):
    key: str


@pytest.fixture
def given() -> Schemas:
    found = schemas("schemas", [SecretSet])
    assert found
    return found


def test_what_is_written_is_taken_again(tmp_path: Path, given: Schemas) -> None:
    assert write(given, str(tmp_path / "new")) == ["secret.set.json"]
    again = schemas("schemas", tmp_path / "new")
    assert again
    assert fingerprint(again) == fingerprint(given)


def test_only_what_differs_is_written(tmp_path: Path, given: Schemas) -> None:
    assert differing(given, str(tmp_path)) == ["secret.set.json"]
    write(given, str(tmp_path))
    assert write(given, str(tmp_path)) == []
    (tmp_path / "secret.set.json").write_text("{}")
    assert differing(given, str(tmp_path)) == ["secret.set.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["secret.set.json"]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path, given: Schemas) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("kept")
    (tmp_path / "secret.set.json").symlink_to(target)
    write(given, str(tmp_path))
    assert target.read_text() == "kept"
