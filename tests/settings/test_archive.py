"""The settings of the archive: what is taken, and what is refused before a store is asked."""

from __future__ import annotations

import pytest

from audit_emit._settings.archive import archive_settings
from audit_emit.errors import ConfigError

WHERE = "s3://acme-audit/prod"


@pytest.mark.parametrize(
    "address",
    [
        "", "https://acme/audit", "s3://", "s3://a", "s3://Acme-Audit", "s3://acme/../other",
        "s3://acme/a//x", "s3://acme/x\n", "s3://acme/x\x1b[31m", "s3://acme/%2e%2e",
        "s3://key:hunter2@acme-audit/prod", "s3://hunter2@acme-audit",
    ],
)  # fmt: skip
def test_an_address_that_no_archive_can_be_at_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(ConfigError) as raised:
        archive_settings({}, address)
    assert "hunter2" not in str(raised.value)
    assert "AUDIT_EMIT_ARCHIVE_URL" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OWNER", "12345678901"), ("OWNER", "acme"), ("OWNER", "١٢٣٤٥٦٧٨٩٠١٢"),
        ("LOCK", "forever"), ("LOCK_DAYS", "0"), ("LOCK_DAYS", "3"), ("HOT_DAYS", "-1"),
        ("CHECKSUM", "crc32"), ("ENCRYPTION", "rot13"), ("KMS_KEY", "some-key"), ("PACK", "lz4"),
        ("BATCH_BYTES", "1"), ("TIMEOUT", "nan"), ("TIMEOUT", "0"), ("PATH_STYLE", "maybe"),
        ("ENDPOINT", "https://me:hunter2@store"), ("ENDPOINT", "store:9000"), ("REGION", "a b"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_used_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as raised:
        archive_settings({f"AUDIT_EMIT_ARCHIVE_{name}": value}, WHERE)
    assert "AUDIT_EMIT_ARCHIVE_" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_the_owner_of_the_bucket_is_an_account() -> None:
    made = archive_settings({"AUDIT_EMIT_ARCHIVE_OWNER": "111122223333"}, WHERE)
    assert (made.bucket, made.prefix, made.owner) == ("acme-audit", "prod", "111122223333")
