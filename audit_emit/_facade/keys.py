"""Making keys, for commands. What is trusted is ``audit_emit.log.KeyRing``."""

from __future__ import annotations

from audit_emit._signing.trusted_keys import Ed25519Key, HmacKey, private_pem

__all__ = [
    "Ed25519Key",
    "HmacKey",
    "private_pem",
]
