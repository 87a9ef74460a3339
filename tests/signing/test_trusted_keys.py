"""Keys from files, variables and text; and that none of them is ever shown."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.five_records import EXPECTED
from support.waiting import PATIENCE

from audit_emit._signing.trusted_keys import (
    Ed25519Key,
    HmacKey,
    KeyRing,
    note_key_id,
    parse_keys,
    read_keys,
)
from audit_emit.errors import ConfigError

SEED = bytes.fromhex(EXPECTED["ed25519"]["seed_hex"])
PRIVATE = Ed25519PrivateKey.from_private_bytes(SEED)
PEM = PRIVATE.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()
PUBLIC_PEM = (
    PRIVATE.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
HEX = EXPECTED["hmac-sha256"]["key_hex"]
OTHER_HEX = "ab" * 32
VKEY = EXPECTED["ed25519"]["vkey"]
ORIGIN = VKEY.partition("+")[0]


def written(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_hex_is_an_hmac_key() -> None:
    (key,) = parse_keys("k", f"{HEX}\n")
    assert isinstance(key, HmacKey)
    assert key.secret
    assert key.verify(b"text", key.sign(b"text"))
    assert not key.verify(b"text", key.sign(b"texT"))


def test_pem_is_an_ed25519_pair_or_its_public_half() -> None:
    (pair,) = parse_keys("k", PEM)
    (public,) = parse_keys("k", PUBLIC_PEM)
    assert (pair.secret, public.secret) == (True, False)
    assert public.verify(b"text", pair.sign(b"text"))
    assert not public.verify(b"texT", pair.sign(b"text"))
    with pytest.raises(ValueError, match="public half"):
        public.sign(b"text")


def test_a_verifier_key_is_the_public_half() -> None:
    (key,) = parse_keys("k", VKEY)
    assert isinstance(key, Ed25519Key)
    assert key.public.hex() == EXPECTED["ed25519"]["public_hex"]
    assert key.key_id(ORIGIN) == EXPECTED["ed25519"]["key_id_hex"]
    assert key.to_vkey(ORIGIN) == VKEY
    assert Ed25519Key.from_seed(SEED).to_vkey(ORIGIN) == VKEY


def test_a_verifier_key_is_meant_for_its_name_and_below() -> None:
    key = Ed25519Key.from_vkey(Ed25519Key.from_seed(SEED).to_vkey("a.example/log"))
    assert key.key_id("a.example/log") is not None
    assert key.key_id("a.example/log/00") is not None
    assert key.key_id("a.example/log2") is None
    assert key.key_id("a.example") is None


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        VKEY.replace("eede7c14", "eede7c15"),
        VKEY.replace("+A", "+B"),
        VKEY[:-4],
        VKEY + "AAAA",
        VKEY.replace("/", " ", 1),
        f"+{VKEY}",
    ],
)
def test_a_malformed_verifier_key_is_refused(vkey: str) -> None:
    with pytest.raises(ValueError):
        Ed25519Key.from_vkey(vkey)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "\u00fc", "a\n", "x" * 256])
def test_a_verifier_key_needs_a_proper_name(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Ed25519Key.from_seed(SEED).to_vkey(name)


def test_a_source_may_hold_several_keys_and_the_newest_signs() -> None:
    keys = parse_keys("k", f"{HEX}\n{PEM}\n{VKEY}\n{OTHER_HEX}\n")
    assert [type(key) for key in keys] == [HmacKey, Ed25519Key, Ed25519Key, HmacKey]
    ring = KeyRing(keys)
    assert ring.signer is keys[-1]
    assert KeyRing(keys[:3]).signer is None, "a public key signs nothing"
    assert KeyRing().signer is None


def test_retired_keys_verify() -> None:
    old, new = parse_keys("k", f"{HEX} {OTHER_HEX}")
    ring = KeyRing([old, new])
    for key in (old, new):
        key_id = key.key_id("o")
        assert key_id is not None
        assert ring.check("hmac-sha256", key_id, "o", b"text", key.sign(b"text")) == "ok"
        assert ring.check("hmac-sha256", key_id, "o", b"texT", key.sign(b"text")) == "mismatch"
    assert ring.check("hmac-sha256", "00000000", "o", b"t", b"s") == "key-unavailable"
    assert ring.check("rsa", str(old.key_id("o")), "o", b"t", b"s") == "key-unavailable"


def test_sources_are_files_variables_and_keys(tmp_path: Path) -> None:
    path = written(tmp_path / "key", PEM)
    ring = KeyRing.from_sources([path, "MY_KEY", VKEY, OTHER_HEX], {"MY_KEY": HEX})
    assert [type(key) for key in ring.keys] == [Ed25519Key, HmacKey, Ed25519Key, HmacKey]


def test_without_sources_the_environment_is_looked_at(tmp_path: Path) -> None:
    path = written(tmp_path / "key", PEM)
    environ = {"AUDIT_EMIT_SIGNING_KEY": HEX, "AUDIT_EMIT_SIGNING_KEY_FILE": path}
    assert len(KeyRing.from_sources([], environ).keys) == 2
    assert KeyRing.from_sources([], {}).keys == ()
    assert len(KeyRing.from_sources([VKEY], environ).keys) == 1, "what is named replaces it"


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o666, 0o644])
def test_a_secret_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    for text in (HEX, PEM):
        with pytest.raises(ConfigError, match="mode"):
            read_keys("k", written(tmp_path / "key", text, mode))


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_a_secret_for_owner_and_group_is_read(tmp_path: Path, mode: int) -> None:
    assert len(read_keys("k", written(tmp_path / "key", HEX, mode))) == 1


def test_a_public_key_may_be_read_by_all(tmp_path: Path) -> None:
    assert len(read_keys("k", written(tmp_path / "key", f"{VKEY}\n{PUBLIC_PEM}", 0o644))) == 2


EC_PEM = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    .decode()
)
ENCRYPTED = PRIVATE.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.BestAvailableEncryption(b"pw"),
).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "CANARY",
        HEX[:-2],
        HEX[:-1],
        HEX + "x",
        f"{HEX} CANARY",
        PEM[:-5],
        PEM.replace("MC4", "CANARY", 1),
        EC_PEM,
        ENCRYPTED,
        "-----BEGIN CERTIFICATE-----\nCANARY\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_key_is_told_without_showing_it(tmp_path: Path, text: str) -> None:
    path = written(tmp_path / "k", text)
    for read, source in ((parse_keys, text), (read_keys, path)):
        with pytest.raises(ConfigError) as caught:
            read("the_name", source)
        assert caught.value.setting == "the_name"
        assert caught.value.__cause__ is None
        shown = str(caught.value)
        assert "CANARY" not in shown
        assert HEX[:8] not in shown


def test_a_file_that_cannot_be_read_is_told_without_its_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "CANARY", tmp_path, tmp_path / "fifo", f"{tmp_path}/\0CANARY"):
        with pytest.raises(ConfigError) as caught:
            KeyRing.from_sources([str(path)], {})
        assert "CANARY" not in str(caught.value)


def test_no_repr_shows_a_secret() -> None:
    ring = KeyRing(parse_keys("k", f"{HEX} {PEM}"))
    shown = f"{ring!r} {ring.keys!r}"
    assert HEX not in shown
    assert SEED.hex() not in shown
    assert repr(SEED) not in shown


def test_a_key_has_32_bytes_or_more() -> None:
    with pytest.raises(ValueError, match="32"):
        HmacKey(b"k" * 31)
    with pytest.raises(ValueError, match="32"):
        Ed25519Key(b"k" * 31)
    assert HmacKey(b"k" * 100).key_id("o") != HmacKey(b"k" * 32).key_id("o")


def test_hmac_needs_no_cryptography_and_ed25519_says_what_to_install() -> None:
    program = f"""
import sys
sys.modules["cryptography"] = None
from audit_emit._signing.trusted_keys import KeyRing, HmacKey
from audit_emit.errors import ConfigError
ring = KeyRing.from_sources(["{HEX}", "{VKEY}"], {{}})
key = ring.keys[0]
assert ring.check("hmac-sha256", key.key_id("o"), "o", b"t", key.sign(b"t")) == "ok"
environ = {{"P": '''{PUBLIC_PEM}'''}}
for call in (
    lambda: ring.keys[1].verify(b"t", b"s" * 64),
    lambda: KeyRing.from_sources(["P"], environ),
):
    try:
        call()
    except ConfigError as error:
        assert "audit-emit[sign]" in str(error), error
    else:
        raise AssertionError
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE)


def test_a_verifier_key_is_split_from_the_left() -> None:
    seeds = (bytes([number]) * 32 for number in range(256))
    texts = (Ed25519Key.from_seed(seed).to_vkey("a.example/b") for seed in seeds)
    text = next(text for text in texts if text.count("+") > 2)
    (key,) = parse_keys("key", text)
    assert isinstance(key, Ed25519Key)
    assert key.name == "a.example/b"
    assert KeyRing.from_sources([text]).keys[0].key_id("a.example/b/0") is not None


@pytest.mark.parametrize(
    "point",
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ],
)
def test_a_point_of_small_order_is_no_key(point: str) -> None:
    """Under such a key a signature of anything can be made without a secret."""
    public = bytes.fromhex(point)
    with pytest.raises(ValueError, match="small order"):
        Ed25519Key(public)
    name = "audit.example.com/x"
    encoded = base64.b64encode(b"\1" + public).decode()
    with pytest.raises(ConfigError):
        parse_keys("key", f"{name}+{note_key_id(name, public)}+{encoded}")
