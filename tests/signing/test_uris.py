"""Keys by URI: what is refused, and that no message repeats a URI."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_emit._signing.remote import RemoteKey
from audit_emit._signing.trusted_keys import HmacKey, KeyRing, parse_keys
from audit_emit._signing.uris import is_uri, remote_key
from audit_emit.errors import ConfigError

PUBLIC = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"
"""Of the seed 0, 1, … 31."""

SECRET = "hunter" + "-two"
AGENT = f"ssh-agent:/s?public={PUBLIC}"


def test_a_public_key_is_pinned_in_either_alphabet() -> None:
    standard = PUBLIC.replace("-", "+").replace("_", "/") + "="
    keys = [remote_key("k", f"ssh-agent:/s?public={text}") for text in (PUBLIC, standard)]
    assert {key.public for key in keys} == {keys[0].public}
    assert repr(keys[0]) == f"RemoteKey(the SSH agent, {keys[0].fingerprint})"


def test_it_stands_wherever_a_key_may(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{'ab' * 32}\n{AGENT}\n")
    file.chmod(0o600)
    assert isinstance(KeyRing.from_sources([AGENT]).signer, RemoteKey)
    assert isinstance(KeyRing.from_sources([], {"AUDIT_EMIT_SIGNING_KEY": AGENT}).signer, RemoteKey)
    for source in (str(file), f"file:{file}", f"file://{file}"):
        shared, held = KeyRing.from_sources([source]).keys
        assert isinstance(shared, HmacKey)
        assert isinstance(held, RemoteKey)
    named = {"AUDIT_EMIT_SIGNING_KEY": f"file:{file}"}
    assert len(KeyRing.from_sources([], named).keys) == 2


def test_a_file_of_keys_names_no_other_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"file:{file}")
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="is no key"):
        KeyRing.from_sources([str(file)])


@pytest.mark.parametrize(
    "uri",
    [
        f"pkcs11:token=a;object=b?module-path=/m.so&pin-value={SECRET}",
        f"pkcs11:token=a;object=b;pin-value={SECRET}?module-path=/m.so",
        f"pkcs11:token=a;object=b?module-path=/m.so&pin%2Dvalue={SECRET}",
        f"openbao://user:{SECRET}@host/audit?version=1",
        f"vault:audit?version=1&token={SECRET}",
        f"awskms://id:{SECRET}@alias/audit",
        f"ssh-agent:/s?password={SECRET}",
    ],
)
def test_a_password_is_refused_and_not_shown(uri: str) -> None:
    with pytest.raises(ConfigError, match="holds a password or a token") as caught:
        parse_keys("k", f"{uri}&public={PUBLIC}")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("ssh-agent:/s?public=AAAA", "not base64 of the 32 bytes"),
        ("ssh-agent:/s?public=%2a", "not base64"),
        (f"ssh-agent:/s?public={'A' * 43}", "not base64 of the 32 bytes of an Ed25519 key"),
        (f"{AGENT}&public={PUBLIC}", "twice"),
        (f"{AGENT}&timeout=0", "timeout"),
        (f"{AGENT}&timeout=61", "timeout"),
        (f"{AGENT}&{SECRET}=1", "a parameter that ssh-agent: has not"),
        (f"ssh-agent:?public={PUBLIC}", "SSH_AUTH_SOCK"),
        ("ssh-agent:/nowhere", "pins no public key; the SSH agent cannot be asked"),
        (f"openbao:audit?public={PUBLIC}", "version"),
        (f"openbao:a/../b?version=1&public={PUBLIC}", "names no key"),
        (f"openbao:audit?version=1&mount=a/../b&public={PUBLIC}", "names no key"),
        (f"openbao:audit?version=1&public={PUBLIC}", "BAO_ADDR"),
        (f"awskms:?public={PUBLIC}", "names no key"),
        (f"awskms:alias/a?endpoint=ftp://x&public={PUBLIC}", "endpoint"),
        (f"awskms:alias/a?region=/&public={PUBLIC}", "region"),
        (f"pkcs11:token=a;object=b?public={PUBLIC}", "module-path"),
        (f"pkcs11:token=a?module-path=/m.so&public={PUBLIC}", "names no key"),
        (f"pkcs11:colour=red?module-path=/m.so&public={PUBLIC}", "not known"),
        ("file:", "without a path"),
        ("file://host/key", "another host"),
    ],
)
def test_what_cannot_be_used_is_said(uri: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSH_AUTH_SOCK", "BAO_ADDR", "VAULT_ADDR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=why) as caught:
        KeyRing.from_sources([uri])
    assert SECRET not in str(caught.value)


def test_other_words_are_no_uris() -> None:
    assert not any(map(is_uri, ("key.pem", "ab" * 32, "http://a/b", "a+00000000+AAAA", "VAULT")))
