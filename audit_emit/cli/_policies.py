"""``--witness``, ``--quorum`` and ``--policy``: who must have cosigned a log."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from audit_emit._facade.text import visible
from audit_emit._facade.witnesses import LONGEST_POLICY, Cosigner, Policy, can_check


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
