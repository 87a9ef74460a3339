"""A change of the signing key, signed with the old one (docs/wire-format.md).

Pure. A verifier that trusts the old key learns from the record ``audit.key_rotated`` which Ed25519
key has replaced it; of a shared key the record has only the id. Since version 2 it also has the
tree that was signed last before the change, so that a thief of the new key cannot forge the past.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from audit_emit._signing.trusted_keys import ED25519, Ed25519Key, Key, KeyRing, Verdict
from audit_emit.errors import ForgedChangeError

RECORD = "audit.key_rotated"
_PURPOSE = "audit_emit change of key, version"
_MEMBERS = ("origin", "old_alg", "old_key_id", "new_alg", "new_key_id", "new_key")
_ROOT = re.compile(r"[0-9a-f]{64}")

Holds = Callable[[int, str], bool]
"""Whether the log had this root (64 hex digits) at this size, as far as is known."""

Name = tuple[str, str]
"""Algorithm and id of a key."""


class Change(NamedTuple):
    """A change of key that a trusted key signed.

    Attributes:
        seq: of the record; the checkpoints that cover it are signed by the new key.
        origin: of the log, with its chain: under it the keys have these ids.
        old, new: the keys.
    """

    seq: int
    origin: str
    old: Name
    new: Name


def rotation_fields(
    old: Key, new: Key, origin: str, tree: tuple[int, str] | None = None
) -> dict[str, Any]:
    """The ``fields`` of ``audit.key_rotated``.

    Args:
        old: the key that signs the change.
        new: the key that signs from the next checkpoint on.
        origin: of the log, with its chain.
        tree: ``head_seq`` and ``root_hash`` of the last checkpoint before the change; without it
            the record is of version 1, which does not protect the past.
    """
    fields: dict[str, Any] = {
        "origin": origin,
        "old_alg": old.algorithm,
        "old_key_id": old.key_id(origin) or "",
        "new_alg": new.algorithm,
        "new_key_id": new.key_id(origin) or "",
        "new_key": new.to_vkey(origin) if isinstance(new, Ed25519Key) else "",
    }
    if tree is not None:
        fields["size"], fields["root_hash"] = tree
    signature = base64.b64encode(old.sign(rotation_text(fields))).decode()
    return {**fields, "signature": signature}


def rotation_text(fields: Mapping[str, Any]) -> bytes:
    """The text that is signed: the purpose with its version, then each member on its own line.

    Raises:
        ValueError: a member is missing or not one line of text.
    """
    values = [fields.get(name) for name in _MEMBERS]
    if not all(isinstance(value, str) and "\n" not in value for value in values):
        raise ValueError("not a change of key")
    tree = tree_of(fields)
    lines = (f"{_PURPOSE} {2 if tree else 1}", *values, *map(str, tree or ()))
    return "".join(f"{line}\n" for line in lines).encode()


def tree_of(fields: Mapping[str, Any]) -> tuple[int, str] | None:
    """Size and root of the last checkpoint before the change; ``None`` in version 1.

    Raises:
        ValueError: they are malformed.
    """
    if "size" not in fields and "root_hash" not in fields:
        return None
    size, root = fields.get("size"), fields.get("root_hash")
    if type(size) is not int or not 0 < size < 2**63 or not isinstance(root, str):
        raise ValueError("not a change of key")
    if not _ROOT.fullmatch(root):
        raise ValueError("not a change of key")
    return size, root


def check_rotation(fields: Mapping[str, Any], ring: KeyRing) -> Verdict:
    """Whether the old key that a record names is in the ring and signed it.

    Raises:
        ValueError: the fields are malformed.
    """
    text = rotation_text(fields)
    try:
        signature = base64.b64decode(fields["signature"], validate=True)
    except (KeyError, TypeError, ValueError):
        raise ValueError("not a change of key") from None
    return ring.check(fields["old_alg"], fields["old_key_id"], fields["origin"], text, signature)


class GrowingRing(KeyRing):
    """Pinned keys, and any number of keys that have replaced them in a log.

    Args:
        keys: the pinned ones.
    """

    def __init__(self, keys: Sequence[Key]) -> None:
        super().__init__(keys)
        self._added: dict[tuple[str, str, str], Key] = {}

    def add(self, key: Ed25519Key) -> None:
        """Trust a key for the one origin that is its name."""
        self._added.setdefault((key.algorithm, key.key_id(key.name) or "", key.name), key)

    def every(self) -> KeyRing:
        """See ``KeyRing``."""
        return KeyRing([*self.keys, *self._added.values()])

    def find(self, algorithm: str, key_id: str, origin: str) -> Iterator[Key]:
        """See ``KeyRing``."""
        added = self._added.get((algorithm, key_id, origin))
        if added is not None:
            yield added
        yield from super().find(algorithm, key_id, origin)


class Succession:
    """The keys that are trusted in one log: the pinned ones, and their successors.

    A key is only added when a key that is trusted already, and not retired, has signed the change.
    A retired key still verifies what it signed before, and is never trusted for anything new.

    Args:
        ring: the pinned keys.
    """

    def __init__(self, ring: KeyRing) -> None:
        self.ring: GrowingRing = GrowingRing(ring.keys)
        self._retired: dict[Name, Change] = {}
        self._named: dict[Name, Change] = {}
        self._keys: dict[int, Change] = {}
        """The change that retired a key, by ``id()`` of the key: in other logs it has other names.
        """

    def follow(
        self,
        fields: Mapping[str, Any],
        seq: int,
        chain: str,
        holds: Holds = lambda _size, _root: True,
    ) -> Change | None:
        """Apply a record ``audit.key_rotated``.

        Args:
            fields: of the record.
            seq, chain: of the record, whose own hash and link were checked.
            holds: checks the checkpoint that the record names. A caller that compares no
                checkpoints with the log may omit it, and must then treat no record as anchored.

        Returns:
            The change; ``None`` when it was applied already, or its old key is not trusted.

        Raises:
            ForgedChangeError: the old key did not sign this, or was retired before, or signed it
                for a log with other records.
        """
        names = self._checked(fields, seq, chain, holds) if self.ring.keys else None
        if names is None:
            return None
        origin, old, new = names
        before = self._retired.get(old)
        if before is not None:
            if before.new == new:
                return None  # recorded twice: the signer died before it signed anything else
            raise ForgedChangeError(f"record {before.seq} retired {describe_key(old)}")
        if new in self._retired:
            raise ForgedChangeError(f"record {self._retired[new].seq} retired {describe_key(new)}")
        if new[0] == ED25519 and not any(self.ring.find(*new, origin)):
            self._add(fields, new, origin)
        change = Change(seq, origin, old, new)
        for key in self.ring.find(*old, origin):
            self._keys.setdefault(id(key), change)
        self._retired[old] = self._named[new] = change
        return change

    def _checked(
        self, fields: Mapping[str, Any], seq: int, chain: str, holds: Holds
    ) -> tuple[str, Name, Name] | None:
        """The origin, the old and the new key, if the old one signed this; ``None`` if not known.

        Raises:
            ForgedChangeError: see ``follow``.
        """
        try:
            verdict = check_rotation(fields, self.ring)
        except ValueError as error:
            raise ForgedChangeError(str(error)) from None
        if verdict == "key-unavailable":
            return None
        origin: str = fields["origin"]
        old: Name = (fields["old_alg"], fields["old_key_id"])
        new: Name = (fields["new_alg"], fields["new_key_id"])
        if verdict == "mismatch" or not origin.endswith(f"/{chain}") or old == new:
            raise ForgedChangeError(
                f"{describe_key(old)} did not sign this change of key for this chain"
            )
        tree = tree_of(fields)
        if tree is not None and not (tree[0] < seq and holds(*tree)):
            raise ForgedChangeError(
                f"it was signed over checkpoint {tree[0]} with root {tree[1]}, which is not there"
            )
        return origin, old, new

    def _add(self, fields: Mapping[str, Any], new: Name, origin: str) -> None:
        try:
            key = Ed25519Key.from_vkey(fields["new_key"])
        except ValueError:
            raise ForgedChangeError("the new key is malformed") from None
        if key.name != origin or key.key_id(origin) != new[1]:
            raise ForgedChangeError("the new key is another one than it names")
        self.ring.add(key)

    @property
    def changed(self) -> bool:
        """Whether any change of key was applied."""
        return bool(self._retired)

    def retired(self, name: Name, origin: str) -> Change | None:
        """The change that retired the key of this name; also if it has another name by now."""
        for key in self.ring.find(*name, origin):
            if id(key) in self._keys:
                return self._keys[id(key)]
        return None

    def named(self, name: Name) -> Change | None:
        """The change that named this key as the new one."""
        return self._named.get(name)

    def latest(self, name: Name) -> Name:
        """The last key in the line of successors of this one; itself if it has none."""
        while name in self._retired:
            name = self._retired[name].new
        return name

    def why_missing(self, name: Name) -> str:
        """A sentence on why a key that signed checkpoints is not trusted."""
        change = self._named.get(name)
        if change is None:
            return "the signatures of this key were not checked"
        return (
            f"record {change.seq} names it as the new key, but a shared key is never in a log: "
            "give it too, beside the old one"
        )


def describe_key(name: Name) -> str:
    """A key, for people."""
    return f"{name[0]} key {name[1]}"
