"""A master key of a key service, without which a file of slots holds no key.

The service (transit of OpenBao or Vault, AWS KMS) draws 32 bytes and gives them twice: in plain,
and encrypted under a key that never leaves it. The encrypted ones are kept in ``<file>.master``,
next to the file of slots; the plain ones only in the memory of processes that seal. A slot then
holds a seed, and the key of a person is HMAC-SHA256(master key, label LF seed). So a stolen file,
or a backup of it, opens nothing without the service; a key is destroyed as without one, by
overwriting its seed.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import secrets
import time
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from audit_emit._runtime.files import sync_directory, write_all
from audit_emit._runtime.interrupts import let_through
from audit_emit._signing.uris import Parts, timeout_of
from audit_emit._subjects.locked_file import unusable
from audit_emit.errors import ConfigError, KeyServiceError, KeyStoreError, SignerError

__all__ = ["MARK_BYTES", "PARAMETERS", "SCHEMES", "Master", "beside", "keeper_of"]

SCHEMES = ("openbao", "vault", "awskms")
PARAMETERS = {
    "openbao": ("slots", "timeout", "mount", "token-source"),
    "vault": ("slots", "timeout", "mount", "token-source"),
    "awskms": ("slots", "timeout", "region", "endpoint"),
}

PAUSE_SECONDS = 1.0
"""Seconds without a request after the service failed, so that not every event waits for it."""

_LABEL = b"audit_emit key of a person, version 1\n"
_MARK = b"audit_emit file of keys, version 1\n"
_CONTEXT = {"audit_emit": "keys of persons"}
_BYTES = 32
MARK_BYTES = 12
"""Bytes by which a file of slots knows its master key, without saying anything of it."""

_LONGEST = 16 * 1024


class Keeper(Protocol):
    """The service: what draws a master key, and gives it back."""

    @property
    def name(self) -> str: ...

    def draw(self) -> tuple[bytes, str]:
        """A new one, and its encrypted form.

        Raises:
            SignerError, OSError: there is no answer that is one.
        """
        ...

    def opened(self, encrypted: str) -> bytes:
        """The one whose encrypted form this is.

        Raises:
            SignerError, OSError: there is no answer that is one.
        """
        ...


class _Transit(NamedTuple):
    """``datakey`` and ``decrypt`` of the transit engine, with a key that encrypts."""

    client: Any
    key: str
    timeout: float

    @property
    def name(self) -> str:
        return str(self.client.name)

    def draw(self) -> tuple[bytes, str]:
        path = f"datakey/plaintext/{self.key}"
        found = self.client.asked("POST", path, {"bits": _BYTES * 8}, self.timeout)
        return _plain(found.get("plaintext")), _text(found.get("ciphertext"))

    def opened(self, encrypted: str) -> bytes:
        path = f"decrypt/{self.key}"
        found = self.client.asked("POST", path, {"ciphertext": encrypted}, self.timeout)
        return _plain(found.get("plaintext"))


class _AwsKms(NamedTuple):
    """``GenerateDataKey`` and ``Decrypt`` of AWS KMS, with a symmetric key."""

    kms: Any
    timeout: float

    @property
    def name(self) -> str:
        return str(self.kms.name)

    def draw(self) -> tuple[bytes, str]:
        found = self.kms.asked(
            "generate_data_key", self.timeout, KeySpec="AES_256", EncryptionContext=_CONTEXT
        )
        return found["Plaintext"], base64.b64encode(found["CiphertextBlob"]).decode()

    def opened(self, encrypted: str) -> bytes:
        try:
            blob = base64.b64decode(encrypted, validate=True)
        except binascii.Error:
            raise SignerError("refused", "the encrypted master key is none") from None
        found = self.kms.asked(
            "decrypt", self.timeout, CiphertextBlob=blob, EncryptionContext=_CONTEXT
        )
        plain: bytes = found["Plaintext"]
        return plain


def beside(path: str) -> str:
    """Where the encrypted master key of a file of slots is."""
    return f"{path}.master"


def keeper_of(name: str, parts: Parts) -> Keeper:
    """The service that a URI names. No request is sent to it.

    Args:
        name: of the setting, for the error message.

    Raises:
        ConfigError: it names none, or what it needs is missing.
    """
    unknown = sorted(parts.parameters.keys() - set(PARAMETERS[parts.scheme]))
    if unknown:
        allowed = ", ".join(PARAMETERS[parts.scheme])
        raise ConfigError(
            name, f"has a parameter that {parts.scheme}: has not; there are: {allowed}"
        )
    timeout = timeout_of(name, parts.parameters.get("timeout"))
    if parts.scheme == "awskms":
        from audit_emit._signing import aws_kms  # noqa: PLC0415 - for those who have it

        return _AwsKms(aws_kms.service(name, parts), timeout)
    from audit_emit._signing import transit  # noqa: PLC0415 - as above

    client, key = transit.client_of(name, parts)
    return _Transit(client, key, timeout)


class Master:
    """The master key of one file of slots.

    Args:
        path: of the file of slots.
        keeper: the service.
    """

    def __init__(self, path: str, keeper: Keeper) -> None:
        self.path: str = beside(path)
        self._keeper = keeper
        self._key = b""
        self._again = 0.0

    def key_of(self, seed: bytes) -> bytes:
        """The key of a person whose slot has this seed; only after ``load``.

        Raises:
            KeyStoreError: it is not here, or no longer: another thread has closed the store.
        """
        return hmac.digest(self._here(), _LABEL + seed, "sha256")

    def mark(self) -> bytes:
        """What the file of slots that belongs to it says of it; only after ``load``.

        Raises:
            KeyStoreError: see ``key_of``.
        """
        return hmac.digest(self._here(), _MARK, "sha256")[:MARK_BYTES]

    def _here(self) -> bytes:
        key = self._key
        if not key:  # HMAC takes an empty key: a thief of the file could make the same
            raise KeyStoreError("closed", f"the master key of {self.path} is not here")
        return key

    def load(self, *, make: bool, ask: bool = True) -> None:
        """Have the master key, and ask the service for it unless it was asked before.

        Args:
            make: a new one, where there is no file of it.
            ask: there is time to ask the service.

        Raises:
            KeyServiceError: the service does not give it.
            KeyStoreError: the file is gone or cannot be used.
        """
        if self._key:
            return
        if not ask:
            raise KeyServiceError("slow", f"there is no time to ask {self._keeper.name}")
        if time.monotonic() < self._again:
            raise KeyServiceError("backing-off", f"{self._keeper.name} was asked a moment ago")
        try:
            kept = self._kept()
            if not kept and not make:
                raise KeyStoreError("missing", f"{self.path} is gone: put it back")
            if not kept:
                _, encrypted = self._keeper.draw()
                self._pause()  # what it drew may not be kept: no event is to draw one after another
                kept = self._put(encrypted)
            if make:  # whoever made the file may not have come so far
                with unusable(self.path):
                    sync_directory(os.path.dirname(self.path), must=True)
            # Read back, also after it was drawn: what the service does not open must seal nothing.
            self._key = self._opened(kept)
        except KeyStoreError:
            raise
        except Exception as error:  # noqa: BLE001 - libraries of services raise what they like
            let_through(error)
            self._pause()
            if isinstance(error, SignerError):
                raise KeyServiceError(error.reason, str(error)) from None
            reason = "timeout" if isinstance(error, TimeoutError) else "unreachable"
            what = type(error).__name__
            raise KeyServiceError(reason, f"{self._keeper.name}: {what}") from None

    def forget(self) -> None:
        """Hold it no longer."""
        self._key = b""

    def _pause(self) -> None:
        self._again = time.monotonic() + PAUSE_SECONDS

    def _opened(self, kept: str) -> bytes:
        key = self._keeper.opened(kept)
        if len(key) != _BYTES:
            raise SignerError("refused", f"{self._keeper.name} gave a master key that is none")
        return key

    def _put(self, encrypted: str) -> str:
        """Keep a new one; another process may have been first, and then it is that one's."""
        with unusable(self.path):
            self._link(encrypted)
        return self._kept()

    def _link(self, encrypted: str) -> None:
        os.makedirs(os.path.dirname(self.path), mode=0o750, exist_ok=True)
        fresh = f"{self.path}.{secrets.token_hex(4)}.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            try:
                write_all(descriptor, encrypted.encode() + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            with suppress(FileExistsError):
                os.link(fresh, self.path)  # unlike a rename, it replaces nothing
        finally:
            os.unlink(fresh)

    def _kept(self) -> str:
        with unusable(self.path):
            try:
                with open(self.path, "rb") as file:
                    data = file.read(_LONGEST)
            except FileNotFoundError:
                return ""
        return data.decode("ascii", "replace").strip()


def _plain(text: Any) -> bytes:
    with suppress(binascii.Error):
        return base64.b64decode(_text(text), validate=True)
    raise SignerError("refused", "the service gave a master key that is none")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.isascii() or len(value) > _LONGEST // 2:
        raise SignerError("refused", "the service gave an answer that is none")
    return value
