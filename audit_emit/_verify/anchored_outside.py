"""Compares a log with checkpoints that were kept elsewhere (anchors).

An anchor is a note that the log's own key signed. The log must still have a checkpoint of that size
and root. A token of a timestamp authority proves that the note existed at a time, so that not even
the owner of the log's key can make a note later for a history that he has rewritten.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from contextlib import suppress

from msgspec import structs

from audit_emit._checkpoints.anchoring import Anchored, Stamped
from audit_emit._format.checkpoint import parse_text
from audit_emit._format.signed_note import Note
from audit_emit._readers.base import LogReader
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit._verify.findings import Finding, Kind, Report
from audit_emit._verify.witnessed import Tree, differs, signed_roots, with_finding

FILE = "--anchor"


def held_outside(
    reader: LogReader,
    report: Report,
    anchors: Sequence[Anchored],
    ring: KeyRing,
    stamped: Stamped | None,
) -> Report:
    """The report, after comparing the log with anchors.

    Args:
        reader: of the log.
        report: the report without anchors.
        anchors: the anchors, which are not checked yet.
        ring: the trusted keys of the log.
        stamped: checks tokens; if given, only anchors with a valid token count.
    """
    found: dict[Tree, int] = {}
    for one in anchors:
        tree = _tree_of(one, ring, report.origin)
        at = _time_of(one, stamped) if stamped is not None else 0
        if tree is not None and at is not None:
            found[tree] = min(at, found.get(tree, at))
    # All of them are compared: whoever has the key may have added any number of newer notes there.
    roots = signed_roots(reader, ring, found)
    for tree in sorted(found, key=lambda each: each[1], reverse=True):
        wrong = differs(roots, report, tree, FILE, Kind.CHECKPOINT_ROOT_MISMATCH)
        if wrong is not None:
            return with_finding(report, wrong)
    if not found:
        stamp = " with a token that holds" if stamped is not None else ""
        note = f"nothing was kept there{stamp} that a key which is given signed for this log"
        return with_finding(report, Finding(Kind.NOT_ANCHORED, FILE, note=note))
    newest = max(found, key=lambda each: each[1])
    return structs.replace(report, outside_seq=newest[1], outside_time=found[newest])


def _tree_of(one: Anchored, ring: KeyRing, origin: str) -> Tree | None:
    with suppress(ValueError):
        note = Note.from_bytes(one.note.encode())
        if note.check(ring) == "ok":
            tree = parse_text(note.text.encode())
            return tree if not origin or tree[0] == origin else None
    return None


def _time_of(one: Anchored, stamped: Stamped) -> int | None:
    with suppress(ValueError):
        return stamped(base64.b64decode(one.token, validate=True), one.note.encode())
    return None
