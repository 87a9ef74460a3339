"""The settings of the archive, from environment variables; imported only where there is one.

Credentials are not among them: boto3 finds them itself, in its own order (its environment
variables, its files, the role of the container or of the machine).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard
from urllib.parse import urlsplit

import msgspec

from audit_emit._settings.settings import PREFIX as OURS
from audit_emit.errors import ConfigError

PREFIX = f"{OURS}ARCHIVE_"
SCHEME = "s3://"
CHECKSUMS = ("sha256", "md5", "none")
ENCRYPTIONS = ("", "s3", "kms")
LOCKS = ("", "governance", "compliance")
PACKINGS = ("zst", "gz")
HOT_DAYS = 90
"""Days that records stay on the disk after they were archived."""

BATCH_BYTES = 64 * 1024 * 1024
"""The most bytes of records of a database in one object; of files, each segment is one object."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_PATH = re.compile(r"[A-Za-z0-9!_.*'()=/-]{0,512}")
_OWNER = re.compile(r"[0-9]{12}")
_LONGEST_DAYS = 36_500


class ArchiveSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The place of the archive, and how objects are stored there.

    Attributes:
        bucket: its name.
        prefix: what the keys of all objects begin with; without a slash at either end.
        endpoint: ``https://host:port`` of another store than Amazon's; empty for Amazon's.
        region: empty for the one that boto3 finds.
        owner: the id of the account that the bucket must belong to; empty for any.
        path_style: whether the bucket is in the path of the URL, as most other stores need it.
        checksum: the kind of checksum with which the store checks received bytes.
        encryption: ``s3`` or ``kms`` for encryption by the store; empty for the bucket's default.
        kms_key: the id of the key for ``kms``; empty for the account's own.
        lock: the mode of Object Lock for each object; empty for none.
        lock_days: how many days it is locked.
        pack: ``zst`` or ``gz``.
        batch_bytes: see ``BATCH_BYTES``.
        hot_days: see ``HOT_DAYS``.
        prune: whether the worker may delete records from the log that are archived and older than
            ``hot_days``.
        enabled: whether the worker does anything.
        timeout: how many seconds an answer of the store may take.
    """

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    owner: str = ""
    path_style: bool = False
    checksum: str = "sha256"
    encryption: str = ""
    kms_key: str = ""
    lock: str = ""
    lock_days: int = 0
    pack: str = "zst"
    batch_bytes: int = BATCH_BYTES
    hot_days: int = HOT_DAYS
    prune: bool = False
    enabled: bool = False
    timeout: float = 60.0

    @property
    def shown(self) -> str:
        """The address ``s3://bucket/prefix``; it has no secret."""
        return f"{SCHEME}{self.bucket}/{self.prefix}".rstrip("/")

    def at(self, *parts: str) -> str:
        """A key below the prefix."""
        return "/".join(part for part in (self.prefix, *parts) if part)


def is_archive(text: object) -> TypeGuard[str]:
    """Whether this is the address of an archive."""
    return isinstance(text, str) and text.startswith(SCHEME)


def archive_settings(
    environ: Mapping[str, str], address: str = "", **given: Any
) -> ArchiveSettings:
    """The settings of the environment.

    Args:
        address: ``s3://bucket/prefix``; if empty, that of the environment.
        given: values by the name of the attribute, which take precedence over the environment.

    Raises:
        ConfigError: a setting cannot be used, or there is no address.
    """
    text = address or environ.get(f"{PREFIX}URL", "").strip()
    if not text:
        raise ConfigError(f"{PREFIX}URL", "is needed: s3://bucket/prefix")
    bucket, prefix = _split(text)
    found: dict[str, Any] = {"bucket": bucket, "prefix": prefix}
    for name, check in _CHECKS.items():
        value = environ.get(f"{PREFIX}{name.upper()}", "").strip()
        if value:
            found[name] = check(f"{PREFIX}{name.upper()}", value)
    made = ArchiveSettings(**{**found, **given})
    _hold_together(made)
    return made


def check_address(text: str) -> None:
    """Refuse an address at which no archive can be; a part after ``#`` is ignored.

    Raises:
        ConfigError: the address is not valid. The message does not repeat it.
    """
    _split(text.partition("#")[0])


def _split(text: str) -> tuple[str, str]:
    """Bucket and prefix. The message never repeats the address: it may hold a password."""
    name = f"{PREFIX}URL"
    if not is_archive(text):
        raise ConfigError(name, "must be an address such as s3://bucket/prefix")
    bucket, _, prefix = text.removeprefix(SCHEME).partition("/")
    if "@" in bucket:
        raise ConfigError(name, "must not hold credentials; boto3 finds them by itself")
    prefix = prefix.strip("/")
    if not _BUCKET.fullmatch(bucket):
        raise ConfigError(name, "names no bucket: 3 to 63 of a-z, 0-9, '.', '_' and '-'")
    if not _PATH.fullmatch(prefix) or ({"", ".", ".."} & set(prefix.split("/")) and prefix):
        raise ConfigError(name, "has a prefix with characters that keys should not have")
    return bucket, prefix


def _hold_together(made: ArchiveSettings) -> None:
    """Refuse combinations that the store would refuse later, or that have no effect."""
    if bool(made.lock) != bool(made.lock_days):
        raise ConfigError(f"{PREFIX}LOCK", "and its LOCK_DAYS are given together, or neither")
    if made.lock and made.checksum == "none":
        raise ConfigError(f"{PREFIX}CHECKSUM", "must be sha256 or md5: Object Lock demands one")
    if made.kms_key and made.encryption != "kms":
        raise ConfigError(f"{PREFIX}KMS_KEY", f"is only used with {PREFIX}ENCRYPTION=kms")


def _one_of(*words: str) -> Callable[[str, str], str]:
    def check(name: str, value: str) -> str:
        if value.lower() not in words:
            raise ConfigError(name, f"must be one of {', '.join(filter(None, words))}")
        return value.lower()

    return check


def _number(least: int, most: int) -> Callable[[str, str], int]:
    def check(name: str, value: str) -> int:
        if not (value.isascii() and value.isdecimal() and least <= int(value) <= most):
            raise ConfigError(name, f"must be a whole number from {least} to {most}")
        return int(value)

    return check


def _truth(name: str, value: str) -> bool:
    if value.lower() in {"1", "true", "yes", "on"}:
        return True
    if value.lower() in {"0", "false", "no", "off"}:
        return False
    raise ConfigError(name, "must be 0 or 1")


def _seconds(name: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise ConfigError(name, "must be a number of seconds, at most an hour")
    return seconds


def _endpoint(name: str, value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        plain = not (parts.username or parts.password or parts.query or parts.fragment)
    except ValueError:
        usable = plain = False
    if not usable or not plain:
        raise ConfigError(name, "must be https://host:port, without credentials")
    return value.rstrip("/")


def _account(name: str, value: str) -> str:
    if not _OWNER.fullmatch(value):
        raise ConfigError(name, "must be the id of an account of Amazon's, 12 digits")
    return value


def _word(name: str, value: str) -> str:
    if not value.isprintable() or " " in value or len(value) > 2048:
        raise ConfigError(name, "must be one printable word")
    return value


_CHECKS: dict[str, Callable[[str, str], Any]] = {
    "endpoint": _endpoint,
    "region": _word,
    "owner": _account,
    "path_style": _truth,
    "checksum": _one_of(*CHECKSUMS),
    "encryption": _one_of(*ENCRYPTIONS),
    "kms_key": _word,
    "lock": _one_of(*LOCKS),
    "lock_days": _number(1, _LONGEST_DAYS),
    "pack": _one_of(*PACKINGS),
    "batch_bytes": _number(4096, 1 << 30),
    "hot_days": _number(0, _LONGEST_DAYS),
    "prune": _truth,
    "enabled": _truth,
    "timeout": _seconds,
}
"""The variables by attribute; ``URL`` gives bucket and prefix."""
