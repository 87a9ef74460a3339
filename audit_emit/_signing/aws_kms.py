"""Keys in AWS KMS (``ECC_NIST_EDWARDS25519``), by boto3, which also finds the credentials.

``awskms:KEY?region=eu-central-1``, where KEY is the id of a key, its ARN, or ``alias/…``.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from audit_emit._runtime.words import words_of
from audit_emit._signing.remote import Held
from audit_emit._signing.uris import Parts
from audit_emit.errors import ConfigError, SignerError

PARAMETERS: tuple[str, ...] = ("region", "endpoint")

_KEY = re.compile(r"[A-Za-z0-9:/_-]{1,256}")
_REGION = re.compile(r"[a-z0-9-]{1,64}")
_SPKI = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410)."""


class AwsKms(NamedTuple):
    """One key of KMS; see ``Service``."""

    key: str
    region: str
    endpoint: str

    @property
    def name(self) -> str:
        """See ``Service``."""
        return "AWS KMS"

    def sign(self, public: bytes, text: bytes, timeout: float) -> bytes:  # noqa: ARG002 - the key is named
        """See ``Service``."""
        found = self.asked(
            "sign",
            timeout,
            Message=text,
            MessageType="RAW",
            SigningAlgorithm="ED25519_SHA_512",
        )
        signature: bytes = found["Signature"]
        return signature

    def keys(self, timeout: float) -> list[Held]:
        """See ``Service``."""
        encoded: bytes = self.asked("get_public_key", timeout)["PublicKey"]
        if not encoded.startswith(_SPKI) or len(encoded) != len(_SPKI) + 32:
            return []
        return [Held(encoded[-32:], self.key)]

    def asked(self, method: str, timeout: float, **what: Any) -> dict[str, Any]:
        """One answer.

        Raises:
            SignerError: it is a refusal, or there is none.
        """
        import boto3  # noqa: PLC0415 - optional
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import (  # noqa: PLC0415
            BotoCoreError,
            ClientError,
            HTTPClientError,
            NoCredentialsError,
        )

        config = Config(
            connect_timeout=timeout,
            read_timeout=timeout,
            retries={"total_max_attempts": 2, "mode": "standard"},
        )
        try:
            client = boto3.session.Session().client(
                "kms",
                region_name=self.region or None,
                endpoint_url=self.endpoint or None,
                config=config,
            )
            found: dict[str, Any] = getattr(client, method)(KeyId=self.key, **what)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "?"))[:100]
            raise SignerError("refused", f"AWS KMS: {code}") from None
        except HTTPClientError as error:
            raise SignerError("unreachable", f"AWS KMS: {words_of(error)}") from None
        except NoCredentialsError:
            raise SignerError("unreachable", "AWS KMS: boto3 finds no credentials") from None
        except BotoCoreError as error:
            raise SignerError("unreachable", f"AWS KMS: {type(error).__name__}") from None
        return found


def service(name: str, parts: Parts) -> AwsKms:
    """See ``uris``."""
    key, given = unquote(parts.where).removeprefix("///"), parts.parameters
    region, endpoint = given.get("region", ""), given.get("endpoint", "")
    if not _KEY.fullmatch(key):
        raise ConfigError(
            name, "names no key of AWS KMS: awskms:KEY?region=…, KEY an id or alias/…"
        )
    if region and not _REGION.fullmatch(region):
        raise ConfigError(name, "has a region that is none")
    try:
        split = urlsplit(endpoint)
        usable = not endpoint or (split.scheme in {"http", "https"} and not split.password)
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(name, "has an endpoint that is no URL")
    try:
        import boto3  # noqa: F401, PLC0415 - optional
    except ImportError:
        raise ConfigError(name, "needs boto3; pip install 'audit-emit[s3]'") from None
    return AwsKms(key, region, endpoint)
