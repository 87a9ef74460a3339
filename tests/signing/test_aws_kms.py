"""Keys in AWS KMS, as ministack has it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from support import requirements
from support.object_store import ACCESS, SECRET, Server

from audit_emit._signing.remote import RemoteKey
from audit_emit._signing.trusted_keys import Ed25519Key
from audit_emit._signing.uris import remote_key
from audit_emit.errors import ConfigError, SignerError


class Kms:
    """A key service with one key.

    Attributes:
        id: of the key.
        public: its public half.
    """

    def __init__(self, server: Server, client: Any) -> None:
        made = client.create_key(KeySpec="ECC_NIST_EDWARDS25519", KeyUsage="SIGN_VERIFY")
        self.id: str = made["KeyMetadata"]["KeyId"]
        self.public: bytes = client.get_public_key(KeyId=self.id)["PublicKey"][-32:]
        self._endpoint = server.endpoint

    def uri(self, key: str = "", public: bytes = b"") -> str:
        encoded = base64.urlsafe_b64encode(public or self.public).decode()
        pinned = f"&public={encoded}" if public != b"-" else ""
        where = f"region=us-east-1&endpoint={self._endpoint}&timeout=60"
        return f"awskms:{key or self.id}?{where}{pinned}"

    def key(self, *uri: Any) -> RemoteKey:
        return remote_key("k", self.uri(*uri))


@pytest.fixture
def kms(ministack: Server, monkeypatch: pytest.MonkeyPatch) -> Kms:
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    client = boto3.client("kms", endpoint_url=ministack.endpoint, region_name="us-east-1")
    return Kms(ministack, client)


def test_the_service_signs(kms: Kms) -> None:
    text = bytes(4096)
    assert Ed25519Key(kms.public).verify(text, kms.key().sign(text))


def test_what_is_to_be_pinned_is_said(kms: Kms) -> None:
    pinned = base64.urlsafe_b64encode(kms.public).decode().rstrip("=")
    with pytest.raises(ConfigError, match=f"AWS KMS says: public={pinned}"):
        kms.key("", b"-")


def test_another_key_than_the_pinned_one_signs_nothing(kms: Kms) -> None:
    other = Ed25519Key.from_seed(bytes(range(32))).public
    with pytest.raises(SignerError, match="pinned key"):
        kms.key("", other).sign(b"text")


def test_a_key_that_is_not_there_is_told(kms: Kms) -> None:
    with pytest.raises(SignerError, match="NotFoundException"):
        kms.key("00000000-0000-0000-0000-000000000000").sign(b"text")


def test_what_the_library_cannot_use_is_said_and_nothing_else_is_raised() -> None:
    requirements.package("boto3")
    with pytest.raises(ConfigError, match="AWS KMS cannot be asked which one it has: ValueError"):
        remote_key("k", "awskms:alias/audit?region=us-east-1&endpoint=http://")
