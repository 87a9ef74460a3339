"""``--witness``, ``--quorum``, ``--policy`` and ``--anchor``: what others say of a log."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from audit_emit._facade.anchors import Anchored, notes_in
from audit_emit._facade.text import visible
from audit_emit._facade.witnesses import LONGEST_POLICY, Cosigner, Policy, can_check

MOST_KEPT = 64 * 1024 * 1024
"""Bytes of a file of anchors that are read."""


def policy_in(path: str) -> Policy:
    """The policy in a file.

    Raises:
        UsageError: it is none.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read(LONGEST_POLICY + 1)
    try:
        return _usable(Policy.parse(data))
    except ValueError as error:
        raise click.UsageError(f"{visible(path)}: {visible(str(error))}") from None


def policy_of(keys: Sequence[str], quorum: int | None) -> Policy:
    """So many of these witnesses.

    Args:
        keys: verifier keys, or files with one on each line.
        quorum: all of them by default.

    Raises:
        UsageError: a key cannot be used, or there are not so many.
        OSError: a file cannot be read.
    """
    texts: list[str] = []
    for key in keys:
        if key.count("+") >= 2 and not os.path.exists(key):
            texts.append(key)
        else:
            with open(key, encoding="utf-8", errors="replace") as file:
                texts += file.read(LONGEST_POLICY).split()
    try:
        return _usable(Policy.of_keys([Cosigner.from_vkey(text) for text in texts], quorum))
    except ValueError as error:
        raise click.UsageError(visible(str(error))) from None


def anchors_in(paths: Sequence[str]) -> list[Anchored]:
    """What places outside have kept, in files of theirs.

    Raises:
        UsageError: a file is too long; what is after its beginning would not count unnoticed.
        OSError: a file cannot be read.
    """
    found: list[Anchored] = []
    for path in paths:
        with open(path, "rb") as file:
            data = file.read(MOST_KEPT + 1)
        if len(data) > MOST_KEPT:
            raise click.UsageError(
                f"{visible(path)} has more than {MOST_KEPT} bytes: split it at the end of a line, "
                "and name each part with --anchor"
            )
        found += notes_in(data)
    return found


def _usable(policy: Policy) -> Policy:
    """The same, unless it asks for what cannot be checked here.

    Raises:
        ValueError: a witness signs with ML-DSA-44, and this cryptography has not got it.
    """
    for witness in policy.witnesses.values():
        if not can_check(witness.key):
            raise ValueError(
                f"{witness.key.name} signs with ML-DSA-44, which needs a newer cryptography: "
                "pip install --upgrade 'audit-emit[sign]'"
            )
    return policy
