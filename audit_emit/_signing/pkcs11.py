"""Keys in a PKCS #11 token (RFC 7512 has the URI), by python-pkcs11.

``pkcs11:token=audit;object=signing?module-path=/usr/lib/….so&pin-source=file:/etc/audit/pin``

Each signature has a session of its own: the module may have been initialised by the application,
the token may have been unplugged, and a forked child has none of its parent's sessions.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import unquote, unquote_to_bytes

from audit_emit._signing.remote import Held
from audit_emit._signing.secret_files import read_secret
from audit_emit._signing.uris import Parts
from audit_emit.errors import ConfigError, SignerError

PARAMETERS: tuple[str, ...] = ("module-path", "pin-source")

_ATTRIBUTES = {"token", "serial", "object", "id", "type"}


class Token(NamedTuple):
    """One key in a token; see ``Service``."""

    module: str
    pin_file: str
    token: str
    serial: str
    label: str
    id: bytes

    @property
    def name(self) -> str:
        """See ``Service``."""
        return "the PKCS #11 token"

    def sign(self, public: bytes, text: bytes, timeout: float) -> bytes:  # noqa: ARG002 - the key is named
        """See ``Service``. A module has no time-out: the caller stops waiting."""
        pkcs11 = _package()
        with self._session() as session:
            key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, **self._wanted())
            signature: bytes = key.sign(text, mechanism=pkcs11.Mechanism.EDDSA)
        return signature

    def keys(self, timeout: float) -> list[Held]:  # noqa: ARG002 - see above
        """See ``Service``."""
        pkcs11 = _package()
        wanted = {
            pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PUBLIC_KEY,
            pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.EC_EDWARDS,
        }
        if self.label:
            wanted[pkcs11.Attribute.LABEL] = self.label
        if self.id:
            wanted[pkcs11.Attribute.ID] = self.id
        try:
            with self._session() as session:
                # The point is DER (an OCTET STRING of 34 bytes), or, with some modules, raw.
                return [
                    Held(bytes(one[pkcs11.Attribute.EC_POINT])[-32:], str(one.label))
                    for one in session.get_objects(wanted)
                ]
        except pkcs11.PKCS11Error as error:
            raise SignerError("refused", f"{self.name}: {type(error).__name__}") from None

    def _wanted(self) -> dict[str, Any]:
        return {name: value for name, value in (("label", self.label), ("id", self.id)) if value}

    def _session(self) -> Any:
        """A session, logged in where a PIN is given.

        Raises:
            SignerError: the PIN cannot be read.
            pkcs11.PKCS11Error: there is no such token, or it refuses.
        """
        pkcs11 = _package()
        pin = None
        if self.pin_file:
            try:
                pin = read_secret(self.pin_file)
            except ValueError as error:
                raise SignerError("refused", f"{self.name}: {error}") from None
        library = pkcs11.lib(self.module)
        wanted = {"token_label": self.token, "token_serial": self.serial.encode()}
        token = library.get_token(**{name: value for name, value in wanted.items() if value})
        try:
            return token.open(user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:
            return token.open()  # the application has logged in, which holds for all its sessions


def service(name: str, parts: Parts) -> Token:
    """See ``uris``."""
    attributes: dict[str, str] = {}
    for each in filter(None, parts.where.split(";")):
        key, _, value = each.partition("=")
        if key not in _ATTRIBUTES:
            allowed = ", ".join(sorted(_ATTRIBUTES))
            raise ConfigError(name, f"has an attribute that is not known; there are: {allowed}")
        attributes[key] = value
    module = parts.parameters.get("module-path", "")
    if not module.startswith("/"):
        raise ConfigError(name, "needs module-path=/path/of/the/module.so")
    if not (attributes.get("object") or attributes.get("id")):
        raise ConfigError(name, "names no key: pkcs11:token=…;object=…, or id=%01")
    if attributes.get("type", "private") != "private":
        raise ConfigError(name, "is about a private key: leave type out")
    _package(name)
    return Token(
        module,
        parts.parameters.get("pin-source", "").removeprefix("file:"),
        unquote(attributes.get("token", "")),
        unquote(attributes.get("serial", "")),
        unquote(attributes.get("object", "")),
        unquote_to_bytes(attributes.get("id", "")),
    )


def _package(name: str = "signing_key") -> Any:
    try:
        import pkcs11  # noqa: PLC0415 - optional
    except ImportError:
        raise ConfigError(name, "needs python-pkcs11; pip install 'audit-emit[pkcs11]'") from None
    return pkcs11
