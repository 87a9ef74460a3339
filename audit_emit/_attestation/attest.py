"""Makes an attestation about records of a log, and checks one against a log.

Whoever checks names the log: nothing in an attestation is a path, and nothing of it is opened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from audit_emit._attestation.segment import Progress, Segment, Wanted, read_segment
from audit_emit._attestation.statement import Claims, make_statement, parse_statement
from audit_emit._checkpoints.consistency import checkpoint_of
from audit_emit._checkpoints.prove import newest_checkpoint
from audit_emit._format.checkpoint import Checkpoint, check
from audit_emit._format.dsse import STATEMENT, Envelope, seal
from audit_emit._format.key_change import describe_key
from audit_emit._readers.base import LogReader
from audit_emit._signing.trusted_keys import ED25519, Ed25519Key, KeyRing, Verdict
from audit_emit._verify.verify import Options, verify_log
from audit_emit._version import __version__
from audit_emit.errors import CheckpointError, ConfigError

AUTHOR = f"audit_emit {__version__}"

Open = Callable[[], LogReader]
"""Opens the log; called once for each pass over it."""


class Difference(NamedTuple):
    """A member of a statement that the log says otherwise, both as JSON."""

    member: str
    attested: str
    log: str


class Checked(NamedTuple):
    """What an attestation is worth.

    Attributes:
        verdict: ``ok``; ``mismatch``; ``key-unavailable`` when no trusted key is the one that the
            envelope names.
        why: what is wrong, in words; empty where all is good.
        statement: what it says.
        key_id: of the key that signed it; as the envelope claims where that is not known.
        differences: between it and the log.
    """

    verdict: Verdict
    why: str
    statement: dict[str, Any]
    key_id: str
    differences: tuple[Difference, ...] = ()


def attest(
    open_log: Open,
    ring: KeyRing,
    wanted: Wanted,
    *,
    at: str,
    policy: str = "",
    jobs: int = 1,
    progress: Progress | None = None,
) -> Envelope:
    """Sign a statement about records, after having verified the log.

    Args:
        open_log: see ``Open``.
        ring: the newest key signs; all are trusted.
        wanted: which records; a ``last`` of 0 means up to the newest checkpoint.
        at: the time, as ``ts``.
        policy: see ``make_statement``.
        jobs: how many processes verify the log.
        progress: called with the bytes done and the bytes that there are, for each pass.

    Raises:
        CheckpointError: the log does not verify, or the key was replaced.
        ConfigError: the newest key is not an Ed25519 key that can sign.
        LookupError: there are no such records.
        ValueError: no checkpoint covers them, or the statement gets too long.
        OSError: the log cannot be read.
    """
    key = ring.signer
    if not isinstance(key, Ed25519Key):
        raise ConfigError("key", "cannot attest: that takes an Ed25519 key which can sign, last")
    with open_log() as reader:
        newest = newest_checkpoint(reader, ring)
        if newest is None:
            raise ValueError("no checkpoint by a trusted key is there")
        if wanted.last > newest.head_seq:
            raise ValueError(f"no checkpoint covers record {wanted.last} yet")
        _verified(reader, ring, jobs, progress)
    wanted = wanted._replace(last=wanted.last or newest.head_seq)
    with open_log() as reader:
        segment = read_segment(reader, wanted, newest, ring, progress)
    why = _why_not_by(key, segment, newest)
    if why:
        raise CheckpointError("key-retired", why)
    return seal(key, make_statement(segment, wanted, newest, at=at, author=AUTHOR, policy=policy))


def check_attestation(
    data: bytes,
    open_log: Open,
    ring: KeyRing,
    *,
    policy: str = "",
    jobs: int = 1,
    progress: Progress | None = None,
) -> Checked:
    """Check who signed an attestation, and compute all that it says again from a log.

    Args:
        data: an envelope, or a bundle with one.
        open_log: see ``Open``.
        ring: the trusted keys.
        policy: SHA-256 that the policy must have, 64 hex digits; empty for whatever it says.
        jobs, progress: see ``attest``.

    Raises:
        ValueError: it is no attestation of this kind.
        OSError: the log cannot be read.
    """
    envelope = Envelope.from_bytes(data)
    if envelope.payload_type != STATEMENT:
        raise ValueError(f"the envelope holds no in-toto statement ({STATEMENT})")
    statement = parse_statement(envelope.payload)
    claims = Claims.of(statement["predicate"])
    result = Checked("mismatch", "", statement, envelope.key_id)
    try:
        with open_log() as reader:
            checkpoint = checkpoint_of(reader, claims.checkpoint.size, ring)
            _verified(reader, ring, jobs, progress)
        with open_log() as reader:
            segment = read_segment(reader, claims.wanted, checkpoint, ring, progress)
    except (CheckpointError, LookupError, ValueError) as error:
        return result._replace(why=f"the log does not bear it out: {error.args[0]}")
    trusted = segment.keys.ring.every()
    key = envelope.signer(trusted)
    if key is None and not envelope.names(trusted):
        return result._replace(verdict="key-unavailable", why="the key that signed it is not here")
    if key is None:
        return result._replace(why="it is not signed by the key that it names")
    differences = tuple(_differences(statement, segment, claims, checkpoint, policy))
    why = _why_not_by(key, segment, checkpoint)
    if differences:
        why = "the log says otherwise"
    result = result._replace(key_id=key.fingerprint)  # an envelope need not name it
    return result._replace(verdict="mismatch" if why else "ok", why=why, differences=differences)


def _verified(reader: LogReader, ring: KeyRing, jobs: int, progress: Progress | None) -> None:
    """Verify the log; that it ends without a signature is no matter here.

    Raises:
        CheckpointError: it was tampered with.
    """
    options = Options(ring=ring, anchor_required=False, jobs=jobs, progress=progress)
    report = verify_log(reader, options).report
    if report.tampered:
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(report.counts.items()))
        raise CheckpointError("tampered", f"it does not verify ({found}); see: audit-emit verify")


def _why_not_by(key: Ed25519Key, segment: Segment, checkpoint: Checkpoint) -> str:
    """Why a key may not speak for the log at a checkpoint; empty if it may."""
    if check(checkpoint, segment.keys.ring) != "ok":
        return f"no trusted key signed the checkpoint of {checkpoint.head_seq} records"
    key_id = key.key_id(checkpoint.origin)
    if key_id is None:
        return f"the key is not meant for {checkpoint.origin}"
    name = (ED25519, key_id)
    change = segment.keys.retired(name, checkpoint.origin)
    if change is None:
        return ""
    return f"record {change.seq} retired {describe_key(name)}"


def _differences(
    statement: dict[str, Any],
    segment: Segment,
    claims: Claims,
    checkpoint: Checkpoint,
    policy: str,
) -> Iterator[Difference]:
    attested = claims.policy.digest.get("sha256", "") if claims.policy is not None else ""
    computed = parse_statement(
        make_statement(
            segment,
            claims.wanted,
            checkpoint,
            at=claims.generated_at,
            author=claims.generated_by,
            policy=policy or attested,
        )
    )
    said, found = _members(statement), _members(computed)
    for name in sorted(said.keys() | found.keys()):
        if said.get(name) != found.get(name):
            yield Difference(name, said.get(name, "nothing"), found.get(name, "nothing"))


def _members(statement: dict[str, Any]) -> dict[str, str]:
    """The members of a statement and of its predicate, each as JSON."""
    flat = {name: value for name, value in statement.items() if name != "predicate"}
    flat |= {f"predicate.{name}": value for name, value in statement["predicate"].items()}
    return {name: _shown(value) for name, value in flat.items()}


def _shown(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
