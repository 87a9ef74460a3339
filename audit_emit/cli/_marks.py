"""Marks beside records in an answer: why this line alone does not prove that it is of a log.

Whoever may write to a service's standard output, or push to Loki, can write a line that looks like
a record. The hash of a chained record ties it to the one before; a line without one is only a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from audit_emit._facade.records import hash_holds, is_cut, link_of, service_of

UNCHAINED = "unchained"
STUB = "stub"
WRONG_HASH = "wrong-hash"
DOES_NOT_VERIFY = "does-not-verify"
NOT_ANCHORED = "not-anchored"
"""The last two only appear where the log was verified (``--verified``)."""

MEANING = {
    UNCHAINED: "not chained: nothing ties them to a log",
    STUB: "stubs: what is left of them is not what was hashed",
    WRONG_HASH: "without the hash that they state: they were changed, or are forged",
    DOES_NOT_VERIFY: "where the log does not verify (see: audit-emit verify)",
    NOT_ANCHORED: "covered by no signature of a key that was given",
}
_SHOWN = 5


def mark(line: bytes) -> str:
    """Why a line alone does not prove that it is a record of a log; empty for one that may be."""
    if link_of(line) is None:
        return UNCHAINED
    if hash_holds(line):
        return ""
    return STUB if is_cut(line) else WRONG_HASH


def told(marks: Iterable[str]) -> list[str]:
    """One sentence for each kind of mark in an answer."""
    found = list(marks)
    return [
        f"{count} of these are {meaning} (marked {name})"
        for name, meaning in MEANING.items()
        if (count := found.count(name))
    ]


def chains_told(lines: Sequence[bytes]) -> list[str]:
    """One sentence for each service with records of several chains: several hosts, or a forger."""
    chains: dict[str, dict[str, None]] = {}
    for line in lines:
        link = link_of(line)
        if link is not None:
            chains.setdefault(service_of(line), {})[link[1].decode()] = None
    return [
        f"records of {service} are of {len(found)} chains ({_some(list(found))}): several hosts, "
        "or somebody else who uses its name; audit-emit reconcile compares them with the logs"
        for service, found in chains.items()
        if len(found) > 1
    ]


def _some(chains: Sequence[str]) -> str:
    more = f", and {len(chains) - _SHOWN} more" if len(chains) > _SHOWN else ""
    return ", ".join(chains[:_SHOWN]) + more
