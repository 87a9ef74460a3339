"""The settings of those who sign: which key, from where, and whether this process uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.five_records import EXPECTED

from audit_emit import ConfigError, Emitter
from audit_emit._settings.settings import settings
from audit_emit._signing.trusted_keys import HmacKey, KeyRing

HEX = "5e" * 32
OTHER = "a7" * 32
VKEY = EXPECTED["ed25519"]["vkey"]


def key_id(hexadecimal: str) -> str:
    found = HmacKey(bytes.fromhex(hexadecimal)).key_id("")
    assert found is not None
    return found


def signer_id(made: Any) -> str | None:
    assert made.signing_key is not None
    found: str | None = made.signing_key.signer.key_id("")
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(OTHER)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    "given", [HEX, bytes.fromhex(HEX), KeyRing([HmacKey(bytes.fromhex(HEX))]), f"{OTHER}\n{HEX}"]
)
def test_a_key_turns_checkpoints_on(given: Any) -> None:
    made = settings({"signing_key": given}, {})
    assert signer_id(made) == key_id(HEX)
    assert made.checkpoint
    assert made.sources["checkpoint"] == made.sources["signing_key"] == "argument"
    assert not settings({"signing_key": given, "checkpoint": False}, {}).checkpoint
    off = settings({"signing_key": given}, {"AUDIT_EMIT_CHECKPOINT": "0"})
    assert not off.checkpoint


def test_without_a_key_they_are_off() -> None:
    made = settings({}, {"AUDIT_EMIT_SIGNING_KEY": "", "AUDIT_EMIT_SIGNING_KEY_FILE": ""})
    assert not made.checkpoint
    assert made.signing_key is None


def test_the_key_wins_over_the_file_and_arguments_over_the_environment(file: Path) -> None:
    in_file = {"AUDIT_EMIT_SIGNING_KEY_FILE": str(file)}
    assert signer_id(settings({}, in_file)) == key_id(OTHER)
    assert signer_id(settings({}, {**in_file, "AUDIT_EMIT_SIGNING_KEY": HEX})) == key_id(HEX)
    nearer = settings({"signing_key_file": file}, {"AUDIT_EMIT_SIGNING_KEY": HEX})
    assert signer_id(nearer) == key_id(OTHER)


def test_a_public_key_last_cannot_sign(file: Path) -> None:
    for given in (VKEY, f"{HEX} {VKEY}", KeyRing()):
        with pytest.raises(ConfigError, match="public half"):
            settings({"signing_key": given}, {})
    assert signer_id(settings({"signing_key": f"{VKEY} {HEX}"}, {})) == key_id(HEX)


def test_a_key_file_for_everybody_is_refused(file: Path) -> None:
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="mode"):
        settings({"signing_key_file": file}, {})


def test_checkpoints_without_a_key_are_told_and_left_out() -> None:
    told: list[ConfigError] = []
    made = settings({}, {"AUDIT_EMIT_CHECKPOINT": "1"}, on_error=told.append)
    assert [error.setting for error in told] == ["checkpoint"]
    assert not made.checkpoint


def test_the_origin_is_named_after_the_service() -> None:
    assert settings({"service": "shop"}, {}).log_origin == "audit_emit/shop"
    assert settings({"origin": "a.example/shop"}, {}).log_origin == "a.example/shop"


def test_no_repr_and_no_health_shows_a_key(tmp_path: Path) -> None:
    emitter = Emitter(jsonl=tmp_path / "a.jsonl", stdout=False, signing_key=HEX)
    shown = f"{emitter.settings!r} {emitter.settings.public()} {emitter.health()} {emitter!r}"
    assert HEX not in shown
    assert repr(bytes.fromhex(HEX)) not in shown
    assert emitter.settings.public()["signing_key"] == "set"
    emitter.close()


def test_where_the_state_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "state"
    assert settings({}, {}).checkpoint_state is None
    found = settings({}, {"AUDIT_EMIT_CHECKPOINT_STATE": str(path)})
    assert found.checkpoint_state == str(path)
    assert found.public()["checkpoint_state"] == str(path)
    assert settings({"checkpoint_state": path}, {}).checkpoint_state == str(path)
    for wrong in (5, str(tmp_path), str(tmp_path / "no" / "state"), "a\0b"):
        with pytest.raises(ConfigError, match="checkpoint_state"):
            settings({"checkpoint_state": wrong}, {})
