"""Keys in a PKCS #11 token: SoftHSM, which Debian has."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support import requirements
from support.attested_log import AttestedLog

from audit_emit._signing.trusted_keys import Ed25519Key
from audit_emit._signing.uris import remote_key
from audit_emit.cli import main
from audit_emit.cli._exit import Exit
from audit_emit.errors import ConfigError, SignerError

MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
)
PIN = "5678" * 2
ED25519 = bytes.fromhex("06032b6570")
"""The object identifier 1.3.101.112 (RFC 8410)."""


class Hsm(NamedTuple):
    """A token with one key.

    Attributes:
        uri: of the key, without what is pinned.
        public: its public half.
        pin: the file of the PIN.
    """

    uri: str
    public: bytes
    pin: Path

    def pinned(self, public: bytes | None = None) -> str:
        encoded = base64.urlsafe_b64encode(public or self.public).decode()
        return f"{self.uri}&public={encoded}&timeout=60"


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hsm]:
    """The module reads its settings once for each process."""
    pkcs11: Any = requirements.package("python-pkcs11", "pkcs11")
    program = requirements.program("softhsm2-util")
    module = next(filter(os.path.exists, MODULES), None)
    if module is None:
        requirements.missing("softhsm2-util", "no module of SoftHSM is where Debian has it")
    directory = tmp_path_factory.mktemp("hsm")
    (directory / "tokens").mkdir()
    settings, pin = directory / "softhsm2.conf", directory / "pin"
    settings.write_text(f"directories.tokendir = {directory}/tokens\nobjectstore.backend = file\n")
    pin.touch(0o600)
    pin.write_text(f"{PIN}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(settings))
        options = ["--init-token", "--free", "--label", "audit", "--so-pin", PIN, "--pin", PIN]
        subprocess.run([program, *options], check=True, capture_output=True)
        with (
            pkcs11.lib(module).get_token(token_label="audit").open(rw=True, user_pin=PIN) as session
        ):
            parameters = session.create_domain_parameters(
                pkcs11.KeyType.EC_EDWARDS, {pkcs11.Attribute.EC_PARAMS: ED25519}, local=True
            )
            public, _ = parameters.generate_keypair(
                label="signing",
                id=b"\x01",
                store=True,
                mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
            )
            point = bytes(public[pkcs11.Attribute.EC_POINT])[-32:]
        uri = f"pkcs11:token=audit;object=signing?module-path={module}&pin-source=file:{pin}"
        yield Hsm(uri, point, pin)


def test_the_token_signs(hsm: Hsm) -> None:
    key = remote_key("k", hsm.pinned())
    text = bytes(4096)
    assert Ed25519Key(hsm.public).verify(text, key.sign(text))


def test_a_key_is_found_by_its_id_too(hsm: Hsm) -> None:
    remote_key("k", hsm.pinned().replace("object=signing", "id=%01")).sign(b"text")


def test_what_is_to_be_pinned_is_said(hsm: Hsm) -> None:
    with pytest.raises(ConfigError, match="what the PKCS #11 token says: public="):
        remote_key("k", hsm.uri)


def test_another_key_than_the_pinned_one_signs_nothing(hsm: Hsm) -> None:
    other = Ed25519Key.from_seed(bytes(range(32))).public
    with pytest.raises(SignerError, match="did not sign with the pinned key"):
        remote_key("k", hsm.pinned(other)).sign(b"text")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("token=audit", "token=other", "NoSuchToken"),
        ("object=signing", "object=other", "NoSuchKey"),
        ("/pin&", "/pin-that-is-nowhere&", "its secret cannot be read"),
    ],
)
def test_what_is_not_there_is_told(hsm: Hsm, old: str, new: str, said: str) -> None:
    with pytest.raises(SignerError, match=said):
        remote_key("k", hsm.pinned().replace(old, new)).sign(b"text")


def test_a_pin_that_others_can_read_is_not_used(hsm: Hsm) -> None:
    hsm.pin.chmod(0o644)
    try:
        with pytest.raises(SignerError, match="0600"):
            remote_key("k", hsm.pinned()).sign(b"text")
    finally:
        hsm.pin.chmod(0o600)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a fork with threads
def test_a_forked_child_signs_too(hsm: Hsm) -> None:
    key = remote_key("k", hsm.pinned())
    key.sign(b"text")
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if key.sign(b"text") else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_log_is_signed_and_verified(hsm: Hsm, tmp_path: Path) -> None:
    run = AttestedLog(tmp_path / "log", sign=False)
    key = ["--key", hsm.pinned()]
    origin = ["--origin", "audit.example.com/shop"]
    assert main(["checkpoint", str(run.directory), *key, *origin]) == Exit.OK
    vkey = Ed25519Key(hsm.public).to_vkey("audit.example.com/shop")
    options = ["--no-anchor-required", "--key", vkey]
    assert main(["verify", str(run.directory), *options]) == Exit.INCOMPLETE  # declared gaps
