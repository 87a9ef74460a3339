"""Which logs and which witnesses a verifier trusts: a policy in the format C2SP tlog-policy. Pure.

log <vkey> [<url>]
witness <name> <vkey> [<url>]
group <name> all|any|<k> <name>...
quorum <name>|none
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from audit_emit._signing.cosigners import Cosigner
from audit_emit._signing.trusted_keys import Ed25519Key

MOST = 256
"""The most logs, the most witnesses and the most groups that a policy may have."""

LONGEST = 1024 * 1024
_ALLOWED = re.compile(rb"[\t\n\x20-\x7e\x80-\xff]*")
_THRESHOLD = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
NONE = "none"


class Witness(NamedTuple):
    """A witness of a policy; ``url`` is where it takes checkpoints, or empty."""

    key: Cosigner
    url: str = ""


class Group(NamedTuple):
    """A group: a number of its members is enough."""

    least: int
    members: tuple[str, ...]


class Policy(NamedTuple):
    """A policy.

    Attributes:
        logs: verifier keys of logs; may be empty, if they are given elsewhere.
        witnesses: by their names in this policy.
        groups: by their names; a group comes after its members.
        quorum: the name of a witness or a group; ``none`` where no witness is needed.
    """

    logs: tuple[Ed25519Key, ...]
    witnesses: Mapping[str, Witness]
    groups: Mapping[str, Group]
    quorum: str

    @classmethod
    def of_keys(cls, keys: Sequence[Cosigner], quorum: int | None = None) -> Policy:
        """A policy that needs at least ``least`` of these witnesses; all of them by default.

        Raises:
            ValueError: there are fewer witnesses than that, or one is named twice.
        """
        _refuse_twice([key.public for key in keys], "witness")
        least = len(keys) if quorum is None else quorum
        if not 1 <= least <= len(keys):
            raise ValueError(f"a quorum of {least} is not one of {len(keys)} witnesses")
        witnesses = {f"witness-{number}": Witness(key) for number, key in enumerate(keys, 1)}
        return cls((), witnesses, {"all": Group(least, tuple(witnesses))}, "all")

    @classmethod
    def parse(cls, data: bytes) -> Policy:
        """Read the text of a policy.

        Raises:
            ValueError: it is no policy; the message has the number of the line.
        """
        if len(data) > LONGEST or not _ALLOWED.fullmatch(data):
            raise ValueError("not a policy: it is too long, or holds control characters")
        made = _Parsed()
        # Names are octets; Latin-1 makes a character of each, and tells all of them apart.
        for number, line in enumerate(data.decode("latin-1").split("\n"), 1):
            words = [word for word in re.split("[ \t]+", line) if word]
            if not words or words[0].startswith("#"):
                continue
            try:
                made.take(words)
            except ValueError as error:
                raise ValueError(f"line {number} of the policy: {error}") from None
        if made.quorum is None:
            raise ValueError("a policy has a line quorum <name>, and this one has none")
        _refuse_twice([key.public for key in made.logs], "log")
        _refuse_twice([one.key.public for one in made.witnesses.values()], "witness")
        return cls(tuple(made.logs), made.witnesses, made.groups, made.quorum)

    def holds(self, signed: Collection[str]) -> bool:
        """Whether the witnesses of these names, as the policy has them, are enough."""
        if self.quorum == NONE:
            return True
        held = set(signed) & set(self.witnesses)
        for name, group in self.groups.items():
            if len(held.intersection(group.members)) >= group.least:
                held.add(name)
        return self.quorum in held

    @property
    def demand(self) -> str:
        """What the policy needs, in words."""
        if self.quorum == NONE:
            return "no witness"
        group = self.groups.get(self.quorum)
        if group is None:
            return f"witness {self.quorum}"
        return f"{group.least} of {len(group.members)} witnesses"


class _Parsed:
    """The lines of a policy so far."""

    def __init__(self) -> None:
        self.logs: list[Ed25519Key] = []
        self.witnesses: dict[str, Witness] = {}
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self._members: set[str] = set()

    def take(self, words: list[str]) -> None:
        """Take one line.

        Raises:
            ValueError: a policy has no such line.
        """
        word, *rest = words
        if word == "log" and len(rest) in {1, 2}:
            self.logs.append(Ed25519Key.from_vkey(rest[0]))
        elif word == "witness" and len(rest) in {2, 3}:
            vkey = rest[1].encode("latin-1").decode("utf-8", "replace")
            self.witnesses[self._new(rest[0])] = Witness(
                Cosigner.from_vkey(vkey), rest[2] if len(rest) > 2 else ""
            )
        elif word == "group" and len(rest) > 2:
            name, many, *members = rest
            for member in members:
                self._known(member)
                if member in self._members:
                    raise ValueError(f"{member!r} is a member already")
                self._members.add(member)
            self.groups[self._new(name)] = Group(_least(many, len(members)), tuple(members))
        elif word == "quorum" and len(rest) == 1:
            if self.quorum is not None:
                raise ValueError("there is one quorum only")
            if rest[0] != NONE:
                self._known(rest[0])
            self.quorum = rest[0]
        else:
            raise ValueError("it is no log, witness, group or quorum")
        if max(map(len, (self.logs, self.witnesses, self.groups))) > MOST:
            raise ValueError(f"there are more than {MOST}")

    def _new(self, name: str) -> str:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise ValueError(f"{name!r} is a name that is taken")
        return name

    def _known(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise ValueError(f"{name!r} is not defined before it")


def _least(many: str, count: int) -> int:
    if many in {"any", "all"}:
        return 1 if many == "any" else count
    if not _THRESHOLD.fullmatch(many) or int(many) > count:
        raise ValueError(f"{many!r} of {count} members")
    return int(many)


def _refuse_twice(keys: Sequence[bytes], what: str) -> None:
    if len(set(keys)) != len(keys):
        raise ValueError(f"a {what} is named twice: two have the same key")
