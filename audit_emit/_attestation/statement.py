"""The in-toto statement about some records of a log (docs/attestation.md). Pure.

The same records, checkpoint and policy always give the same statement, its time and its author
aside; so whoever has the log makes it again and compares.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import msgspec

from audit_emit._attestation.segment import Segment, Wanted, root_of
from audit_emit._format.checkpoint import Checkpoint
from audit_emit._format.dsse import MAX_PAE, STATEMENT, pae
from audit_emit._format.proof_file import no_member_twice
from audit_emit._format.record import Head

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:audit-emit:attestation:log-segment:v1"
"""Names the predicate and its version. It is no address: nothing is fetched to understand it."""

_TIME = re.compile(r"[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}\.[0-9]{9}Z", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FEW, _MANY = 4, 12
"""Names that are told of one kind; the others are counted together."""

OTHERS = "(others)"
"""Under this all those are counted that have no member of their own."""


def make_statement(
    segment: Segment,
    wanted: Wanted,
    checkpoint: Checkpoint,
    *,
    at: str,
    author: str,
    policy: str = "",
) -> bytes:
    """The statement, as JSON without white space.

    Args:
        segment: the records.
        wanted: as they were asked for.
        checkpoint: that covers them.
        at: the time, as ``ts``.
        author: name and version of the program.
        policy: SHA-256 of the policy that an agent worked under, 64 hex digits; empty for none.

    Raises:
        ValueError: it is longer than what is signed.
    """
    for most in (_MANY, _FEW, 0):
        statement = _statement(segment, wanted, checkpoint, policy, most)
        statement["predicate"] |= {"generatedAt": at, "generatedBy": author}
        payload = json.dumps(statement, separators=(",", ":"), sort_keys=False).encode()
        if len(pae(STATEMENT, payload)) <= MAX_PAE:
            return payload
    raise ValueError(f"the statement is longer than the {MAX_PAE} bytes that are signed at most")


def parse_statement(payload: bytes) -> dict[str, Any]:
    """What ``make_statement`` made.

    Raises:
        ValueError: it is another statement, or none.
    """
    try:
        found = json.loads(payload, object_pairs_hook=no_member_twice, parse_constant=_no_constant)
        # What follows goes through it again, and shows it: neither may fail then.
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ValueError(
            "the payload is no JSON that can be shown, or has a member twice"
        ) from None
    if not isinstance(found, dict) or found.get("_type") != STATEMENT_TYPE:
        raise ValueError("the payload is no in-toto statement of version 1")
    if found.get("predicateType") != PREDICATE_TYPE or not isinstance(found.get("predicate"), dict):
        raise ValueError(f"the statement is not about records of a log ({PREDICATE_TYPE})")
    return found


def _no_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


class Claims(msgspec.Struct, frozen=True, rename="camel"):
    """What must be known of a predicate to make it again; all of it is compared then."""

    first_seq: int
    last_seq: int
    checkpoint: _Size
    generated_at: str
    generated_by: str
    correlation_id: str = ""
    policy: _Digests | None = None

    @classmethod
    def of(cls, predicate: dict[str, Any]) -> Claims:
        """Read them.

        Raises:
            ValueError: one of them is missing or malformed.
        """
        try:
            found = msgspec.convert(predicate, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"the predicate is malformed: {error}") from None
        if not 1 <= found.first_seq <= found.last_seq <= found.checkpoint.size < 2**63:
            raise ValueError("the predicate is malformed: firstSeq, lastSeq and checkpoint.size")
        # No log says what these are, so nothing of them is found by comparing.
        digests = found.policy.digest if found.policy is not None else {}
        if not _TIME.fullmatch(found.generated_at) or not all(
            map(_DIGEST.fullmatch, digests.values())
        ):
            raise ValueError("the predicate is malformed: generatedAt and policy.digest")
        return found

    @property
    def wanted(self) -> Wanted:
        """Which records it is about."""
        if self.correlation_id:
            return Wanted(1, self.checkpoint.size, self.correlation_id)
        return Wanted(self.first_seq, self.last_seq)


class _Size(msgspec.Struct, frozen=True, rename="camel"):
    size: int


class _Digests(msgspec.Struct, frozen=True):
    digest: dict[str, str]


def _statement(
    segment: Segment, wanted: Wanted, checkpoint: Checkpoint, policy: str, most: int
) -> dict[str, Any]:
    tally = segment.tally
    first, last = tally.first, tally.last
    assert first is not None  # noqa: S101 - an empty segment was refused
    assert last is not None  # noqa: S101 - the same
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {
                "name": _name(checkpoint.origin, first, last, wanted),
                "digest": {"sha256": tally.digest},
            }
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "origin": checkpoint.origin,
            "chain": checkpoint.chain,
            **({"correlationId": wanted.correlation} if wanted.correlation else {}),
            "firstSeq": first.seq,
            "lastSeq": last.seq,
            "records": tally.records,
            "bytes": tally.bytes,
            "firstTime": first.ts,
            "lastTime": last.ts,
            "prevHash": tally.prev_hash,
            "firstHash": first.hash,
            "lastHash": last.hash,
            "rootBefore": root_of(tally.before),
            "rootAfter": root_of(tally.after),
            "checkpoint": {
                "size": checkpoint.head_seq,
                "rootHash": checkpoint.root_hash,
                "keyId": checkpoint.key_id,
            },
            "findings": segment.findings,
            "eventTypes": _counts(tally.event_types, most),
            "outcomes": _counts(tally.outcomes, _FEW * bool(most)),
            "agent": {
                "models": _names(tally.models, most),
                "platforms": _names(tally.platforms, most),
                "toolCalls": _counts(tally.tool_calls, _FEW * bool(most)),
                "secretsHeldBack": tally.secrets_held_back,
            },
            "configurations": list(segment.configurations),
            **({"policy": {"digest": {"sha256": policy}}} if policy else {}),
        },
    }


def _name(origin: str, first: Head, last: Head, wanted: Wanted) -> str:
    return f"{origin}#{'correlation:' if wanted.correlation else ''}{first.seq}-{last.seq}"


def _counts(counter: Counter[str], most: int) -> dict[str, int]:
    """The most frequent ones by name, sorted, and the others together."""
    kept = sorted(counter.items(), key=lambda one: (-one[1], one[0]))[:most]
    others = counter.total() - sum(count for _, count in kept)
    return dict(sorted(kept)) | ({OTHERS: others} if others else {})


def _names(counter: Counter[str], most: int) -> list[str]:
    return [name for name in _counts(counter, min(most, _FEW)) if name != OTHERS]
