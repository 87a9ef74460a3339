"""Reads what the user of a verifier has from others: keys of witnesses, a policy, anchors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from audit_emit._checkpoints.anchoring import Anchored, Stamped, notes_in, stamped_by
from audit_emit._format.policy import LONGEST, Policy
from audit_emit._format.printable import visible
from audit_emit._signing.cosigners import Cosigner, can_check
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing

__all__ = ["Others", "Sources", "others_of", "policy_in"]

MOST_KEPT = 64 * 1024 * 1024
"""Bytes of a file of anchors that are read."""

_MOST_CERTIFICATES = 1 << 20

_Path = str | os.PathLike[str]


class Sources(NamedTuple):
    """The names of these files and keys, as the user gives them.

    Attributes:
        witnesses: verifier keys, or files with one on each line.
        quorum: how many of them are enough; all if not given.
        policy: the file of a C2SP tlog-policy instead.
        anchors: files with checkpoints that were kept elsewhere.
        tsa_certificates: roots of a timestamp authority, in PEM; only what it stamped counts.
    """

    witnesses: Sequence[str] = ()
    quorum: int | None = None
    policy: _Path | None = None
    anchors: Sequence[_Path] = ()
    tsa_certificates: _Path | None = None


class Others(NamedTuple):
    """The content of these files, for ``Options``.

    Attributes:
        ring: the keys of the log, with those that the policy names.
        policy: who must have cosigned the log; ``None`` where nobody must.
        anchors: checkpoints that were kept elsewhere; ``None`` where none were named.
        stamped: checks tokens; ``None`` where none must be there.
    """

    ring: KeyRing
    policy: Policy | None = None
    anchors: Sequence[Anchored] | None = None
    stamped: Stamped | None = None


def others_of(sources: Sources, ring: KeyRing, *, whole: bool = True) -> Others:
    """Read the files.

    Args:
        sources: their names.
        ring: the keys of the log.
        whole: whether the whole log is verified.

    Raises:
        ValueError: a file cannot be used, or only a part of the log is verified.
        ModuleNotFoundError: a token cannot be checked without an extra.
        OSError: a file cannot be read.
    """
    policy = _policy(sources)
    if not whole and (policy is not None or sources.anchors):
        # Others have signed a tree over the whole log: of a part there is no root to compare.
        raise ValueError(
            "witnesses and anchors are compared with the whole log, and this is a part of it"
        )
    ring = KeyRing([*ring.keys, *policy.logs]) if policy is not None else ring
    own = {key.public for key in ring.keys if isinstance(key, Ed25519Key)}
    for witness in policy.witnesses.values() if policy is not None else ():
        if witness.key.public in own:
            name = visible(witness.key.name)
            raise ValueError(f"{name} has the key of the log, which is no witness of itself")
    anchors = _anchors_in(sources.anchors) if sources.anchors else None
    return Others(ring, policy, anchors, _stamped(sources))


def policy_in(path: _Path) -> Policy:
    """The policy in a file.

    Raises:
        ValueError: it is none.
        OSError: it cannot be read.
    """
    try:
        return _usable(Policy.parse(_read(path, LONGEST + 1)))
    except ValueError as error:
        raise ValueError(f"{visible(os.fspath(path))}: {visible(str(error))}") from None


def _policy(sources: Sources) -> Policy | None:
    if sources.policy is not None:
        if sources.witnesses or sources.quorum is not None:
            raise ValueError("a policy says which witnesses are enough; name no others beside it")
        return policy_in(sources.policy)
    if sources.witnesses:
        return _policy_of(sources.witnesses, sources.quorum)
    if sources.quorum is not None:
        raise ValueError("a quorum is one of witnesses; name them")
    return None


def _policy_of(keys: Sequence[str], quorum: int | None) -> Policy:
    texts: list[str] = []
    for key in keys:
        if key.count("+") >= 2 and not os.path.exists(key):
            texts.append(key)
        else:
            data = _read(key, LONGEST + 1)
            if len(data) > LONGEST:
                # Otherwise the witnesses at its end would not be required, and nobody would notice.
                raise ValueError(f"{visible(key)} is no file of verifier keys: it is too long")
            texts += data.decode("utf-8", "replace").split()
    try:
        return _usable(Policy.of_keys([Cosigner.from_vkey(text) for text in texts], quorum))
    except ValueError as error:
        raise ValueError(visible(str(error))) from None


def _anchors_in(paths: Sequence[_Path]) -> list[Anchored]:
    found: list[Anchored] = []
    for path in paths:
        data = _read(path, MOST_KEPT + 1)
        if len(data) > MOST_KEPT:
            # Otherwise the anchors after its beginning would not count, and nobody would notice.
            raise ValueError(
                f"{visible(os.fspath(path))} has more than {MOST_KEPT} bytes: split it at the end "
                "of a line, and name each part as an anchor"
            )
        found += notes_in(data)
    return found


def _stamped(sources: Sources) -> Stamped | None:
    if sources.tsa_certificates is None:
        return None
    if not sources.anchors:
        raise ValueError("a timestamp is under what was kept; name that as an anchor")
    try:
        return stamped_by(_read(sources.tsa_certificates, _MOST_CERTIFICATES))
    except ValueError:
        path = visible(os.fspath(sources.tsa_certificates))
        raise ValueError(f"{path} has no certificate (PEM)") from None


def _usable(policy: Policy) -> Policy:
    """The same, unless it asks for what cannot be checked here."""
    for witness in policy.witnesses.values():
        if not can_check(witness.key):
            raise ValueError(
                f"{witness.key.name} signs with ML-DSA-44, which needs a newer cryptography: "
                "pip install --upgrade 'audit-emit[sign]'"
            )
    return policy


def _read(path: _Path, most: int) -> bytes:
    with open(path, "rb") as file:
        return file.read(most)
