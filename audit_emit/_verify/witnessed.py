"""Whether enough witnesses cosigned a log, checked with keys that the user of the verifier pinned.

The cosignatures are in files beside the log, where anybody may have added or removed some. Each is
checked with its key, and must be for a checkpoint that the log has. So even the owner of the log's
key cannot present another history than the witnesses have seen.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress

from msgspec import structs

from audit_emit._checkpoints.notes import NAME, kept_note
from audit_emit._checkpoints.prove import signer_directory
from audit_emit._checkpoints.witnessing.kept import COSIGNATURES, Kept
from audit_emit._format.checkpoint import Checkpoint, check, parse_text
from audit_emit._format.cosignature import cosigned_at
from audit_emit._format.policy import NONE, Policy
from audit_emit._format.signed_note import Note, Signature
from audit_emit._readers.base import LogReader
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing
from audit_emit._verify.findings import Finding, Kind, Report

_SIZE = re.compile(rb'","head_seq":([0-9]{1,19}),"')

Tree = tuple[str, int, bytes]
"""Origin, size and root."""


def witnessed(reader: LogReader, report: Report, policy: Policy, ring: KeyRing) -> Report:
    """The report, after checking the cosignatures of witnesses.

    Args:
        reader: of the log.
        report: the report without them.
        policy: who must have cosigned it.
        ring: the trusted keys of the log, with those that took their place.
    """
    own = {key.public for key in ring.keys if isinstance(key, Ed25519Key)}
    seen = _seen(reader, policy, report.origin, own)
    roots = signed_roots(reader, ring, seen)
    for tree in sorted(seen, key=lambda each: each[1], reverse=True):
        wrong = differs(roots, report, tree, NAME, Kind.NOT_WITNESSED)
        if wrong is not None:
            return with_finding(report, wrong)
        if policy.holds(seen[tree]):
            names = tuple(sorted(policy.witnesses[name].key.name for name in seen[tree]))
            return structs.replace(
                report,
                witnessed_seq=tree[1],
                witnessed_by=names,
                witnessed_time=min(seen[tree].values()),
            )
    if policy.quorum == NONE:
        return report
    most = max((len(names) for names in seen.values()), default=0)
    note = f"{policy.demand} must have cosigned it; of no checkpoint more than {most} did"
    return with_finding(report, Finding(Kind.NOT_WITNESSED, COSIGNATURES, note=note))


def _seen(
    reader: LogReader, policy: Policy, origin: str, own: Collection[bytes]
) -> dict[Tree, dict[str, int]]:
    """By tree, the witnesses that cosigned it, and when: by their names in the policy.

    A key of the log (``own``) is no witness of it. Its signatures over the time of a checkpoint
    have the same form as those of witnesses, but prove nothing more than the checkpoint.
    """
    seen: dict[Tree, dict[str, int]] = {}
    by_id = {
        (one.key.name, one.key.key_id): (name, one.key)
        for name, one in policy.witnesses.items()
        if one.key.public not in own
    }
    for text, line in _lines(reader):
        name, key = by_id.get((line.name, line.key_id), ("", None))
        at = cosigned_at(key, text, line) if key is not None else None
        if at is not None:
            tree = parse_text(text)
            if not origin or tree[0] == origin:
                seen.setdefault(tree, {}).setdefault(name, at)
    return seen


def _lines(reader: LogReader) -> Iterator[tuple[bytes, Signature]]:
    """The text and the signature of each kept cosignature; they are not checked."""
    directory = signer_directory(reader)
    if not directory:
        return
    with suppress(ValueError):
        note = Note.from_bytes(kept_note(directory))
        for line in note.signatures:
            yield note.text.encode(), line
    for one in Kept(directory).cosigned():
        with suppress(ValueError):
            yield one.text, one.signature


def signed_roots(reader: LogReader, ring: KeyRing, trees: Iterable[Tree]) -> dict[int, str]:
    """By size, the roots that the log's own checkpoints have; of the sizes of these trees.

    One pass over the checkpoints, however many trees there are. A checkpoint with a wrong signature
    of a key of the ring is none.
    """
    wanted = {size for _, size, _ in trees}
    found: dict[int, str] = {}
    for one in reader.checkpoints() or ():
        named = _SIZE.search(one.line)
        if named is None or int(named[1]) not in wanted or int(named[1]) in found:
            continue
        with suppress(ValueError):
            checkpoint = Checkpoint.from_line(one.line)
            if checkpoint.head_seq in wanted and check(checkpoint, ring) != "mismatch":
                found.setdefault(checkpoint.head_seq, checkpoint.root_hash)
    return found


def differs(
    roots: Mapping[int, str], report: Report, tree: Tree, where: str, without: Kind
) -> Finding | None:
    """The finding where somebody else has another tree than the log; ``None`` if they agree.

    Args:
        roots: see ``signed_roots``.
        where: the ``file`` of the finding.
        without: its kind if the log has no checkpoint of that size.
    """
    _, size, root = tree
    if size > report.last_seq and not report.partial:
        note = "more records than these were signed, as others have seen"
        return Finding(
            Kind.TRUNCATED, where, seq=size, expected=size, actual=report.last_seq, note=note
        )
    signed = roots.get(size)
    if signed == root.hex():
        return None
    if signed is None:
        note = "others have seen a checkpoint of this size, and the log has none"
        return Finding(without, where, seq=size, expected=root.hex(), note=note)
    note = "another tree of this size was signed, as others have seen"
    return Finding(
        Kind.CHECKPOINT_ROOT_MISMATCH,
        where,
        seq=size,
        expected=root.hex(),
        actual=signed,
        note=note,
    )


def with_finding(report: Report, finding: Finding) -> Report:
    """The same report, with one finding more."""
    counts = {**report.counts, finding.kind: report.counts.get(finding.kind, 0) + 1}
    return structs.replace(report, findings=(*report.findings, finding), counts=counts)
